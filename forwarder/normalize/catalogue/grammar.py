"""What the words of an action id or a display name say: one act, one thing, and how it went.

Ids and names are short English sentences: `user_granted_role`, `Group access to repository changed`, `App update
failed`. A past participle is the act wherever it is the verb of the sentence and not a mere adjective
(`deleted_page_restored`); a base form or noun is the act only at the end, before a word that says how it went, or after
`to`. The thing is the last noun of the phrase before the first preposition, as English has it: an `api token expiry
policy` is a policy. A phrase whose last word nobody knows names nothing, even if an earlier word is known: unknown
is better than wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.normalize.catalogue.meaning import UNKNOWN, Layer, Meaning, Outcome
from forwarder.normalize.catalogue.words import LONGEST_ACTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.normalize.catalogue.kinds import Kinds, Line, Person
    from forwarder.normalize.catalogue.words import Term, Vocabulary

_STATUS = frozenset({"failed", "completed", "open", "cancelled"})
_REQUESTS = {"create": "request", "accept": "approve", "approve": "approve", "reject": "reject", "revoke": "cancel"}
_PEOPLE: dict[str | None, Person] = {"user": "user", "group": "group"}
_MEMBERSHIP = {"add": "add", "remove": "remove", "delete": "remove"}
_SETTING = frozenset({"add", "create", "delete", "remove"})
_PLACED = frozenset({"to", "from", "on"})
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


class _Phrase(msgspec.Struct):
    """A noun phrase: its head, the words before it, and whether it names what the thing has, not what it is."""

    head: Term | None = None
    before: Sequence[Term] = ()
    attribute: bool = False
    empty: bool = True


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
        line = self._kinds.line(reading.kind, act, exact=act in self._words.explicit)
        if line is None:
            return Meaning(
                name=name, product=reading.product, act=act, object=reading.thing, outcome=reading.outcome, layer=layer
            )
        return self._kinds.meaning(
            line, act=act, thing=reading.thing, outcome=reading.outcome, layer=layer, person=reading.person, name=name,
            product=reading.product,
        )  # fmt: skip

    def line(self, thing: str | None, act: str) -> Line | None:
        """Return what an act means for a thing of this name."""
        return self._kinds.line(self._words.kind(thing or ""), act, exact=act in self._words.explicit)

    def meaning_of_line(self, line: Line, act: str, thing: str | None, outcome: Outcome, before: Meaning) -> Meaning:
        """Return the meaning that a line gives, with the names that are known already."""
        return self._kinds.meaning(
            line, act=act, thing=thing, outcome=outcome, layer=before.layer, name=before.name, product=before.product
        )

    def of_setting(self, before: Meaning, setting: str) -> Meaning:
        """Return what it means that a setting of this name changed: more, where it is the name of a thing we know."""
        terms = self._words.terms(setting) if len(setting) <= LONGEST_ACTION else []
        if len(terms) != 1 or terms[0].thing is None or before.act is None:
            return before
        thing = terms[0].thing
        line = self.line(thing, before.act)
        return self.meaning_of_line(line, before.act, thing, before.outcome, before) if line is not None else before

    def may_begin(self, word: str) -> bool:
        """Say whether a verb begins with this word; a quick look before the real one."""
        return word.lower() in self._words.beginnings

    def beginning(self, text: str) -> Meaning:
        """Return what a text says that begins with a verb, read as far as its words are known; else `UNKNOWN`."""
        terms = self._words.terms(text)
        if not terms or not terms[0].done:
            return UNKNOWN
        known = 1
        while known < len(terms) and (terms[known].thing or terms[known].product or "noise" in terms[known].marks):
            known += 1
        return self.meaning(" ".join(term.text for term in terms[:known]))

    def read(self, text: str, group: str = "") -> Reading:
        """Return what a text says, word by word."""
        whole, context = self._words.terms(text), self._words.terms(group[:LONGEST_ACTION])
        reading = Reading(product=next((term.product for term in (*whole, *context) if term.product), None))
        terms = [term for term in whole if not term.product and "noise" not in term.marks]
        place = self._verb(terms, reading)
        if place is None:
            return reading
        self._outcome(terms, reading)
        after, rest = _until_preposition(terms[place + 1 :])
        before, _ = _until_preposition(terms[:place])
        if reading.complete and before and before[-1].named == reading.act and not before[-1].thing:
            before = before[:-1]  # `page export downloaded`: the act said twice
        if not reading.complete and after and after[0].marks & _STATUS:  # `permission remove request`
            after = ()
        phrase = _phrase(after)
        if terms[place].kind == "operation":  # `system backup failed`: the act is the thing as well
            phrase = _Phrase(terms[place], (), empty=False)
        if phrase.empty and before:
            phrase = _phrase(before)
        if phrase.empty and rest and rest[0].text in {"of", "to"}:  # `deletion of account`, `access to site granted`
            phrase = _phrase(_until_preposition(rest[1:])[0]) if rest[0].text == "of" else phrase
        if phrase.empty or (phrase.attribute and phrase.head is None):
            phrase = _Phrase(_last_thing(context), (), phrase.attribute, empty=False)
        self._object(reading, phrase, rest, context)
        people = [_PEOPLE[term.kind] for term in terms if term.kind in _PEOPLE]
        reading.person = "user" if reading.thing == "admin" and not people else (people[0] if people else "")
        return reading

    # ------------------------------------------------------------------------------------------------- the act

    def _verb(self, terms: list[Term], reading: Reading) -> int | None:
        done = [place for place, term in enumerate(terms) if term.done]
        if done:
            last = done[-1]
            ends = last + 1 == len(terms) or not terms[last + 1].marks.isdisjoint({"preposition", *_STATUS})
            place = last if ends or done[0] > 0 else 0
            reading.act, reading.verb, reading.complete = terms[place].done, terms[place].text, True
            return place
        for place, term in enumerate(terms):
            if "cancelled" in term.marks:
                reading.act, reading.verb, reading.complete = "cancel", term.text, True
                return self._cancelled(terms, place)
        named = self._named(terms)
        if named is not None:
            reading.act, reading.verb = terms[named].named, terms[named].text
            return named
        for place, term in enumerate(terms):
            if term.text in {"requested", "started"}:
                reading.act, reading.verb = {"requested": "request", "started": "start"}[term.text], term.text
                return place
        return None

    @staticmethod
    def _cancelled(terms: list[Term], place: int) -> int:
        """Return where the thing is to be looked for: behind what was cancelled, or before it."""
        if place == 0 and len(terms) > 1 and terms[1].named:
            return 1
        if place > 0 and terms[place - 1].named and not terms[place - 1].thing:
            return place - 1
        return place

    @staticmethod
    def _named(terms: list[Term]) -> int | None:
        """Return the place of the base form or noun that is the verb of the sentence."""
        for place in range(len(terms) - 1, -1, -1):
            if not terms[place].named:
                continue
            following = terms[place + 1 :]
            if not following or not following[0].marks.isdisjoint({"preposition", *_STATUS}):
                return place
            if place == 0 or (place > 1 and terms[place - 1].text == "to" and terms[place - 2].marks & _STATUS):
                return place
        return None

    @staticmethod
    def _outcome(terms: list[Term], reading: Reading) -> None:
        status = [term for term in terms if term.marks & _STATUS and term.text != reading.verb]
        if reading.complete:  # a request that was created is a thing, not an open question
            status = [term for term in status if term.text != "request"]
        reading.status = tuple(term.text for term in status)
        if any("failed" in term.marks for term in status):
            reading.outcome = "failure"
        elif any("open" in term.marks for term in status) or reading.act in {"request", "start"}:
            reading.outcome = "unknown"
        elif reading.complete or any("completed" in term.marks for term in status):
            reading.outcome = "success"

    # ----------------------------------------------------------------------------------------------- the thing

    def _object(self, reading: Reading, phrase: _Phrase, rest: Sequence[Term], context: Sequence[Term]) -> None:
        head, act = phrase.head, reading.act or ""
        if head is not None and head.thing == "request":
            head = self._requested(reading, phrase, rest) or head
            act = reading.act or ""
        if head is None:
            return
        if (wider := _last_thing(context)) is not None and "scheme" in head.text:
            head = self._words.thing(f"{wider.thing}_{head.thing}") or head
        reading.thing, reading.kind, reading.noun = head.thing, head.kind, head.text
        if phrase.attribute and act in _SETTING:
            reading.act = "change"
        elif act in _MEMBERSHIP and head.kind in _PEOPLE:
            self._membership(reading, phrase, rest)
        elif act in _UNASSIGN and head.thing in self._words.assignable and rest and rest[0].text in _PLACED:
            reading.act = _UNASSIGN[act]

    def _requested(self, reading: Reading, phrase: _Phrase, rest: Sequence[Term]) -> Term | None:
        """Return what a request is about: `request to transfer repository`, `access request`."""
        about = _phrase(_until_preposition(rest[2:])[0]).head if len(rest) > 2 and rest[1].named else None
        about = about or _last_thing(phrase.before)
        if about is not None:
            reading.act = _REQUESTS.get(reading.act or "", reading.act)
        return about

    def _membership(self, reading: Reading, phrase: _Phrase, rest: Sequence[Term]) -> None:
        """Tell joining a group from being made: `user added to group`, `group added`."""
        act = _MEMBERSHIP[reading.act or ""]
        place = _phrase(_until_preposition(rest[1:])[0]).head if rest and rest[0].text in {"to", "from"} else None
        inside = _last_thing(phrase.before)
        if (place is not None and place.kind == "group") or (
            reading.thing == "member" and inside is not None and inside.kind == "group"
        ):
            reading.act, reading.thing, reading.kind = act, "group", "group"
        elif place is not None and "container" in place.marks:
            reading.act, reading.thing = act, "member"
        elif reading.kind == "group" and reading.act != "delete":
            reading.act = {"add": "create", "remove": "delete"}[act]


def _until_preposition(terms: Sequence[Term]) -> tuple[Sequence[Term], Sequence[Term]]:
    for place, term in enumerate(terms):
        if "preposition" in term.marks:
            return terms[:place], terms[place:]
    return terms, ()


def _last_thing(terms: Sequence[Term]) -> Term | None:
    return next((term for term in reversed(terms) if term.thing), None)


def _phrase(terms: Sequence[Term]) -> _Phrase:
    """Read a noun phrase from its end."""
    words = [term for term in terms if not (term.marks & _STATUS and not term.thing)]
    if not words:
        return _Phrase()
    attribute = False
    while words and "attribute" in words[-1].marks and (len(words) > 1 or not words[-1].thing):
        words.pop()
        attribute = True
    if not words:
        return _Phrase(attribute=attribute, empty=False)
    head = words[-1]
    return _Phrase(head if head.thing else None, words[:-1], attribute, empty=False)
