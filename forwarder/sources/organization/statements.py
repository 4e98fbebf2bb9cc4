"""How an act went, where an event says so beside its action: `{"status": "FAILED"}`, `{"success": false}` ….

`outcomes.toml` of the catalogue has the names and the words. A word that is in no table says nothing good: it leaves an
act of which the id only says that it was tried without an outcome.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from forwarder.catalogue import read_table
from forwarder.normalize.json_texts import unpacked
from forwarder.normalize.singulars import singular

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from forwarder.catalogue import Outcome

LONGEST = 200
"""Characters of a value that are read; what a reason may have as well."""

MOST = 20
"""Values of a list that are listened to."""

DEEPEST = 8
MOST_MEMBERS = 2000
"""How deep, and at how many members in all, the attributes of an entry are looked at."""

Verdict = Literal["success", "failure", "unclear"]

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BREAK = re.compile(r"[\W_]+")
_CODE = re.compile(r"[1-5][0-9][0-9]", re.ASCII)
_CODES: dict[str, Verdict] = {"2": "success", "4": "failure", "5": "failure"}
_NOT_LATIN = re.compile(r"[\u1100-\u11ff\u3040-\u30ff\u4e00-\u9fff]")
_WORD_OF = ("status", "outcome", "result", "code", "value", "name", "message")
_TRUE, _FALSE = {"true", "yes", "y", "1", "on"}, {"false", "no", "n", "0", "off"}


class Statement(NamedTuple):
    """One thing that is said of how it went.

    Attributes:
        verdict: What that means.
        certain: It is said of the act, not perhaps of the thing it was done to.
        reason: Why it failed, in the words of the source.
        own: It is the status of a thing that has one of its own, which only a sign-in is never done to.
    """

    verdict: Verdict
    certain: bool
    reason: str | None = None
    own: bool = False


class _Names(msgspec.Struct, frozen=True):
    outcome: frozenset[str]
    status: frozenset[str]
    state: frozenset[str]
    acts: frozenset[str]
    entries: frozenset[str]
    succeeded: frozenset[str]
    failed: frozenset[str]
    error: frozenset[str]
    reason: frozenset[str]
    sign_ins: frozenset[str]


class _Words(msgspec.Struct, frozen=True, rename={"negation": "not"}):
    success: frozenset[str]
    failure: frozenset[str]
    surely: frozenset[str]
    negation: frozenset[str]
    filler: frozenset[str]
    none: frozenset[str]


class _Search(NamedTuple):
    """How deep a look still goes, how many members it has left, and whether what it finds is surely said of the act."""

    depth: int
    left: list[int]
    sure: bool

    def deeper(self, *, sure: bool | None = None) -> _Search:
        return _Search(self.depth - 1, self.left, self.sure if sure is None else sure)


class Outcomes:
    """Reads what entries say of how it went.

    Args:
        table: `outcomes.toml`.

    Attributes:
        elsewhere: Acts, kinds and things that a status without a known word leaves without an outcome.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.elsewhere = frozenset(table["elsewhere"])
        self._own_status = frozenset(table["own_status"])
        self._names = msgspec.convert(table["names"], _Names)
        self._words = msgspec.convert({name: [*map(plain, words)] for name, words in table["words"].items()}, _Words)
        words = self._words.success | self._words.failure
        self._within = sorted((word for word in words if _NOT_LATIN.search(word)), key=len, reverse=True)
        self._roles: dict[str, str] = {}

    def read(self, kind: str, attributes: Iterable[tuple[str, Any]], *, of_event: bool = False) -> list[Statement]:
        """Return what the attributes of an entry say; `kind` is that of the entry, in the singular.

        With `of_event` they are members of the event itself, which is the act.
        """
        found: list[Statement] = []
        self._gather(found, kind, attributes, _Search(DEEPEST, [MOST_MEMBERS], of_event or kind in self._names.entries))
        return found

    def _is_own(self, role: str, kind: str) -> bool:
        return role in {"status", "state"} and kind in self._own_status

    def _gather(self, found: list[Statement], kind: str, members: Iterable[tuple[str, Any]], at: _Search) -> None:
        """Add what members say and what lies in them: `{"details": [{"name": "status", "value": "FAILED"}]}`."""
        reasons: list[Statement] = []
        before = len(found)
        for name, value in members:
            at.left[0] -= 1
            if at.left[0] < 0:
                return
            role = self._role(name)
            if role == "reason" and type(value) is str:
                if kind in self._names.sign_ins and self.verdict(value) == "failure":
                    reasons.append(Statement("failure", certain=True, reason=_reason(value)))
            elif role and role != "reason":
                within = self._statements(role, kind, value, at)
                found += [one._replace(own=True) for one in within] if self._is_own(role, kind) else within
            elif at.depth and type(inner := unpacked(value)) in (dict, list):
                inside = singular(name)
                own = inside if inside in self._own_status else kind
                for part in inner[:MOST] if type(inner) is list else [inner]:
                    if type(part) is dict:
                        self._gather(found, own, pairs(part), at.deeper(sure=at.sure and own == kind))
        if len(found) == before:
            found += reasons

    def _role(self, name: str) -> str:
        role = self._roles.get(name)
        if role is None:
            role = self._find_role(_BREAK.sub("", name).lower()) if len(name) <= LONGEST else ""
            if len(self._roles) >= MOST * MOST:
                self._roles.clear()
            self._roles[name] = role
        return role

    def _find_role(self, name: str) -> str:
        names = self._names
        for role in ("outcome", "status", "state", "succeeded", "failed", "error", "reason"):
            if name in getattr(names, role):
                return role
        for end in (*names.outcome, *names.status):
            if name.endswith(end) and name.removesuffix(end) in names.acts:
                return "act"
        for end in (*names.succeeded, *names.failed):
            if name.endswith(end) and name.removesuffix(end) in names.acts:
                return "succeeded" if end in names.succeeded else "failed"
        return ""

    def _statements(self, role: str, kind: str, value: Any, at: _Search) -> list[Statement]:
        """Return what a member says that tells how it went, or what is said within it: `{"success": false}`."""
        value = unpacked(value)
        if type(value) is list and value and at.depth:
            return [one for part in value[:MOST] for one in self._statements(role, kind, part, at.deeper())]
        if type(value) is dict and value:
            inside: list[Statement] = []
            if at.depth:
                self._gather(inside, kind, pairs(value), at.deeper())
            if inside:
                return inside
            word = next((value[name] for name in _WORD_OF if value.get(name) is not None), "?")
            if type(word) is dict or type(word) is list:
                return self._statements(role, kind, word, at.deeper()) if at.depth else []
            value = word
        one = self._statement(role, value, sure=at.sure)
        return [one] if one is not None else []

    def _statement(self, role: str, value: Any, *, sure: bool) -> Statement | None:
        text = str(value) if isinstance(value, str | int) else "?" if value else ""
        if not text.strip():  # a place for a word that holds none speaks for nothing, least of all for success
            empty = role in {"outcome", "status", "act", "succeeded"}
            return Statement("unclear", certain=sure or role == "outcome") if empty else None
        if role in {"error", "succeeded", "failed"}:
            return self._of_a_flag(role, value, text, sure=sure)
        verdict = self.verdict(text)
        if verdict == "unclear":  # where things are in is a state as well
            return Statement(verdict, certain=sure or role == "outcome") if role != "state" else None
        certain = role not in {"status", "state"} or not self._words.surely.isdisjoint(_words_of(text))
        return Statement(verdict, certain=sure or certain)

    def _of_a_flag(self, role: str, value: Any, text: str, *, sure: bool) -> Statement | None:
        """Return what is said by what need only be true, or there."""
        low = plain(text.strip())
        if role == "error":
            none = "".join(_words_of(text)) in self._words.none
            return None if none else Statement("failure", certain=True, reason=_reason(value))
        if low in _TRUE | _FALSE:
            return Statement("success" if (low in _TRUE) == (role == "succeeded") else "failure", certain=True)
        if role == "failed":
            return Statement("failure", certain=True, reason=_reason(value))
        verdict = self.verdict(text)
        return Statement(verdict, certain=sure or verdict != "unclear")

    def verdict(self, text: str) -> Verdict:
        """Return what a text for how it went means; whatever is not wholly understood is unclear."""
        if len(text) > LONGEST:
            return "unclear"
        words = self._words
        if _CODE.fullmatch(text.strip()):
            return _CODES.get(text.strip()[0], "unclear")
        terms = _words_of(text)
        for known, verdict in ((words.failure, "failure"), (words.success, "success")):
            if "".join(terms) in known:
                return verdict  # type: ignore[return-value]
        terms = [self._inside(term) for term in terms]
        good = any(term in words.success for term in terms)
        bad = any(term in words.failure for term in terms)
        denied = any(term in words.negation for term in terms)
        if bad:
            return "unclear" if denied or good else "failure"
        if denied:
            return "failure" if good else "unclear"
        return "success" if good and all(t in words.success or t in words.filler for t in terms) else "unclear"

    def _inside(self, term: str) -> str:
        """Return a word that is a part of one in a script without blanks between words."""
        if not _NOT_LATIN.search(term) or term[:1] in "不未非":
            return term
        return next((word for word in self._within if word in term and "不" not in term and "未" not in term), term)


@cache
def outcomes() -> Outcomes:
    """Return the reader of the table that comes with the package."""
    return Outcomes(read_table("outcomes.toml"))


def decide(
    own: Outcome, statements: Iterable[Statement], *, elsewhere: bool, signs_in: bool = False
) -> tuple[Outcome, str | None]:
    """Return how an act went, and why it failed; `own` is what its id says.

    Two that contradict each other leave it open, and so does a word no one knows where it is surely said of the act or
    the id says no more than that the act was tried (`elsewhere`). Such an act is no success beside a thing that failed.
    """
    everything = list(statements)
    relevant = [one for one in everything if (not one.own or signs_in) and (one.certain or elsewhere)]
    verdicts = {one.verdict for one in relevant}
    if "failure" in verdicts:
        reason = next((one.reason for one in relevant if one.reason), None)
        return ("unknown", None) if "success" in verdicts else ("failure", reason)
    doubted = everything if own == "unknown" and "success" in verdicts else relevant
    unclear = any(one.verdict == "unclear" and (one in relevant or not one.own) for one in doubted)
    if unclear or (elsewhere and any(one.own and one.verdict == "failure" for one in everything)):
        return ("failure" if own == "failure" else "unknown"), None
    if "success" in verdicts:
        return ("unknown" if own == "failure" else "success"), None
    return own, None


def pairs(members: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Return the members of an object; those of `{"name": "status", "value": "FAILED"}` are one."""
    name = next((members[word] for word in ("name", "key") if isinstance(members.get(word), str)), None)
    return [(name, members["value"])] if name is not None and "value" in members else members.items()


def _reason(value: Any) -> str | None:
    return value[:LONGEST] if isinstance(value, str) and value != "?" else None


def plain(text: str) -> str:
    """Return a text in small letters without any marks on them, so that spellings and cases of all languages meet."""
    bare = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return unicodedata.normalize("NFKD", bare.casefold()).replace("\u0131", "i").replace("\u0307", "")


def _words_of(text: str) -> list[str]:
    return [word for word in _BREAK.split(plain(_HUMP.sub(" ", text[:LONGEST]))) if word]
