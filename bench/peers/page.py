"""The document about one run: tables, what each peer does and does not, and the aims, met or missed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

OURS, BARE, EQUAL, GO = "audit-forwarder", "floor: Python", "floor: Python, equal work", "floor: Go, standard library"

FURTHER, SHARED = 10.0, 7.0
"""µs of CPU an event that a further HTTP sink may take; and where its bytes are those of another."""

Described = tuple[str, str, str, bool]
"""Name, what it does, what it does not, whether it is a product in use."""


def micros(cost: dict[str, Any]) -> float:
    """Return CPU microseconds an event."""
    return float(cost["cpu"] / cost["events"] * 1e6)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _number(count: int) -> str:
    return f"{count:,}".replace(",", " ")


def _costs(results: dict[str, Any], described: Sequence[Described]) -> Iterator[str]:
    sizes = sorted({size for costs in results["peers"].values() for size in costs})
    head = ["", *(f"µs/event, {_number(size)}" for size in sizes), "events/s", "RSS MB"]
    rows = []
    for name, *_ in described:
        if costs := results["peers"].get(name):
            last = costs[max(costs)]
            cells = [f"{micros(costs[size]):.1f}" if size in costs else "" for size in sizes]
            rate = last["events"] / last["seconds"]
            rows.append([f"**{name}**" if name == OURS else name, *cells, f"{rate:.0f}", f"{last['rss'] / 1e6:.0f}"])
    yield from _table(head, rows)


def _work(results: dict[str, Any], described: Sequence[Described]) -> Iterator[str]:
    found = [each for each in described if each[0] in results["peers"]]
    yield from _table(("", "does", "does not"), [[name, does, misses or "–"] for name, does, misses, _ in found])
    for name, why in results["missing"].items():
        yield ""
        yield f"Not measured: {name}. {why}"


def aims(results: dict[str, Any], described: Sequence[Described]) -> Iterator[tuple[str, bool]]:
    """Yield each aim, with what was found, and whether it is met."""
    ours = results["peers"].get(OURS, {})
    for size, cost in sorted(ours.items()):
        mine = micros(cost)
        for name, most in ((GO, 1.0), (BARE, 1.6), (EQUAL, 1.2)):
            if other := results["peers"].get(name, {}).get(size):
                ratio = mine / micros(other)
                yield f"{_number(size)} events: at most {most:g} × {name}: {ratio:.2f}", ratio <= most
        for name, _, _, is_real in described:
            if is_real and (other := results["peers"].get(name, {}).get(size)):
                part = mine / micros(other)
                yield f"{_number(size)} events: a third below {name}: {part:.2f} of it", part <= 2 / 3
    for how, most in (("each another format", FURTHER), ("alike", SHARED)):
        costs = {**results["sinks"].get("alike", {}), **results["sinks"].get(how, {})}
        if 1 in costs and len(costs) > 1:
            last = max(costs)
            each = (micros(costs[last]) - micros(costs[1])) / (last - 1)
            yield f"a further HTTP sink, {how}: at most {most:g} µs an event: {each:.1f}", each <= most


def _apart(run: dict[str, Any] | None) -> str:
    """Return what a table says that is of a later run than the first one."""
    if run is None:
        return ""
    loads = run["load"] or [0.0]
    return f" (a later run, of later code: {run['date']}, {run['machine']}; load average {min(loads):.1f} to {max(loads):.1f})"


def render(results: dict[str, Any], described: Sequence[Described]) -> str:
    """Return docs/performance.md.

    Args:
        results: Of the run, as plain data.
        described: Every peer, in the order of the tables.
    """
    loads = results["load"] or [0.0]
    measured = (
        f"CPU time (user and system) of the whole process tree, start-up in, best of {results['rounds']} interleaved "
        f"rounds. {results['date']}, {results['machine']}; load average {min(loads):.1f} to {max(loads):.1f} when a round "
        "began. Compare within a table only: neighbours on the machine move all figures. Events are the simulator's, of "
        "about 1.2 KB, in pages of 500 over loopback; written by `make bench-peers ARGS=--write`."
    )
    apart = {table: _apart(results.get(f"{table}_of")) for table in ("growth", "sinks")}
    lines = [
        "# Performance",
        "",
        measured,
        "",
        *_costs(results, described),
        "",
        "## Who does what",
        "",
        *_work(results, described),
        "",
    ]
    if results["growth"]:
        lines += [
            "## How the cost grows",
            "",
            f"With the number of events, one Elasticsearch sink{apart['growth']}:",
            "",
        ]
        rows = [
            [
                _number(size),
                f"{micros(cost):.1f}",
                f"{cost['events'] / cost['seconds']:.0f}",
                f"{cost['rss'] / 1e6:.0f}",
            ]
            for size, cost in sorted(results["growth"].items())
        ]
        lines += [*_table(("events", "µs/event", "events/s", "RSS MB"), rows), ""]
    if results["sinks"]:
        lines += [f"With the number of HTTP sinks, all of them at once{apart['sinks']}:", ""]
        counts = sorted({count for costs in results["sinks"].values() for count in costs})
        head = ("sinks", *(f"µs/event, {how}" for how in results["sinks"]), "RSS MB")
        rows = []
        for count in counts:
            found = [costs.get(count) for costs in results["sinks"].values()]
            rss = max(cost["rss"] for cost in found if cost)
            rows.append([str(count), *(f"{micros(cost):.1f}" if cost else "" for cost in found), f"{rss / 1e6:.0f}"])
        lines += [*_table(head, rows), ""]
    found_aims = list(aims(results, described))
    if found_aims:
        lines += ["## Aims", "", *(f"- {'met' if is_met else '**missed**'}: {aim}" for aim, is_met in found_aims), ""]
    return "\n".join(lines)
