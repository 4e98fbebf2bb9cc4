"""How an act went of which the id says only what it is, by the message: `Ann Admin updated organization settings`.

A message is content. It counts only where it says the very act and thing in words that are all known, next to the name
of whoever acted, and nothing else in it may be about a failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.catalogue.sentences import STATUS
from forwarder.catalogue.vocabulary import LONGEST_ACTION

if TYPE_CHECKING:
    from forwarder.catalogue.grammar import Grammar
    from forwarder.catalogue.meaning import Meaning, Outcome
    from forwarder.catalogue.vocabulary import Term, Vocabulary

_OF_ANOTHER = frozenset({"was", "is", "be", "been", "were", "and", "or", "with", "of"})
"""Words behind a name that make what follows something that was done to it, or the name go on."""

_SAME = {"remove": "delete", "add": "create"}
"""Acts that sentences call each other: who removed a project deleted it."""

_SWITCHED = {"enable", "disable"}
_DOUBTS = frozenset({"not", "never", "but", "nothing", "cannot", "couldn't", "didn't"})
_ORG = frozenset({"org", "organization", "organisation", "product", "site"})
_FAILURE_WORDS = 6


class Messages:
    """Reads messages.

    Args:
        vocabulary: The words.
        grammar: Reads their sentences.
    """

    def __init__(self, vocabulary: Vocabulary, grammar: Grammar) -> None:
        self._words = vocabulary
        self._grammar = grammar

    def outcome(self, action: str, before: Meaning, message: str, actor: str | None) -> Outcome:
        """Return how the act of `before` went by the words next to the actor's own name."""
        if before.act is None or before.outcome != "unknown" or not actor:
            return "unknown"
        if self._is_open(action) or (before.name and self._is_open(before.name)):
            return "unknown"
        if message.startswith(actor):
            rest = message[len(actor) : len(actor) + LONGEST_ACTION]
            return self._active(rest, before) if rest[:1].isspace() else "unknown"
        sentence = message.rstrip(". \n")
        passive = sentence.removesuffix(f" by {actor}")
        return self._passive(passive, before) if passive != sentence and len(passive) <= LONGEST_ACTION else "unknown"

    def _is_open(self, text: str) -> bool:
        """Say whether a text says itself that something was only tried, asked for or begun, or how it went."""
        return len(text) > LONGEST_ACTION or bool(self._grammar.read(text).status)

    def _active(self, text: str, before: Meaning) -> Outcome:
        """Return how the act of `before` went by a sentence without its subject: ` updated organization settings`.

        The verb stands first and is that act; only words that are known may stand before what was done to what is told.
        """
        spelled = text.split()
        terms = self._words.terms(text)
        bare = [term for term in terms if "noise" not in term.marks]
        if not bare:
            return "unknown"
        failed = "failed" in bare[0].marks
        if spelled[0].lower().strip(".,:;") in _OF_ANOTHER and not failed:
            return "unknown"
        if "completed" in bare[0].marks and len(bare) > 1 and bare[1].done:  # `successfully updated`
            bare = bare[1:]
        if self._is_same(bare[0].done, before.act):
            known = len(bare) == 1 or self._is_known(bare[1])
            doubt = any(term.marks & {"failed", "open", "cancelled"} and not term.thing for term in bare[1:])
            return "success" if known and not doubt and not _DOUBTS.intersection(map(str.lower, spelled)) else "unknown"
        found = self._grammar.read(" ".join(spelled[:_FAILURE_WORDS]))
        return (
            "failure" if failed and found.outcome == "failure" and self._is_same(found.act, before.act) else "unknown"
        )

    def _passive(self, text: str, before: Meaning) -> Outcome:
        """Return how the act of `before` went by a sentence in the passive voice: `Organization settings were updated`.

        Every word of it must be known: whatever is not may be someone's title.
        """
        terms = [term for term in self._words.terms(text) if "noise" not in term.marks]
        if not terms or not all(self._is_known(term) or term.done or term.marks & STATUS for term in terms):
            return "unknown"
        found = self._grammar.read(text)
        same = found.thing in {before.object, "setting"} and self._is_same(found.act, before.act)
        return found.outcome if same else "unknown"

    @staticmethod
    def _is_same(act: str | None, other: str | None) -> bool:
        if act == "change" and other in _SWITCHED:  # settings are updated
            return True
        return act is not None and _SAME.get(act, act) == _SAME.get(other or "", other)

    @staticmethod
    def _is_known(term: Term) -> bool:
        return bool(
            term.thing or term.product or term.marks & {"preposition", "attribute", "container"} or term.text in _ORG
        )
