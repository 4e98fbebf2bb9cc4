"""What can be asked by a browser: the fields of the form, and the words of the command that they become.

Invariant: what a browser sent is one word of its own, behind `--` or behind the name and `=` of the one option that it
is for; so it is never an option.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts.errors import ConfigError
from forwarder.investigate.faces.markup import foreign, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forwarder.admin.kept_places import Place

KINDS = {
    "user": "What did this account do?",
    "content": "Who looked at this page or issue?",
    "ip": "Who came from this address?",
    "token": "What was this token used for?",
    "group": "What happened to this group?",
    "app": "What did this app do?",
    "day": "What was unusual on this day?",
    "hunt": "What do the shipped detections find?",
}
"""Questions, by the word of the command."""

_LONGEST = 1000
_ONLY = {
    "": "everything", "views": "views", "changes": "changes", "exports": "exports", "rights": "rights",
    "logins": "logins",
}  # fmt: skip


class _Field(msgspec.Struct, frozen=True):
    """One field: its name in the query, its option, what people read, and whether a hunt has it, too."""

    name: str
    option: str
    label: str
    hint: str = ""
    choices: Mapping[str, str] = {}
    hunts: bool = True


_FIELDS = (
    _Field("from", "--from", "From", "2026-01-31, 2026-01-31T12:00 or 7d"),
    _Field("to", "--to", "To, excluded", "the same; empty: until now"),
    _Field("zone", "--tz", "Time zone", "Europe/Berlin; empty: admin.time_zone"),
    _Field("only", "--only", "In the timeline", choices=_ONLY, hunts=False),
    _Field("around", "--around", "Around an event", "its id: half an hour before and after", hunts=False),
    _Field("gap", "--gap", "A session ends after", "a pause of 30m", hunts=False),
    _Field("case", "--case", "Case", "for the report"),
    _Field("reason", "--reason", "Reason", "for the report"),
)
_SHOWN = 3
"""Fields that are always shown; the others are folded."""

NAMES = ("kind", "who", "in", *(field.name for field in _FIELDS))
"""What a query may hold."""


def words_of(asked: Mapping[str, str], places: Mapping[str, Place]) -> tuple[str, ...]:
    """Return the words of the command, but for its answer to us. Raises ConfigError with what to change."""
    kind, who = asked.get("kind", ""), asked.get("who", "").strip()
    if kind not in KINDS:
        raise ConfigError(f"There is no such question; there are: {', '.join(KINDS)}.")
    if not who and kind != "hunt":
        raise ConfigError("Write whom or what to look for.")
    if any(len(text) > _LONGEST for text in asked.values()):
        raise ConfigError(f"That is longer than {_LONGEST} characters; write less.")
    if any("\0" in text for text in asked.values()):
        raise ConfigError("There is a zero byte in it; write it again by hand.")
    place = places.get(asked.get("in") or next(iter(places), ""))
    if place is None:
        raise ConfigError("Nothing of this name is kept; choose one of the list.")
    asked = {**asked, "zone": asked.get("zone", "").strip() or place.zone}
    given = [(field, text) for field in _FIELDS if (text := asked.get(field.name, "").strip())]
    options = (*place.words(), *(f"{field.option}={text}" for field, text in given))
    if kind != "hunt":
        people = (f"--directory={place.people}",) if kind == "user" and place.people is not None else ()
        return ("investigate", kind, *options, *people, "--", who)
    if left := [field.label for field, _ in given if not field.hunts]:
        raise ConfigError(f"A hunt has no timeline; leave out: {', '.join(left)}.")
    return ("hunt", *options, *((f"--rule={who}",) if who else ()))


def form(asked: Mapping[str, str], places: Mapping[str, Place], ticket: str) -> str:
    """Return the form, filled in."""
    kinds = {kind: f"{kind}: {question}" for kind, question in KINDS.items()}
    titles = {name: f"{name} ({place.title})" for name, place in places.items()}
    fields = [_field(field, asked) for field in _FIELDS]
    more = any(asked.get(field.name) for field in _FIELDS[_SHOWN:])
    place = f'<label class="wide">Where{_select("in", titles, asked)}</label>' if len(places) > 1 else ""
    return (
        '<form method="get" action="/investigate" role="search" aria-label="Investigate" class="ask">'
        f'<label class="wide">Question{_select("kind", kinds, asked)}</label>'
        '<label class="wide">Who or what? Account id, e-mail address or name; id, key or address of a page; IP address;'
        f" token, group or app; date; of a hunt one rule, or nothing for all"
        f'<input type="search" name="who" value="{plain(asked.get("who", ""))}"'
        f' maxlength="{_LONGEST}" autocomplete="off" autocapitalize="off" spellcheck="false" autofocus></label>'
        f"{place}{''.join(fields[:_SHOWN])}"
        f'<details{" open" * more}><summary>More</summary><div class="ask">{"".join(fields[_SHOWN:])}</div></details>'
        f'<input type="hidden" name="ticket" value="{escape(ticket)}">'
        '<p class="wide"><button class="button">Ask</button></p></form>'
    )


def title_of(asked: Mapping[str, str]) -> str:
    """Return what was asked, as markup."""
    return f"{plain(asked.get('kind', ''))} {foreign(asked.get('who', ''))}"


def _field(field: _Field, asked: Mapping[str, str]) -> str:
    if field.choices:
        return f"<label>{field.label}{_select(field.name, field.choices, asked)}</label>"
    return (
        f'<label>{field.label}<input name="{field.name}" value="{plain(asked.get(field.name, ""))}"'
        f' placeholder="{escape(field.hint)}" maxlength="{_LONGEST}" autocomplete="off"></label>'
    )


def _select(name: str, choices: Mapping[str, str], asked: Mapping[str, str]) -> str:
    options = (
        f'<option value="{plain(value)}"{" selected" * (asked.get(name, "") == value)}>{plain(text)}</option>'
        for value, text in choices.items()
    )
    return f'<select name="{name}">{"".join(options)}</select>'
