"""`catalogue`: what actions mean, why an event means what it does, and which actions no one knows."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.catalogue import Catalogue, Meaning, load_catalogue
from forwarder.catalogue.known import LISTS
from forwarder.catalogue.ocsf import class_and_activity
from forwarder.cli.event_file import read_event
from forwarder.cli.terminal import print_json, print_line, print_text, show_rows
from forwarder.config.readings import find_config
from forwarder.contracts import ConfigError, Origin, Record, UnexpectedPayload
from forwarder.contracts.text import visible
from forwarder.daemon.action_lists import UnknownActions, learned_catalogue
from forwarder.exit_codes import ExitCode
from forwarder.formats.ecs.format import EcsFormat
from forwarder.sources.organization.normalizer import OrganizationNormalizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from forwarder.cli.invocation import Invocation
    from forwarder.config.settings import Settings

LAYERS = {
    "local": "a record in your own files",
    "attested": "a record of the catalogue: this action is publicly known",
    "organization": "the name that the organization itself gives it, read as English",
    "words": "the words of its id, or the verb that begins the message",
    "unknown": "nothing: no layer knows it, so no category is claimed",
}
HEAD = ("action", "list", "product", "does", "ECS category: type", "outcome", "severity")


def search(invocation: Invocation, words: Sequence[str]) -> ExitCode:
    """List the known actions in which every word occurs."""
    catalogue, _ = _catalogue(invocation)
    wanted = [word.casefold() for word in words]
    found = [row for row in _rows(catalogue) if all(word in " ".join(row).casefold() for word in wanted)]
    if not found:
        print_text("nothing is listed under these words; try `audit-forwarder catalogue explain ACTION`")
        return ExitCode.OK
    show_rows(found, head=HEAD)
    return ExitCode.OK


def _rows(catalogue: Catalogue) -> Iterator[list[str]]:
    for action, meaning in sorted(catalogue.local.items()):
        yield _row(action, "yours", meaning)
    for name in LISTS:
        for line, meaning in catalogue.records.lines(name):
            title = " · ".join(filter(None, (line.id, f"{line.group}: {line.name}" if line.group else line.name)))
            yield _row(title, name, meaning)
    for action in sorted(catalogue.learnt):
        if (meaning := catalogue.meaning(action)).layer not in {"attested", "local"}:
            yield _row(action, "organization's own", meaning)


def _row(title: str, where: str, meaning: Meaning) -> list[str]:
    severity = str(meaning.severity or "-")
    return [
        title,
        where,
        meaning.product or meaning.presumed or "-",
        _does(meaning),
        _ecs(meaning),
        meaning.outcome,
        severity,
    ]


def _does(meaning: Meaning) -> str:
    return " ".join(filter(None, (meaning.act, meaning.object))) or "-"


def _ecs(meaning: Meaning) -> str:
    return f"{', '.join(meaning.category)}: {', '.join(meaning.types)}" if meaning.category else "-"


def explain(invocation: Invocation, action: str | None, event: Path | None) -> ExitCode:
    """Say what an action or an event means, which layer decided, and which field went where. Raises ConfigError."""
    if (action is None) == (event is None):
        raise ConfigError("name an action, or a file with an event as JSON: --event FILE, --event - for standard input")
    catalogue, _ = _catalogue(invocation)
    if action is not None:
        _explain_action(catalogue, action, catalogue.meaning(action))
    elif event is not None:
        _explain_event(catalogue, read_event(event).body)
    return ExitCode.OK


def _explain_action(catalogue: Catalogue, action: str, meaning: Meaning) -> None:
    listed = catalogue.listed(action)
    severity = f"{meaning.severity} of 10: {meaning.reason or ''}" if meaning.severity else "none claimed"
    rows = [
        ["action", action],
        ["decided by", f"{meaning.layer}: {LAYERS[meaning.layer]}"],
        ["name", meaning.name or "-"],
        ["your organization says", f"{listed.name} ({', '.join(listed.groups)})" if listed is not None else "-"],
        ["product", meaning.product or meaning.presumed or "-"],
        ["does", _does(meaning)],
        ["ECS category: type", _ecs(meaning)],
        ["outcome", meaning.outcome],
        ["severity (CEF too)", severity],
        ["OCSF 1.8", _ocsf(meaning)],
    ]
    if meaning.layer in {"organization", "words"}:
        named = meaning.layer == "organization" and listed is not None
        text = listed.name if named and listed is not None else action
        rows += _words(catalogue, text, " ".join(listed.groups) if named and listed is not None else "")
    show_rows(rows)


def _ocsf(meaning: Meaning) -> str:
    if not meaning.ocsf_class:
        return "-"
    name = class_and_activity(meaning.ocsf_class, meaning.ocsf_activity)
    return f"{meaning.ocsf_class}/{meaning.ocsf_activity} {name}"


def _words(catalogue: Catalogue, text: str, group: str) -> list[list[str]]:
    reading = catalogue.grammar.read(text, group)
    if reading.act is None:
        return [["words", "its id says nothing; the message of the event does"]]
    form = "past participle: it is done" if reading.complete else "base form or noun: it is named"
    return [
        ["the verb", f"{reading.verb} → {reading.act} ({form})"],
        ["the thing", f"{reading.noun} → {reading.thing} ({reading.kind})" if reading.noun else "none that is known"],
        ["how it went", ", ".join(reading.status) or "nothing says so"],
    ]


def _explain_event(catalogue: Catalogue, body: bytes) -> None:
    record = Record(1, Origin("explain", "organization", ""), "0" * 32, body, read_ms=int(time.time() * 1000))
    [event] = OrganizationNormalizer(catalogue).normalize([record])
    if isinstance(event, UnexpectedPayload):
        raise ConfigError(f"this is not an event of the organization's audit log: {event.reason}")
    record.event = event
    [line] = EcsFormat().render([record])
    if isinstance(line, UnexpectedPayload):
        raise ConfigError(line.reason)
    meaning = catalogue.meaning(event.action)
    if meaning.layer == "unknown" and event.layer == "words":
        actor = event.actor.name if event.actor is not None else None
        meaning = catalogue.meaning_of_message(event.message or "", actor)
    _explain_action(catalogue, event.action, meaning)
    print_line()
    places = _places(msgspec.json.decode(body, strict=False)) if not event.marks else {}
    rows = [
        [field, _short(value), _origin(field, value, places)] for field, value in _leaves(msgspec.json.decode(line))
    ]
    show_rows(rows, head=("ECS field", "value", "from"))
    if event.marks:
        print_line()
        print_text(f"marks: {visible(', '.join(event.marks))}")


_DECIDED = ("event.category", "event.type", "event.outcome", "event.severity", "event.code")
_FACTS = ("atlassian.audit.layer", "atlassian.audit.act", "atlassian.audit.product", "atlassian.audit.action_name")


def _origin(field: str, value: Any, places: dict[str, str]) -> str:
    if field in _DECIDED or field in _FACTS:
        return "the catalogue"
    if field in {"@timestamp", "atlassian.audit.processed_at"}:
        return "attributes.time" if field == "@timestamp" else "attributes.processedAt"
    if field == "event.created":
        return "when the page was read"
    if field.startswith(("ecs.", "observer.")) or field in {"event.kind", "event.module", "event.dataset"}:
        return "always so"
    if field.startswith("related."):
        return "every identifier above"
    return places.get(str(value), "derived")


def _places(tree: Any, path: str = "") -> dict[str, str]:
    """Return where each text of an event stands first."""
    found: dict[str, str] = {}
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        here = f"{path}[{key}]" if isinstance(tree, list) else f"{path}.{key}".lstrip(".")
        if isinstance(value, dict | list):
            for text, place in _places(value, here).items():
                found.setdefault(text, place)
        else:
            found.setdefault(str(value), here)
    return found


def _leaves(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        here = f"{path}.{key}".lstrip(".")
        if here in {"atlassian.audit.context", "atlassian.audit.container"}:
            yield here, f"the API's own {key}, untouched"
        elif isinstance(value, dict):
            yield from _leaves(value, here)
        else:
            yield here, ", ".join(map(str, value)) if isinstance(value, list) else value


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def missing(invocation: Invocation, *, as_json: bool) -> ExitCode:
    """List the actions that the daemon met and whose meaning no one knows, the most frequent first."""
    settings = invocation.settings()
    catalogue, _ = _catalogue(invocation, settings)
    counts = UnknownActions(_folder(settings)).counts()
    rows = [
        (action, count, catalogue.listed(action))
        for action, count in counts.most_common()
        if not catalogue.meaning(action).category
    ]
    if as_json:
        shown = [
            {"action": action, "events": count, "name": listed.name if listed is not None else None}
            for action, count, listed in rows
        ]
        print_json(shown)
        return ExitCode.OK
    if not rows:
        print_line("every action that was met has a meaning")
        return ExitCode.OK
    show_rows(
        ([action, str(count), listed.name if listed is not None else "-"] for action, count, listed in rows),
        head=("action", "events", "your organization says"),
    )
    print_line()
    print_text("Give them a meaning in a file that catalogue.files names, and send them to us: others meet them too.")
    return ExitCode.OK


def _catalogue(invocation: Invocation, settings: Settings | None = None) -> tuple[Catalogue, Settings | None]:
    """Return the catalogue as the daemon has it, as far as there is a configuration."""
    if settings is None and find_config(invocation.config, os.environ) is not None:
        settings = invocation.settings()
    catalogue = learned_catalogue(settings) if settings is not None else load_catalogue()
    return catalogue, settings


def _folder(settings: Settings) -> Path:
    return settings.spool.path.expanduser().parent
