"""The whole page: one document that is complete without a script, and its `<main>` alone for the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forwarder.admin.page.areas import books_area, configuration_area, record_area
from forwarder.admin.page.later import later_area
from forwarder.admin.page.parts import parts, spool_area, waits_for_a_try
from forwarder.admin.page.pieces import (
    ICON_SET,
    icon,
    ident,
    instruction,
    moment,
    number,
    parsed,
    short,
    slot,
    unit,
    until,
    with_zone,
)
from forwarder.admin.page.strip import legend
from forwarder.contracts.moments import beside
from forwarder.investigate.faces.markup import foreign, plain
from forwarder.observe.runbooks import runbooks_of
from forwarder.observe.status_values import cell, duration, is_number, objects, spool_of
from forwarder.observe.verdict import tone_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forwarder.admin.page.forms import Hand
    from forwarder.observe.verdict import Tone

_TONES = ("well", "busy", "off", "late", "held")
_MOST_BLIND = 3
_SEEN: Mapping[Tone, str] = {"well": "✓", "busy": "↓", "off": "‖", "late": "△", "held": "⬣"}


def main(report: Mapping[str, Any], hand: Hand) -> str:
    """Return the `<main>` of a report of the daemon."""
    found = report.get("verdict")
    said: Mapping[str, Any] = found if isinstance(found, dict) else {}
    sentence = f"{cell(said.get('what'))} {cell(said.get('lost'))}"
    sections = (
        _verdict(report, said, hand)
        + _way(report)
        + '<section class="area" aria-labelledby="sources-h">'
        + f'<header><h2 id="sources-h">Sources</h2>{legend()}</header>'
        + parts(report, "source", hand)
        + "</section>"
        + spool_area(report)
        + '<section class="area" aria-labelledby="sinks-h"><header><h2 id="sinks-h">Sinks</h2></header>'
        + parts(report, "sink", hand)
        + "</section>"
        + books_area(report)
        + later_area(report, hand)
        + record_area(report)
        + configuration_area(report, hand)
    )
    title = f"{_SEEN[_tone(said)]} {cell(said.get('what'))}"
    zone = str(report.get("time_zone", "UTC"))
    return (
        f'<main id="main" tabindex="-1" data-verdict="{plain(sentence)}" data-title="{plain(title)}" '
        f'data-tone="{_tone(said)}" data-clock="{plain(_clock(report, zone))}">{with_zone(sections, zone)}</main>'
    )


def no_report(problem: str) -> str:
    """Return the `<main>` when the daemon cannot say how it goes."""
    what = f"The daemon cannot say how it goes: {problem}"
    body = (
        f'<div><p class="mood">{icon("held")}No news</p><h1 id="verdict-h">{foreign(what)}.</h1>'
        '<p class="lead">Look at its log. This page tries again by itself.</p></div>'
    )
    return (
        f'<main id="main" tabindex="-1" data-verdict="{plain(what)}" data-title="{_SEEN["held"]} No news" '
        'data-tone="held" data-clock="">'
        + unit("verdict", "section", body, ' class="verdict held" aria-labelledby="verdict-h"')
        + "</main>"
    )


def document(inside: str, *, title: str, notice: str = "", place: str = "", leave: str = "", live: bool = True) -> str:
    """Return a whole page around a `<main>`.

    Args:
        inside: The `<main>`.
        title: Of the document.
        notice: What is said above it of an act that was just done; text.
        place: Name of this machine.
        leave: Form that ends the session; empty where there is none.
        live: Whether the page follows the daemon.
    """
    script = '<script src="page.js" defer></script>' if live else ""
    again = '<noscript><meta http-equiv="refresh" content="30"></noscript>' if live else ""
    note = f'<p class="notice" role="status">{foreign(notice)}</p>' if notice else ""
    clock = '<p class="clock"><span class="on">live · </span><span id="clock" data-clock></span></p>' if live else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{plain(title)} · audit-forwarder</title>"
        f'<link rel="icon" href="data:,"><link rel="stylesheet" href="page.css">{script}{again}</head><body>'
        '<a class="skip" href="#main">Skip to what matters</a>'
        f'<svg class="defs" width="0" height="0" aria-hidden="true">{ICON_SET}</svg>'
        f'<header class="top"><a class="brand" href="./">audit-forwarder <span>{foreign(place)}</span></a>'
        '<nav aria-label="Pages"><a href="./" aria-current="page">Overview</a>'
        '<a href="investigate">Investigate</a></nav>'
        f'{clock}{leave}</header><p id="said" class="said" role="status"></p>{note}{inside}</body></html>'
    )


def _clock(report: Mapping[str, Any], zone: str) -> str:
    """Return the moment of a report: `20:31:07 UTC (21:31:07 +01:00), 2026-11-28`."""
    at = parsed(report.get("now"))
    return f"{at:%H:%M:%S} UTC{beside(at, zone, 'seconds')}, {at:%Y-%m-%d}" if at is not None else ""


def _tone(said: Mapping[str, Any]) -> Tone:
    tone = said.get("tone")
    return tone if tone in _TONES else "held"


def _verdict(report: Mapping[str, Any], said: Mapping[str, Any], hand: Hand) -> str:
    tone = _tone(said)
    since = parsed(said.get("since"))
    mood = f"{foreign(cell(said.get('word')))}" + (f", since {moment(said['since'], short(since))}" if since else "")
    lost = "bad" if said.get("is_lost") else ""
    body = (
        f'<div><p class="mood">{icon(tone)}{mood}</p>'
        f'<h1 id="verdict-h">{foreign(cell(said.get("what")))} <span class="{lost}">{foreign(cell(said.get("lost")))}'
        f"</span></h1>{_todo(report, said, hand)}{_runbooks(report)}</div>{_time_left(report, said)}"
    )
    calm = " calm" if tone in {"well", "busy"} else ""
    return unit("verdict", "section", body, f' class="verdict {tone}{calm}" aria-labelledby="verdict-h"')


def _todo(report: Mapping[str, Any], said: Mapping[str, Any], hand: Hand) -> str:
    todo = objects(said, "todo")
    if not todo:
        return ""
    items = "".join(
        f"<li>{_for(cell(each['part'])) if each.get('part') and len(todo) > 1 else ''}"
        f"{instruction(cell(each.get('do')))}</li>"
        for each in todo
    )
    held = [(kind, one) for kind in ("source", "sink") for one in objects(report, f"{kind}s") if waits_for_a_try(one)]
    act = ""
    if len(held) == 1:
        kind, one = held[0]
        wait = one.get("next_try_in_seconds")
        note = f'<span class="small soft">next try {slot("verdict-try", until(wait))}</span>' if is_number(wait) else ""
        name = "retry" if kind == "sink" else "retry-source"
        act = hand.form(name, "verdict-retry", {kind: one.get("name")}, first=True, note=note)
    return f'<div class="todo"><h2>To do</h2><ol>{items}</ol>{act}</div>'


def _runbooks(report: Mapping[str, Any]) -> str:
    links = ", ".join(f'<a href="runbooks/{name}">{name}</a>' for name in runbooks_of(report))
    return f'<p class="small soft more">More about this: {links}</p>' if links else ""


def _for(part: str) -> str:
    kind, _, name = part.partition(" ")
    return f'<a href="#{ident(kind, name)}">{foreign(part)}</a>: '


def _time_left(report: Mapping[str, Any], said: Mapping[str, Any]) -> str:
    """Return how long there is, what waits, who is blind, and how the rest is."""
    rows = []
    until_, hours = parsed(said.get("until")), spool_of(report).get("hours_left")
    if until_ is not None and is_number(hours):
        room = f"{duration(hours * 3600)}<small>room in the spool until {moment(said['until'])}</small>"
        rows.append(("Time you have", slot("fact-time", room, "dd")))
    if is_number(said.get("waiting")) and said["waiting"]:
        safe = f"{number(said['waiting'])} events<small>in the spool, on disk</small>"
        rows.append(("Waiting safely", slot("fact-waiting", safe, "dd")))
    for at, blind in enumerate(objects(said, "blind")[:_MOST_BLIND]):
        what = f"{foreign(cell(blind.get('sink')))} lacks what was read since"
        rows.append((what, slot(f"fact-blind-{at}", moment(blind.get("since")), "dd")))
    unread = [one for one in objects(report, "sources") if not one.get("well", True)]
    for at, one in enumerate(unread[:_MOST_BLIND]):
        what = f"{foreign(cell(one.get('name')))} was read last"
        rows.append((what, slot(f"fact-unread-{at}", moment(one.get("last_good_poll")), "dd")))
    sources, sinks = objects(report, "sources"), objects(report, "sinks")
    well = sum(bool(one.get("well", True)) for one in (*sources, *sinks))
    count = f"{well} of {len(sources) + len(sinks)}<small>{_counted(len(sources), 'source')}, "
    rows.append(("Parts that are well", f"<dd>{count}{_counted(len(sinks), 'sink')}</small></dd>"))
    rows += _calm_facts(report, said)
    shown = "".join(f"<div><dt>{label}</dt>{value}</div>" for label, value in rows)
    return f'<dl class="facts">{shown}</dl>'


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _calm_facts(report: Mapping[str, Any], said: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what one wants to know when nothing is wrong: how late the latest sink is, and since when it runs."""
    if _tone(said) not in {"well", "busy"}:
        return []
    lags = [one["lag_seconds"] for one in objects(report, "sinks") if is_number(one.get("lag_seconds"))]
    behind = slot("fact-behind", duration(max(lags, default=None)), "dd")
    runs = slot("fact-runs", duration(report.get("started_age_seconds")), "dd")
    return [("The latest sink is behind by", behind), ("It runs for", runs)]


def _way(report: Mapping[str, Any]) -> str:
    """Return the way of an event: every part as a word and a shape, each a link to its row."""

    def row(kind: str) -> str:
        return "".join(
            f'<li class="{tone_of(one)}"><a href="#{ident(kind, one.get("name"))}">{icon(tone_of(one))}'
            f'{foreign(cell(one.get("name")))}<span class="sr">: {tone_of(one)}</span></a></li>'
            for one in objects(report, f"{kind}s")
        )  # fmt: skip

    arrow = '<li class="arrow" aria-hidden="true"></li>'
    inside = f'{row("source")}{arrow}<li><a href="#spool">spool</a></li>{arrow}{row("sink")}'
    return unit("way", "nav", f"<ul>{inside}</ul>", ' class="way" aria-label="The way of an event"')
