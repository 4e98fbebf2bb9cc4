"""Sentences as terms: where the verb is, whether it may be another one, whether it failed, and what a phrase names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.catalogue.vocabulary import Term

STATUS = frozenset({"failed", "completed", "open", "cancelled"})
_NEGATIONS = frozenset({"not", "cannot"})
_AMBIGUOUS = frozenset({"by", "with", "in", "for", "on", "at"})


class Phrase(msgspec.Struct):
    """A noun phrase: its head, the words before it, and whether it names what the thing has, not what it is."""

    head: Term | None = None
    before: Sequence[Term] = ()
    attribute: bool = False
    empty: bool = True


def cancelled_thing(terms: Sequence[Term], place: int) -> int:
    """Return where the thing is to be looked for: behind what was cancelled, or before it."""
    if place == 0 and len(terms) > 1 and terms[1].named:
        return 1
    if place > 0 and terms[place - 1].named and not terms[place - 1].thing:
        return place - 1
    return place


def base_form(terms: Sequence[Term]) -> int | None:
    """Return the place of the base form or noun that is the verb: at the end, or first before a thing that is known."""
    for place in range(len(terms) - 1, -1, -1):
        if place and terms[place].thing and terms[0].named and not terms[0].thing:
            continue  # `delete invitation` invites no one
        if terms[place].named and (
            ends(terms, place)
            or (
                (place == 0 or (place == 1 and terms[0].text in _NEGATIONS))
                and phrase_of(until_preposition(terms[place + 1 :])[0]).head
            )
        ):
            return place
    return None


def unsure(terms: Sequence[Term], place: int, *, complete: bool) -> bool:
    """Say whether another word may as well be the verb, so that none is.

    That is a verb no one knows behind the one that is known (`export of space paused`) or before a noun (`lifted
    suspension`), a base form at the end of what begins with a participle (`deleted_page_restore`), and two participles
    that may each be the adjective (`deleted page created by user`, `project restored deleted`).
    """
    later = [at for at in range(place + 1, len(terms)) if "verb" in terms[at].marks and ends(terms, at)]
    if any(terms[at - 1].text != "and" for at in later):
        return True
    if not complete:
        return "verb" in terms[0].marks
    if place and terms[place - 1].done and not terms[place - 1].thing:
        return True
    if not ends(terms, place):
        last = until_preposition(terms[place + 1 :])[0][-1]
        return last.named not in {None, terms[place].done} and not last.thing and not last.done
    following = terms[place + 1].text if place + 1 < len(terms) else ""
    return terms[0].done not in {None, terms[place].done} and following in _AMBIGUOUS


def has_another(terms: Sequence[Term], spelled: Sequence[str]) -> bool:
    """Say whether a sentence that begins with a participle has its verb elsewhere: `Deleted page restored`.

    A capital says that it begins a title: `Shared page Deleted users`.
    """
    return any(
        (term.done or "verb" in term.marks) and ends(terms, at) and term.text.partition("_")[0] in spelled
        for at, term in enumerate(terms)
        if at
    )


def ends(terms: Sequence[Term], place: int) -> bool:
    """Say whether nothing follows but how it went and where."""
    return place + 1 == len(terms) or not terms[place + 1].marks.isdisjoint({"preposition", *STATUS})


def after_to(terms: Sequence[Term]) -> int | None:
    """Return the place of the base form after `failed to`, unless the sentence has had its verb before."""
    for place, term in enumerate(terms[:-2]):
        if term.done:
            return None
        if (
            term.marks & {"failed", "open"}
            and not term.thing
            and terms[place + 1].text == "to"
            and terms[place + 2].named
        ):
            return place + 2
    return None


def participle(terms: Sequence[Term]) -> int | None:
    """Return the place of the participle that is the verb: `user granted role`, `deleted page restored`."""
    done = [place for place, term in enumerate(terms) if term.done]
    ending = [place for place in done if ends(terms, place)]
    if ending:
        return ending[-1]
    if done and done[0] == 0:
        return 0
    return next((place for place in reversed(done) if terms[place - 1].thing), None)


def act_failed(terms: Sequence[Term], verb: int, *, complete: bool) -> bool:
    """Say whether it is the act that failed, and nothing else that is spoken of."""
    for place, term in enumerate(terms):
        if "failed" not in term.marks or place == verb:
            continue
        between = terms[place + 1 : verb]
        if place > verb:
            decides = ends(terms, place)
        elif complete:
            decides = all(word.text == "to" for word in between)
        else:  # `failed project import`, but not `failed login report view`
            decides = not any(word.named and not word.thing for word in between)
        if decides:
            return True
    return False


def until_preposition(terms: Sequence[Term]) -> tuple[Sequence[Term], Sequence[Term]]:
    """Split a sentence before its first preposition."""
    for place, term in enumerate(terms):
        if "preposition" in term.marks:
            return terms[:place], terms[place:]
    return terms, ()


def only_thing(terms: Sequence[Term]) -> Term | None:
    """Return the last word that names a thing, unless several are listed: `Users, groups and roles`."""
    return None if any(term.text == "and" for term in terms) else last_thing(terms)


def last_thing(terms: Sequence[Term]) -> Term | None:
    """Return the last word that names a thing."""
    return next((term for term in reversed(terms) if term.thing), None)


def phrase_of(terms: Sequence[Term]) -> Phrase:
    """Read a noun phrase from its end."""
    words = [term for term in terms if not (term.marks & STATUS and not term.thing)]
    if not words:
        return Phrase()
    attribute = False
    while words and "attribute" in words[-1].marks and (len(words) > 1 or not words[-1].thing):
        words.pop()
        attribute = True
    if not words:
        return Phrase(attribute=attribute, empty=False)
    head = words[-1]
    return Phrase(head if head.thing else None, words[:-1], attribute, empty=False)
