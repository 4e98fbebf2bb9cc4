"""What the words of an action id or a display name say: one act, one thing, and how it went.

Ids and names are short English sentences: `user_granted_role`, `Group access to repository changed`, `App update
failed`. A past participle is the act wherever it is the verb of the sentence and not a mere adjective
(`deleted_page_restored`); a base form or noun is the act only at the end, before a word that says how it went, after
`to`, or first of all before a thing that is known. Where two words may be the verb, none is. The thing is the last noun
of the phrase before the first preposition, as English has it: an `api token expiry policy` is a policy. A phrase whose
last word no one knows names nothing, even if an earlier word is known: unknown is better than wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.catalogue.meaning import UNKNOWN, Layer, Meaning, Outcome
from forwarder.catalogue.sentences import (
    STATUS,
    Phrase,
    act_failed,
    after_to,
    base_form,
    cancelled_thing,
    has_another,
    last_thing,
    only_thing,
    participle,
    phrase_of,
    unsure,
    until_preposition,
)
from forwarder.catalogue.vocabulary import LONGEST_ACTION, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forwarder.catalogue.kinds import Kinds, Line, Person
    from forwarder.catalogue.vocabulary import Term, Vocabulary

_REQUESTS = {
    "create": "request",
    "accept": "approve",
    "approve": "approve",
    "reject": "reject",
    "revoke": "cancel",
    "delete": "cancel",
    "remove": "cancel",
}
_PEOPLE: dict[str | None, Person] = {"user": "user", "group": "group"}
_MEMBERSHIP = {"add": "add", "remove": "remove", "delete": "remove"}
_POWER = frozenset({"grant", "revoke"})
_SWITCHED = frozenset({"enable", "disable"})
_SETTING = frozenset({"add", "create", "delete", "remove"})
_PLACED = frozenset({"to", "from", "on"})
_ELSEWHERE = frozenset({"to", "from"})
_INTO = frozenset({"to", "as", "into", "with"})
_PUT = frozenset({"content", "structure", "repository", "app"})
_UNASSIGN = {"add": "assign", "assign": "assign", "remove": "unassign", "unassign": "unassign"}


class Reading(msgspec.Struct):
    """What a text says, and by which of its words.

    Attributes:
        act: The act.
        verb: The word that names it.
        complete: It is a past participle.
        thing: The thing it is done to.
        kind: The kind of that thing.
        noun: The word that names it.
        person: Whether a user or a group is spoken of.
        outcome: How it went.
        status: The words that say so.
        product: The product named.
        power: What the thing is given to, or invited as, is one of administrators.
    """

    act: str | None = None
    verb: str | None = None
    complete: bool = False
    thing: str | None = None
    kind: str | None = None
    noun: str | None = None
    person: Person = ""
    outcome: Outcome = "unknown"
    status: tuple[str, ...] = ()
    product: str | None = None
    power: bool = False


class Grammar:
    """Reads texts.

    Args:
        vocabulary: The words.
        kinds: What acts mean.
    """

    def __init__(self, vocabulary: Vocabulary, kinds: Kinds) -> None:
        self._words = vocabulary
        self._kinds = kinds

    def meaning(self, text: str, group: str = "", *, layer: Layer = "words", name: str | None = None) -> Meaning:
        """Return what a text says; layer `unknown` when it says nothing. `group` helps where the text is too short."""
        if len(text) > LONGEST_ACTION:
            return UNKNOWN
        reading = self.read(text, group)
        if reading.act is None:
            return msgspec.structs.replace(UNKNOWN, product=reading.product, name=name)
        act = reading.act
        line = self._kinds.line(reading.kind, act, exact=act in self._words.explicit, verb=reading.verb)
        if line is None:
            return Meaning(
                name=name, product=reading.product, act=act, object=reading.thing, outcome=reading.outcome, layer=layer
            )
        found = self._kinds.meaning(
            line, act=act, thing=reading.thing, outcome=reading.outcome, layer=layer, person=reading.person, name=name,
            product=reading.product,
        )  # fmt: skip
        return self._stronger(found) if reading.power else found

    def line(self, thing: str | None, act: str) -> Line | None:
        """Return what an act means for a thing of this name."""
        return self._kinds.line(self._words.kind(thing or ""), act, exact=act in self._words.explicit)

    def meaning_of_line(self, line: Line, act: str, thing: str | None, outcome: Outcome, before: Meaning) -> Meaning:
        """Return the meaning that a line gives, with the names that are known already."""
        found = self._kinds.meaning(
            line, act=act, thing=thing, outcome=outcome, layer=before.layer, name=before.name, product=before.product
        )
        presumed = before.presumed if before.product is None else None
        return msgspec.structs.replace(found, presumed=presumed) if presumed is not None else found

    def of_setting(self, before: Meaning, setting: str, on: bool | None = None) -> Meaning:
        """Return what it means that a setting of this name changed: more, where it is the name of a thing we know.

        `on` says that it is a switch now on or off, which is what was done to the thing.
        """
        terms = self._words.terms(setting) if len(setting) <= LONGEST_ACTION else []
        if on is not None and len(terms) == 2 and terms[1].done == "enable":  # `auditLogContentEnabled`
            terms.pop()
        if len(terms) != 1 or terms[0].thing is None or before.act is None:
            return before
        thing, act = terms[0].thing, before.act
        if on is not None and act == "change":
            act = "enable" if on else "disable"
        line = self.line(thing, act)
        return self.meaning_of_line(line, act, thing, before.outcome, before) if line is not None else before

    def with_outcome(self, before: Meaning, outcome: Outcome) -> Meaning:
        """Return a meaning with another outcome; its severity follows, where no one chose one."""
        changed: dict[str, Any] = {"outcome": outcome, "failure": before.failure if outcome == "failure" else None}
        line = self.line(before.object, before.act) if before.act is not None and before.layer != "local" else None
        if line is not None and line.failed is not None and before.severity in {line.severity, line.failed}:
            failed = outcome == "failure"
            changed |= {
                "severity": line.failed if failed else line.severity,
                "reason": "it failed" if failed else line.why,
            }
        return msgspec.structs.replace(before, **changed)

    def with_power(self, before: Meaning, names: Iterable[str]) -> Meaning:
        """Return a meaning that weighs more, where one of the groups or roles of these names is of administrators."""
        power = self._kinds.power.names
        if any(not power.isdisjoint(words_of(name[:LONGEST_ACTION])) for name in names):
            return self._stronger(before)
        return before

    def _stronger(self, before: Meaning) -> Meaning:
        if before.admin is None or before.admin <= before.severity or before.outcome == "failure":
            return before
        return msgspec.structs.replace(before, severity=before.admin, reason=self._kinds.power.why)

    def kind(self, thing: str | None) -> str | None:
        """Return the kind of a thing of this name."""
        return self._words.kind(thing or "")

    def home(self, thing: str | None) -> str | None:
        """Return whose things of this name are, where nothing else says it."""
        return self._words.home(thing)

    def products(self, texts: Iterable[str]) -> list[str]:
        """Return the products that texts name, each once."""
        return self._words.products(texts)

    def may_begin(self, word: str) -> bool:
        """Say whether a verb begins with this word; a quick look before the real one."""
        return word.lower() in self._words.beginnings

    def beginning(self, text: str, *, placed: bool = False) -> Meaning:
        """Return what a text says that begins with a verb, read as far as its words are known; else `UNKNOWN`.

        `placed` says that a place may follow what was read; then what is added or removed is perhaps only put there.
        """
        terms = self._words.terms(text)
        if not terms or not terms[0].done or has_another(terms, text.split()):
            return UNKNOWN
        known = 1
        while known < len(terms) and (terms[known].thing or terms[known].product or "noise" in terms[known].marks):
            known += 1
        found = self.meaning(" ".join(term.text for term in terms[:known]))
        if not (placed and terms[0].done in _MEMBERSHIP and found.object):
            return found
        thing = self._words.thing(found.object)
        if thing is None or not (thing.kind == "group" or thing.thing in self._words.assignable or self._is_put(thing)):
            return found
        return Meaning(
            product=found.product, act=terms[0].done, object=found.object, outcome=found.outcome, layer=found.layer
        )

    def read(self, text: str, group: str = "") -> Reading:
        """Return what a text says, word by word."""
        whole, context = self._words.terms(text), self._words.terms(group[:LONGEST_ACTION])
        reading = Reading(product=next((term.product for term in (*whole, *context) if term.product), None))
        terms = [term for term in whole if not term.product and "noise" not in term.marks]
        place = self._verb(terms, reading)
        if place is None or unsure(terms, place, complete=reading.complete):
            return Reading(product=reading.product)
        self._outcome(terms, reading)
        after, rest = until_preposition(terms[place + 1 :])
        before, tail = until_preposition(terms[:place])
        if reading.complete and before and before[-1].named == reading.act and not before[-1].thing:
            before = before[:-1]  # `page export downloaded`: the act said twice
        if not reading.complete and after and after[0].marks & STATUS:  # `permission remove request`
            after = ()
        phrase = phrase_of(after)
        if terms[place].kind == "operation":  # `system backup failed`: the act is the thing as well
            phrase = Phrase(terms[place], (), empty=False)
        if phrase.empty and before:
            phrase = phrase_of(before)
            if phrase.head is not None and phrase.head.thing == "request":  # `request to delete account rejected`
                rest = tail or rest
        if phrase.empty and rest and rest[0].text in {"of", "to"}:  # `deletion of account`, `access to site granted`
            phrase = phrase_of(until_preposition(rest[1:])[0]) if rest[0].text == "of" else phrase
        if phrase.empty or (phrase.attribute and phrase.head is None):
            phrase = Phrase(only_thing(context), (), phrase.attribute, empty=False)
        self._object(reading, phrase, rest, context)
        where = until_preposition(rest[1:])[0] if rest and rest[0].text in _INTO else ()
        power = self._kinds.power.names
        reading.power = any(not power.isdisjoint(term.text.split("_")) for term in (*phrase.before, *where))
        narrow = self._words.narrow.get(reading.verb or "")
        if narrow is not None and not {reading.thing, reading.kind} & narrow:
            return Reading(product=reading.product)
        people = [_PEOPLE[term.kind] for term in terms if term.kind in _PEOPLE]
        reading.person = "user" if reading.thing == "admin" and not people else (people[0] if people else "")
        return reading

    # ------------------------------------------------------------------------------------------------- the act

    def _verb(self, terms: list[Term], reading: Reading) -> int | None:
        place, base = participle(terms), after_to(terms)
        if base is None and place and terms[place].done == "reject":
            noun = terms[place - 1]  # `merge rejected` is a merge that failed, `approval declined` no approval
            base = place - 1 if noun.named and noun.named != "approve" and not noun.thing else None
        if base is None and place is not None:
            reading.act, reading.verb, reading.complete = terms[place].done, terms[place].text, True
            return place
        if base is None:
            for place, term in enumerate(terms):
                if "cancelled" in term.marks:
                    reading.act, reading.verb, reading.complete = "cancel", term.text, True
                    return cancelled_thing(terms, place)
            base = base_form(terms)
        if base is not None:
            reading.act, reading.verb = terms[base].named, terms[base].text
            return base
        for place, term in enumerate(terms):
            if term.text in {"requested", "started"}:
                reading.act, reading.verb = {"requested": "request", "started": "start"}[term.text], term.text
                return place
        return None

    @staticmethod
    def _outcome(terms: list[Term], reading: Reading) -> None:
        verb = next((place for place, term in enumerate(terms) if term.text == reading.verb), 0)
        status = [term for term in terms if term.marks & STATUS and term.text != reading.verb]
        rejected = not reading.complete and any(term.done == "reject" for term in terms)
        if reading.complete:  # a request that was created is a thing, not an open question
            status = [term for term in status if term.text != "request"]
        reading.status = tuple(term.text for term in status)
        if rejected or act_failed(terms, verb, complete=reading.complete):
            reading.outcome = "failure"
        elif any(term.marks & {"open", "failed"} for term in status) or reading.act in {"request", "start"}:
            reading.outcome = "unknown"  # `viewed failed logins`: something else failed
        elif reading.complete or any("completed" in term.marks for term in status):
            reading.outcome = "success"

    # ----------------------------------------------------------------------------------------------- the thing

    def _object(self, reading: Reading, phrase: Phrase, rest: Sequence[Term], context: Sequence[Term]) -> None:
        head = self._head(reading, phrase, rest, context)
        if head is None:
            return
        act = reading.act or ""
        reading.thing, reading.kind, reading.noun = head.thing, head.kind, head.text
        if phrase.attribute and act in _SETTING:
            reading.act = "change"
        elif act in _MEMBERSHIP and head.kind in _PEOPLE:
            self._membership(reading, phrase, rest)
        elif act in _POWER and head.kind in _PEOPLE:
            self._power(reading, rest)
        elif act in _UNASSIGN and head.thing in self._words.assignable and rest and rest[0].text in _PLACED:
            reading.act = _UNASSIGN[act]
        elif act in _MEMBERSHIP and self._is_put(head) and rest and rest[0].text in _ELSEWHERE:
            place = phrase_of(until_preposition(rest[1:])[0]).head
            if place is None or "container" not in place.marks:  # `issue removed from sprint`: it is still there
                reading.act = "change"
        elif head.kind == "password" and (owner := last_thing(phrase.before)) is not None and owner.kind in _PUT:
            protection = self._words.thing("restriction") or head  # the password of a video is no one's credential
            reading.thing, reading.kind = protection.thing, protection.kind

    def _head(self, reading: Reading, phrase: Phrase, rest: Sequence[Term], context: Sequence[Term]) -> Term | None:
        """Return the thing that is spoken of, or None where no one knows it."""
        head = phrase.head
        if head is None:
            switched = reading.act in _SWITCHED and rest and rest[0].text == "in"
            place = phrase_of(until_preposition(rest[1:])[0]).head if switched else None
            # `turned off user activity in audit log`
            return place if place is not None and place.kind == "trail" else None
        if head.thing == "request":
            head = self._requested(reading, phrase, rest) or head
        if (wider := last_thing(context)) is not None and "scheme" in head.text:
            head = self._words.thing(f"{wider.thing}_{head.thing}") or head
        return head

    @staticmethod
    def _power(reading: Reading, rest: Sequence[Term]) -> None:
        """Tell whoever is given power from the power: `user promoted to admin`."""
        place = phrase_of(until_preposition(rest[1:])[0]).head if rest and rest[0].text in _ELSEWHERE else None
        if place is not None and place.kind == "access":
            reading.thing, reading.kind = place.thing, place.kind

    def _is_put(self, term: Term) -> bool:
        """Say whether a thing is there before it is added somewhere, and after it is removed."""
        return term.kind in _PUT and term.thing not in self._words.parts

    def _requested(self, reading: Reading, phrase: Phrase, rest: Sequence[Term]) -> Term | None:
        """Return what a request is about: `request to transfer repository`, `access request`."""
        about = phrase_of(until_preposition(rest[2:])[0]).head if len(rest) > 2 and rest[1].named else None
        about = about or last_thing(phrase.before)
        if about is not None:
            reading.act = _REQUESTS.get(reading.act or "", reading.act)
        return about

    def _membership(self, reading: Reading, phrase: Phrase, rest: Sequence[Term]) -> None:
        """Tell joining a group from being made: `user added to group`, `group added`."""
        act = _MEMBERSHIP[reading.act or ""]
        place = phrase_of(until_preposition(rest[1:])[0]).head if rest and rest[0].text in {"to", "from"} else None
        inside = last_thing(phrase.before)
        if (place is not None and place.kind == "group") or (
            reading.thing == "member" and inside is not None and inside.kind == "group"
        ):
            reading.act, reading.thing, reading.kind = act, "group", "group"
        elif place is not None and place.thing == "admin":  # `user added to site admins`
            reading.act, reading.thing, reading.kind = {"add": "grant", "remove": "revoke"}[act], "admin", place.kind
        elif place is not None and "container" in place.marks:
            reading.act, reading.thing = act, "member"
        elif place is not None and place.kind == "content":  # an assignee or a watcher
            reading.act, reading.thing, reading.kind = "change", place.thing, place.kind
        elif reading.kind == "group" and rest and rest[0].text in _ELSEWHERE:  # `group removed from scheme`
            reading.act = act
        elif reading.kind == "group" and reading.act != "delete":
            reading.act = {"add": "create", "remove": "delete"}[act]
