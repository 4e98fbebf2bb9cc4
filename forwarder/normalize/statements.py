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

from forwarder.normalize.catalogue import read_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from forwarder.normalize.catalogue import Outcome

LONGEST = 200
"""Characters of a value that are read; what a reason may have as well."""

MOST = 20
"""Statements of one event that are listened to."""

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
    succeeded: frozenset[str]
    failed: frozenset[str]
    error: frozenset[str]


class _Words(msgspec.Struct, frozen=True, rename={"negation": "not"}):
    success: frozenset[str]
    failure: frozenset[str]
    surely: frozenset[str]
    negation: frozenset[str]
    filler: frozenset[str]
    none: frozenset[str]


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

    def read(self, kind: str, attributes: Iterable[tuple[str, Any]]) -> list[Statement]:
        """Return what the attributes of an entry say; `kind` is that of the entry, in the singular."""
        found: list[Statement] = []
        for name, value in attributes:
            role = self._role(name)
            if role:
                said = self._statements(role, value)
                found += [one._replace(own=True) for one in said] if self._is_own(role, kind) else said
            elif type(value) is dict or type(value) is list:
                found += self._inside_of(kind, value)
        return found

    def _is_own(self, role: str, kind: str) -> bool:
        return role in {"status", "state"} and kind in self._own_status

    def _inside_of(self, kind: str, value: Any) -> list[Statement]:
        """Return what objects say that are the value of an attribute, one level deep: `{"details": {"status": …}}`."""
        parts = [part for part in (value[:MOST] if type(value) is list else [value]) if type(part) is dict]
        return [
            one._replace(own=self._is_own(role, kind))
            for part in parts
            for name, inner in pairs(part)
            if type(inner) is not dict and (role := self._role(name))
            for one in self._statements(role, inner)
        ]

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
        for role in ("outcome", "status", "state", "succeeded", "failed", "error"):
            if name in getattr(names, role):
                return role
        for end in (*names.outcome, *names.status):
            if name.endswith(end) and name.removesuffix(end) in names.acts:
                return "outcome"
        for end in (*names.succeeded, *names.failed):
            if name.endswith(end) and name.removesuffix(end) in names.acts:
                return "succeeded" if end in names.succeeded else "failed"
        return ""

    def _statements(self, role: str, value: Any) -> list[Statement]:
        values = value[:MOST] if isinstance(value, list) and value else [value]
        found: list[Statement] = []
        for part in values:
            inside = self._told_inside(part) if isinstance(part, dict) else []
            one = None if inside else self._statement(role, _inner(part))
            found += inside or ([one] if one is not None else [])
        return found

    def _told_inside(self, value: Mapping[str, Any]) -> list[Statement]:
        """Return what the members of a status say: `{"success": false, "error": "…"}`."""
        return [
            one
            for name, inner in value.items()
            if isinstance(inner, str | int) and (role := self._role(name))
            if (one := self._statement(role, inner)) is not None
        ]

    def _statement(self, role: str, value: Any) -> Statement | None:
        text = str(value) if isinstance(value, str | int) else "?" if value else ""
        if not text.strip():  # a place for a word that holds none speaks for nothing, least of all for success
            return Statement("unclear", certain=role == "outcome") if role in {"outcome", "status"} else None
        if role == "error":
            none = "".join(_words_of(text)) in self._words.none
            return None if none else Statement("failure", certain=True, reason=_reason(value))
        if role in {"succeeded", "failed"}:
            low = plain(text.strip())
            if low in _TRUE | _FALSE:
                return Statement("success" if (low in _TRUE) == (role == "succeeded") else "failure", certain=True)
            if role == "failed":
                return Statement("failure", certain=True, reason=_reason(value))
        verdict = self.verdict(text)
        if role == "state" and verdict == "unclear":
            return None  # where things are in is a state as well
        certain = role not in {"status", "state"} or not self._words.surely.isdisjoint(_words_of(text))
        return Statement(verdict, certain=certain)

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

    Two that contradict each other leave it open, and so does a word nobody knows where the id says no more than that
    the act was tried (`elsewhere`).
    """
    heard = [one for one in statements if (not one.own or signs_in) and (one.certain or elsewhere)]
    verdicts = {one.verdict for one in heard}
    if "failure" in verdicts:
        reason = next((one.reason for one in heard if one.reason), None)
        return ("unknown", None) if "success" in verdicts else ("failure", reason)
    if "unclear" in verdicts and elsewhere:
        return ("failure" if own == "failure" else "unknown"), None
    if "success" in verdicts:
        return ("unknown" if own == "failure" else "success"), None
    return own, None


def pairs(told: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """Return the members of an object; those of `{"name": "status", "value": "FAILED"}` are one."""
    name = next((told[word] for word in ("name", "key") if isinstance(told.get(word), str)), None)
    return [(name, told["value"])] if name is not None and "value" in told else told.items()


def _inner(value: Any) -> Any:
    """Return what an object says in one word: `{"code": "FAILED", "message": "…"}`."""
    if not isinstance(value, dict):
        return value
    return next((value[name] for name in _WORD_OF if isinstance(value.get(name), str | int)), "?" if value else "")


def _reason(value: Any) -> str | None:
    return value[:LONGEST] if isinstance(value, str) and value != "?" else None


def plain(text: str) -> str:
    """Return a text in small letters without any marks on them, so that spellings and cases of all languages meet."""
    bare = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return unicodedata.normalize("NFKD", bare.casefold()).replace("\u0131", "i").replace("\u0307", "")


def _words_of(text: str) -> list[str]:
    return [word for word in _BREAK.split(plain(_HUMP.sub(" ", text[:LONGEST]))) if word]
