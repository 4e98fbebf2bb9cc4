"""What a person can do from the page: a form for each act, through the verbs of the control socket.

A form is there only for a verb that this daemon has; where nobody may act, the command that does the same stands in its
place. What cannot be undone asks once more, in the form itself.
"""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.contracts.errors import ConfigError
from forwarder.contracts.text import visible
from forwarder.investigate.faces.markup import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

PATH = "/do"
_LONGEST = 1000
_MS = 1000


class Act(msgspec.Struct, frozen=True):
    """One act.

    Attributes:
        verb: Of the control socket.
        label: What stands on the button.
        argument: Makes the argument of the verb from the fields of the form. Raises ConfigError.
        done: What is said when it is done.
        command: What does the same in a terminal, with the fields of the form in braces.
        sure: What has to be agreed to first; empty: nothing.
        says: Makes what is said, besides, of the verb's result.
    """

    verb: str
    label: str
    argument: Callable[[Mapping[str, str]], dict[str, Any]]
    done: str
    command: str
    sure: str = ""
    says: Callable[[Any], str] = lambda _: ""


def _sink(fields: Mapping[str, str]) -> dict[str, Any]:
    return {"sink": _needed(fields, "sink")}


def _source(fields: Mapping[str, str]) -> dict[str, Any]:
    return {"source": _needed(fields, "source")}


def _letters(fields: Mapping[str, str]) -> dict[str, Any]:
    sink, reason = _needed(fields, "sink"), _needed(fields, "reason")
    chosen = {"reasons": [reason], "upto": _count(fields, "upto")}
    return {"sink": sink, "chosen": chosen, "words": f"--sink {sink} --reason {reason}, on the page"}


def _replay(fields: Mapping[str, str]) -> dict[str, Any]:
    since, until = _minute(fields, "since"), _minute(fields, "until")
    if since >= until:
        raise ConfigError("The end of a replay comes after its beginning.")
    return {"sink": _needed(fields, "sink"), "since_ms": since, "until_ms": until - 1}


def _number(fields: Mapping[str, str]) -> dict[str, Any]:
    return {"number": _count(fields, "number")}


def _nothing(_: Mapping[str, str]) -> dict[str, Any]:
    return {}


def _reloaded(result: Any) -> str:
    """Say what a reload came to."""
    changes = list(getattr(result, "changes", ()))
    if not changes:
        return " Nothing has changed."
    waiting = ", ".join(str(each.path) for each in changes if each.needs_restart)
    now = ", ".join(str(each.path) for each in changes if not each.needs_restart)
    return (f" In force now: {now}." if now else "") + (f" In force after a restart: {waiting}." if waiting else "")


ACTS: Mapping[str, Act] = {
    "pause": Act(
        "lanes.pause", "Pause", _sink, "It is paused: nothing is sent to it until it is resumed.",
        "lanes pause {sink}",
    ),
    "resume": Act(
        "lanes.resume", "Resume", _sink, "It is resumed: what waits is sent.", "lanes resume {sink}"
    ),
    "retry": Act(
        "lanes.retry_now", "Try now", _sink, "It is tried now. The page shows what comes of it.",
        "lanes retry-now {sink}",
    ),
    "retry-source": Act(
        "cursors.retry_now", "Try now", _source, "It is tried now. The page shows what comes of it.",
        "cursors retry-now --source {source}",
    ),
    "forget": Act(
        "lanes.forget", "Forget", _sink, "It is forgotten; what waited for it is on record as a gap.",
        "lanes forget {sink}", "I know that what waits for it is never delivered.",
    ),
    "letters-retry": Act(
        "dead_letters.retry", "Retry", _letters, "They wait for the sink again.",
        "dead-letters retry --sink {sink} --reason {reason}",
    ),
    "letters-discard": Act(
        "dead_letters.discard", "Discard", _letters, "They are gone; who did it is on record.",
        "dead-letters discard --sink {sink} --reason {reason}", "I know that these events are removed for good.",
    ),
    "replay": Act(
        "replays.begin", "Send again", _replay, "The replay begins. Its events are sent beside live ones.",
        "replay --sink {sink} --from TIME --to TIME",
    ),
    "replay-cancel": Act(
        "replays.cancel", "End the replay", _number, "The replay has ended.", "replay cancel {number}",
        "I know that the rest of it is not sent.",
    ),
    "reload": Act(
        "daemon.reload", "Read the configuration again", _nothing, "The configuration was read again.", "reload",
        says=_reloaded,
    ),
}  # fmt: skip
"""By the last part of the address."""


class Hand:
    """Draws the forms of one page.

    Args:
        verbs: Names of the verbs that this daemon has; None where nobody may act on the page.
        ticket: What proves that a form is ours; put in for each reader.
    """

    def __init__(self, verbs: Collection[str] | None, ticket: str) -> None:
        self._verbs = verbs
        self._ticket = ticket

    @property
    def may_act(self) -> bool:
        """Whether somebody who sees the page may act on it."""
        return self._verbs is not None

    def form(
        self,
        name: str,
        ident: str,
        fields: Mapping[str, Any],
        *,
        label: str = "",
        inside: str = "",
        note: str = "",
        first: bool = False,
    ) -> str:
        """Return the form of an act, the command where nobody may act, or nothing when this daemon cannot do it.

        Args:
            name: Of the act.
            ident: Of its button; there is one such.
            fields: What the form sends besides.
            label: Instead of the usual words on the button.
            inside: Markup of further fields.
            note: Markup beside the button.
            first: It is what to do first.
        """
        act = ACTS[name]
        if self._verbs is None:
            return _typed(act, fields)
        if act.verb not in self._verbs:
            return ""
        hidden = "".join(
            f'<input type="hidden" name="{key}" value="{plain(str(value))}">'
            for key, value in {"ticket": self._ticket, **fields}.items()
        )
        sure = ""
        if act.sure:
            box = f'<input type="checkbox" name="sure" value="yes" required id="{plain(ident)}-sure">'
            sure = f'<label class="sure">{box}<span>{act.sure}</span></label>'
        look = "first" if first else "danger" if act.sure else "plain"
        button = f'<button id="{plain(ident)}" class="{look}">{plain(label or act.label)}</button>'
        return (
            f'<form method="post" action="{PATH[1:]}/{name}" class="act">{hidden}{inside}{sure}'
            f'<p class="row">{button}{note}</p></form>'
        )


def _typed(act: Act, fields: Mapping[str, Any]) -> str:
    """Return the command that does the same; names are the configuration's, reasons a sink's."""
    words = act.command.format_map({key: shlex.quote(visible(str(value))) for key, value in fields.items()})
    return f'<p class="small">{act.label}, in a terminal: <code>audit-forwarder {plain(words)}</code></p>'


def _needed(fields: Mapping[str, str], name: str) -> str:
    value = fields.get(name, "")
    if not value or len(value) > _LONGEST:
        raise ConfigError(f"The form lacks {name}; load the page again.")
    return value


def _count(fields: Mapping[str, str], name: str) -> int:
    value = fields.get(name, "")
    if not value.isascii() or not value.isdigit() or len(value) > len("9223372036854775807") - 1:
        raise ConfigError(f"The form lacks {name}; load the page again.")
    return int(value)


def _minute(fields: Mapping[str, str], name: str) -> int:
    """Return a minute of a form, which is in UTC, in epoch milliseconds."""
    try:
        at = datetime.fromisoformat(fields.get(name, "").strip())
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        return int(at.timestamp() * _MS)
    except (ValueError, OverflowError):
        raise ConfigError(f"Write {name} as day and time in UTC, such as 2026-01-31T12:00.") from None
