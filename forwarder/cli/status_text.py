"""Shows the JSON of `/status` to people: tables and sentences, the same on a terminal and in a pipe.

It reads the JSON and not the report, so that a command can show a daemon it reaches over HTTP, of this version or a
near one: a missing key shows as `-`.

One number has one meaning: what was spooled and accepted, what waits and the dead letters are the spool's books, over
restarts; failures are those of the process, and the line below the tables says so.

Invariant: text from outside cannot reach the terminal as control characters.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeGuard

from forwarder.cli.tables import paragraph, table
from forwarder.contracts.text import shorten, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from forwarder.cli.tables import Screen
    from forwarder.observe.colours import Style

Row = tuple[str, ...]

_STYLES: dict[str, Style] = {
    "working": "green",
    "idle": "green",
    "starting": "cyan",
    "retrying": "yellow",
    "paused": "yellow",
    "held": "bold red",
    "stopped": "red",
}
_SOURCE_COLUMNS = ("source", "state", "last good poll", "newest event", "spooled", "failed")
_SINK_COLUMNS = ("sink", "state", "waiting", "lag", "accepted", "dead letters", "failed", "proof")
_GAP_COLUMNS = ("gap", "cause", "concerns", "from", "to", "opened")
_SETTLED = ("accepted", "rejected", "filtered", "detached")
_ENOUGH = 10
"""So many events tell that filters let nothing through."""

_BOOKS_COLUMNS = ("source", "sink", "spooled", "accepted", "rejected", "filtered", "detached", "waiting", "balance")
_NUMBERS = {
    *("last good poll", "newest event", "spooled", "failed", "waiting", "lag", "accepted", "dead letters", "opened"),
    *("rejected", "filtered", "detached", "balance"),
}
"""Columns that are aligned at their ends."""

_MOST_GAPS = 10
_MOST_ASIDE = 5
_LONGEST_CELL = 200
_LARGEST = 1e18
_WAITS_LONG = 60.0
"""Seconds of delivery lag from when on it matters how long the spool lasts."""


def status_lines(report: Mapping[str, Any], screen: Screen) -> Iterator[str]:
    """Yield the lines that show a report."""
    yield from paragraph(_headline(report), screen, "bold" if _well(report) else "bold yellow")
    for title, columns, rows in _tables(report):
        yield ""
        yield from paragraph(f"{title}:", screen, "bold")
        styles = _STYLES if "state" in columns else {}
        yield from table(rows, screen, head=columns, right=_NUMBERS, styles=styles, indent=2)
    yield ""
    for line in (*_legend(report), *_spool_lines(report)):
        yield from paragraph(line, screen)
    for line in _problems(report):
        yield from paragraph(line, screen, "yellow")
    yield from paragraph(_books_line(report), screen, "green" if report.get("balanced", True) else "bold red")


def _tables(report: Mapping[str, Any]) -> Iterable[tuple[str, Row, list[Row]]]:
    yield "sources", _SOURCE_COLUMNS, [_source_row(source, report) for source in _list(report, "sources")]
    yield "sinks", _SINK_COLUMNS, [_sink_row(sink, report) for sink in _list(report, "sinks")]
    gaps = [gap for gap in _list(_spool(report), "gaps") if gap.get("closed") is None]
    if gaps:
        title = f"open gaps, the newest {_MOST_GAPS} of {len(gaps)}" if len(gaps) > _MOST_GAPS else "open gaps"
        yield title, _GAP_COLUMNS, [_gap_row(gap) for gap in gaps[-_MOST_GAPS:]]
    wrong = [line for line in _list(report, "books") if line.get("balance")]
    if wrong:
        yield "books that do not balance", _BOOKS_COLUMNS, [_row(line, _BOOKS_COLUMNS) for line in wrong]


def _source_row(source: Mapping[str, Any], report: Mapping[str, Any]) -> Row:
    rows = _list(_spool(report), "sources")
    spooled = next((row.get("spooled") for row in rows if row.get("identity") == source.get("identity")), None)
    runs = _is_running(report)
    answered = "last_received_age_seconds" if source.get("is_pushed") is True else "last_good_poll_age_seconds"
    return (
        _cell(source.get("name")),
        _cell(source.get("state")),
        _age(source.get(answered), "never" if runs else "-"),
        _age(source.get("newest_event_age_seconds"), "none yet" if runs else "-"),
        _cell(spooled),
        _failed(source),
    )


def _sink_row(sink: Mapping[str, Any], report: Mapping[str, Any]) -> Row:
    lines = [line for line in _list(report, "books") if line.get("sink") == sink.get("name")]
    return (
        _cell(sink.get("name")),
        _cell(sink.get("state")),
        _cell(sink.get("lag_events")),
        _duration(sink.get("lag_seconds")),
        _cell(sum(_count(line, "accepted") for line in lines) if lines else None),
        _cell(sink.get("dead_letters")),
        _failed(sink),
        _cell(sink.get("proof")),
    )


def _failed(component: Mapping[str, Any]) -> str:
    errors = component.get("errors")
    return _cell(sum(count for count in errors.values() if _number(count)) if isinstance(errors, dict) else None)


def _gap_row(gap: Mapping[str, Any]) -> Row:
    concerns = " → ".join(_cell(gap.get(side)) for side in ("source", "sink") if gap.get(side) is not None)
    first, last = gap.get("from") or gap.get("first_seq"), gap.get("to") or gap.get("last_seq")
    opened = _age(gap.get("opened_age_seconds"), "-")
    return _cell(gap.get("number")), _cell(gap.get("cause")), concerns or "all", _cell(first), _cell(last), opened


def _row(line: Mapping[str, Any], columns: Sequence[str]) -> Row:
    return tuple(_cell(line.get(column)) for column in columns)


def _headline(report: Mapping[str, Any]) -> str:
    degraded, reasons = _texts(report, "degraded"), _texts(report, "not_ready")
    if not _is_running(report):
        written = _age(report.get("spool_written_age_seconds"), "")
        last = f"; its spool was last written {written}" if written else ""
        return f"audit-forwarder is NOT RUNNING{last}. What follows is what the spool holds."
    if report.get("draining"):
        word = "draining"
    elif not report.get("ready", True):
        word = "not ready: " + ", ".join(reasons)
    elif degraded:
        word = "degraded: " + ", ".join(degraded)
    else:
        word = "well"
    started = _duration(report.get("started_age_seconds"))
    text = f"audit-forwarder {_cell(report.get('version'))}, process {_cell(report.get('pid'))}, up {started}: {word}"
    return f"{text} ({_cell(report['problem'])})" if report.get("problem") else text


def _is_running(report: Mapping[str, Any]) -> bool:
    return report.get("running") is not False


def _well(report: Mapping[str, Any]) -> bool:
    return (
        _is_running(report)
        and bool(report.get("ready", True))
        and not report.get("degraded")
        and not report.get("problem")
    )


def _legend(report: Mapping[str, Any]) -> list[str]:
    """Say since when the numbers in the tables count."""
    if not _list(report, "sources") and not _list(report, "sinks"):
        return []
    durable = "spooled, waiting, accepted, dead letters: by the spool, over restarts"
    if not _is_running(report):
        return [durable]
    started = _duration(report.get("started_age_seconds"))
    return [f"{durable}; failed: tries since this process started, {started} ago, whatever became of them later"]


def _spool_lines(report: Mapping[str, Any]) -> list[str]:
    spool = _spool(report)
    if not spool:
        return ["spool: not open"]
    used, limit, hours = spool.get("bytes_used"), spool.get("bytes_max"), spool.get("hours_left")
    share = f" ({100 * used / limit:.0f} %)" if _number(used) and _number(limit) and limit else ""
    ids = f"{_size(spool.get('id_bytes'))} of {_size(spool.get('id_bytes_max'))}"
    pages, path = _cell(spool.get("pages")), _cell(spool.get("path"))
    lines = [f"spool: {_size(used)} of {_size(limit)}{share}; {pages} pages; ids {ids}; {path}"]
    if _number(hours) and _is_running(report) and any(map(_waits, (*_list(report, "sinks"), *_strangers(report)))):
        lines.append(
            f"spool: full in {_duration(hours * 3600)} if every sink stopped now and events came in as in the last hour"
        )
    return lines


def _waits(sink: Mapping[str, Any]) -> bool:
    """Tell whether events wait for this sink longer than delivery takes."""
    if not sink.get("lag_events"):
        return False
    lag = sink.get("lag_seconds", sink.get("oldest_waiting_age_seconds"))
    return not sink.get("well", True) or (_number(lag) and lag >= _WAITS_LONG)


def _place(lane: Mapping[str, Any]) -> tuple[str, str]:
    return _cell(lane.get("name")), _cell(lane.get("target"))


def _strangers(report: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the lanes of the spool, with events that wait, that belong to no configured sink."""
    configured = {_place(sink) for sink in _list(report, "sinks")}
    waiting = [lane for lane in _list(_spool(report), "lanes") if lane.get("lag_events")]
    return [lane for lane in waiting if _place(lane) not in configured]


def _problems(report: Mapping[str, Any]) -> list[str]:
    return [
        *_complaints(report),
        *_aside(report),
        *_kept_out(report),
        *_unrouted(report),
        *_removed(report),
        *_letters(report),
        *_looks(report),
    ]


def _complaints(report: Mapping[str, Any]) -> list[str]:
    """Return a line with reason and fix for every component that is not well."""
    lines = []
    for kind, key in (("source", "sources"), ("sink", "sinks")):
        for component in _list(report, key):
            if component.get("well", True):
                continue
            since = component.get("trouble_since_age_seconds")
            facts = [f"for {_duration(since if _number(since) else component.get('since_age_seconds'))}"]
            if _number(tries := component.get("tries")) and tries:
                facts.append(f"{tries} failed {'try' if tries == 1 else 'tries'}")
            if _number(wait := component.get("next_try_in_seconds")):
                facts.append(f"next in {_duration(math.ceil(wait))}" if wait > 0 else "next now")
            line = f"{kind} {_cell(component.get('name'))} is {_cell(component.get('state'))} {', '.join(facts)}: "
            line += _sentence(component.get("reason")) or "no reason given."
            fix = _sentence(component.get("fix"))
            lines.append(f"{line} To do: {fix}" if fix else line)
    return lines


def _aside(report: Mapping[str, Any]) -> list[str]:
    """Return a line for every event on which a sink fails while it takes others."""
    lines = []
    for sink in _list(report, "sinks"):
        events, name = _list(sink, "aside"), _cell(sink.get("name"))
        lines += [
            f"sink {name} fails on event {_cell(event.get('number'))}, id {_cell(event.get('id'))}, for "
            f"{_duration(event.get('since_age_seconds'))}, sent alone {_cell(event.get('tries'))} times: "
            f"{_sentence(event.get('reason'))}"
            for event in events[:_MOST_ASIDE]
        ]
        if len(events) > _MOST_ASIDE:
            lines.append(f"sink {name} fails on {len(events) - _MOST_ASIDE} more events")
    return lines


def _kept_out(report: Mapping[str, Any]) -> list[str]:
    """Return a line for every sink whose filters have let nothing through, once there was enough to tell."""
    sums: dict[str, Counter[str]] = {}
    for line in _list(report, "books"):
        sums.setdefault(_cell(line.get("sink")), Counter()).update({key: _count(line, key) for key in _SETTLED})
    return [
        f"sink {name}: its filters let nothing through: all {found['filtered']} events so far were kept out. "
        "To do: correct include and exclude, unless this is meant."
        for name, found in sums.items()
        if found["filtered"] >= _ENOUGH and found["filtered"] == found.total()
    ]


def _unrouted(report: Mapping[str, Any]) -> list[str]:
    """Return a line for every source with events that no sink is there for."""
    return [
        f"source {_cell(source.get('name'))}: {source['unrouted']} events match the filters of no sink. "
        "To do: name their place, site or action in the include of a sink, unless no one is to get them."
        for source in _list(report, "sources")
        if _number(source.get("unrouted")) and source["unrouted"]
    ]


def _removed(report: Mapping[str, Any]) -> list[str]:
    return [
        f"sink {_cell(lane.get('name'))} is not in the configuration, and {_cell(lane.get('lag_events'))} events wait "
        f"for it at {_cell(lane.get('target'))}{_until(lane.get('forgotten'))}. "
        "To do: configure it again, or let them go."
        for lane in _strangers(report)
    ]


def _until(moment: Any) -> str:
    return f" until {visible(moment[:16].replace('T', ' '))} UTC" if isinstance(moment, str) and moment else ""


def _letters(report: Mapping[str, Any]) -> list[str]:
    """Return a line for every sink that has dead letters."""
    lines = []
    for sink in _list(report, "sinks"):
        if _number(count := sink.get("dead_letters")) and count:
            most, name = sink.get("dead_letters_max"), _cell(sink.get("name"))
            limit = f" of at most {most}" if _number(most) and most else ""
            lines.append(
                f"sink {name}: {count} dead letters{limit}; see audit-forwarder dead-letters list --sink {name}"
            )
    return lines


def _looks(report: Mapping[str, Any]) -> list[str]:
    """Return a line for everything that is worth a look and is no fault."""
    return [
        f"look: source {_cell(look.get('source'))}: {_sentence(_cell(look.get('what')))} "
        f"To do: {_sentence(_cell(look.get('fix')))}"
        for look in _list(report, "looks")
    ]


def _books_line(report: Mapping[str, Any]) -> str:
    books = _list(report, "books")
    if not books:
        return "books: nothing in them yet"
    wrong = sum(bool(line.get("balance")) for line in books)
    if wrong:
        return f"books: {wrong} of {len(books)} lines DO NOT BALANCE; events are lost or invented, see above"
    sums = {key: sum(_count(line, key) for line in books) for key in _BOOKS_COLUMNS[2:-1]}
    sinks = len({_cell(line.get("sink")) for line in books})
    count = "" if sinks == 1 else f", each event counted for each of {sinks} sinks"
    return (
        f"books: balanced{count}: {sums['spooled']} to deliver = accepted {sums['accepted']} + rejected "
        f"{sums['rejected']} + filtered {sums['filtered']} + detached {sums['detached']} + waiting {sums['waiting']}"
    )


def _list(tree: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return the objects of a list; what is no object, or no list, is not there."""
    found = tree.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _texts(tree: Mapping[str, Any], key: str) -> list[str]:
    found = tree.get(key)
    return [_cell(item) for item in found] if isinstance(found, list) else []


def _spool(report: Mapping[str, Any]) -> Mapping[str, Any]:
    found = report.get("spool")
    return found if isinstance(found, dict) else {}


def _count(tree: Mapping[str, Any], key: str) -> int | float:
    return found if _number(found := tree.get(key)) else 0


def _cell(value: Any) -> str:
    """Return printable text on one line; a missing value is a dash."""
    if value is None or value == "":
        return "-"
    return shorten(visible(str(value)), _LONGEST_CELL)


def _sentence(value: Any) -> str:
    text = visible(str(value or "")).strip()
    return text if not text or text[-1] in ".!?" else f"{text}."


def _number(value: Any) -> TypeGuard[int | float]:
    # beyond that a number is no count and no time, and some cannot even be turned into text
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST


def _age(seconds: Any, never: str) -> str:
    return f"{_duration(seconds)} ago" if _number(seconds) else never


def _duration(seconds: Any) -> str:
    """Return the two largest units, such as `3 d 4 h`."""
    if not _number(seconds):
        return "-"
    whole = int(seconds)
    units = [("d", whole // 86400), ("h", whole // 3600 % 24), ("min", whole // 60 % 60), ("s", whole % 60)]
    while len(units) > 1 and not units[0][1]:
        units.pop(0)
    return " ".join(f"{count} {unit}" for unit, count in units[:2] if count or len(units) == 1) or "0 s"


def _size(value: Any) -> str:
    if not _number(value):
        return "-"
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"
