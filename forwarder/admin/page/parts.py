"""Sources and sinks: a row each, with state, figures, the last 48 hours, the trouble and what can be done."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from forwarder.admin.page.pieces import (
    DASH,
    ago,
    facts,
    icon,
    ident,
    instruction,
    moment,
    number,
    parsed,
    quoted,
    short,
    slot,
    unit,
    until,
)
from forwarder.admin.page.strip import strip
from forwarder.investigate.faces.markup import foreign
from forwarder.observe.status_problems import waits
from forwarder.observe.status_values import cell, count_of, duration, is_number, objects, sentence, size, spool_of
from forwarder.observe.verdict import tone_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from forwarder.admin.page.forms import Hand

_WORDS = {
    ("source", "well"): "Reading",
    ("sink", "well"): "Delivering",
    ("source", "late"): "Late: it is tried again",
    ("sink", "late"): "Late: it is tried again",
    ("source", "held"): "Held: needs a change",
    ("sink", "held"): "Held: needs a change",
}
NOBODY_ACTS = (
    '<p class="small soft">To act on this page, set <code>admin.token</code> and sign in with it, or '
    "<code>admin.acts_without_token: true</code> where everybody on this machine may.</p>"
)
_SOON, _NEAR = 30, 7
"""Days before the end of a key from when on it is shown as late, and as held."""


def parts(report: Mapping[str, Any], kind: str, hand: Hand) -> str:
    """Return the rows of all sources or sinks, the worst first, else in the order of the configuration."""
    order = ("held", "late", "off", "busy", "well")
    found = sorted(objects(report, f"{kind}s"), key=lambda one: order.index(tone_of(one)))
    return "".join(_part(report, kind, one, hand) for one in found) or f"<p>There is no {kind}.</p>"


def waits_for_a_try(one: Mapping[str, Any]) -> bool:
    """Tell whether a source or sink failed and is tried again, which somebody may have done now."""
    return not one.get("well", True) and not one.get("is_pushed") and one.get("state") != "paused"


def state_words(kind: str, component: Mapping[str, Any]) -> str:
    """Return the state in words."""
    if component.get("state") == "paused":
        return "Paused: the spool is full" if kind == "source" else "Paused"
    if component.get("state") in {"starting", "stopped"}:
        return str(component["state"]).capitalize()
    if kind == "sink" and component.get("well", True) and waits(component):
        return "Catching up"
    return _WORDS.get((kind, tone_of(component)), cell(component.get("state")).capitalize())


def _part(report: Mapping[str, Any], kind: str, one: Mapping[str, Any], hand: Hand) -> str:
    name, tone = cell(one.get("name")), tone_of(one)
    here = ident(kind, name)
    rows = _source_facts(report, one, here) if kind == "source" else _sink_facts(report, one, here)
    hours = one.get("hours")
    picture = strip(kind, hours) if isinstance(hours, dict) else ""
    type_of = " · ".join(foreign(str(one[key])) for key in ("type", "format") if one.get(key))
    body = (
        f'<header><h3 id="{here}-name">{foreign(name)}</h3>'
        f'<p class="state">{icon(tone)}{state_words(kind, one)}</p><p class="small soft">{type_of}</p></header>'
        f"{facts(rows)}"
        + (slot(f"{here}-hours", picture, "figure", ' class="strip"') if picture else '<figure class="strip"></figure>')
        + _trouble(one, here, tone)
        + _acts(kind, one, here, hand)
    )
    return unit(here, "article", body, f' class="part {tone}" aria-labelledby="{here}-name"')


def _source_facts(report: Mapping[str, Any], one: Mapping[str, Any], here: str) -> list[tuple[str, str]]:
    last = "last_received" if one.get("is_pushed") else "last_good_poll"
    rows = [
        ("newest event", slot(f"{here}-newest", _ago(one, "newest_event"), "dd")),
        ("last received" if one.get("is_pushed") else "last look", slot(f"{here}-look", _ago(one, last), "dd")),
    ]
    if not one.get("is_pushed"):
        rows.append(("next look", slot(f"{here}-next", until(one.get("next_poll_in_seconds")), "dd")))
    today = _today(report, "source", one, "expected", most=True)
    rows.append(("events of today", slot(f"{here}-today", today, "dd")))
    ends = one.get("credential_ends")
    if ends:
        left = next((key.get("days_left") for key in objects(one, "keys") if key.get("in_use")), None)
        loud = (
            " loud held"
            if is_number(left) and left <= _NEAR
            else " loud late"
            if is_number(left) and left <= _SOON
            else ""
        )
        words = f"in {number(left)} d" if is_number(left) and left >= 0 else "over"
        rows.append(("key expires", f'<dd class="{loud.strip()}">{moment(ends, words)}</dd>'))
    left = one.get("history_left_seconds")
    if is_number(left):
        rows.append(("history complete", slot(f"{here}-history", f"in {duration(left)}", "dd")))
    return rows


def _sink_facts(report: Mapping[str, Any], one: Mapping[str, Any], here: str) -> list[tuple[str, str]]:
    loud = ' class="loud"' if waits(one) else ""
    letters = ' class="loud late"' if count_of(one, "dead_letters") else ""
    return [
        ("behind", slot(f"{here}-behind", duration(one.get("lag_seconds")), "dd", loud)),
        ("waiting", slot(f"{here}-waiting", number(one.get("lag_events")), "dd", loud)),
        ("delivered of today", slot(f"{here}-today", _today(report, "sink", one, "delivered"), "dd")),
        ("dead letters", slot(f"{here}-letters", number(one.get("dead_letters")), "dd", letters)),
        ("last accepted", slot(f"{here}-accepted", _ago(one, "last_accepted"), "dd")),
    ]


def _ago(one: Mapping[str, Any], name: str) -> str:
    return moment(one.get(name), ago(one.get(f"{name}_age_seconds")))


def _today(report: Mapping[str, Any], key: str, one: Mapping[str, Any], what: str, *, most: bool = False) -> str:
    """Return a number of the books of today; a dash before they were judged."""
    today = str(report.get("now", ""))[:10]
    if not objects(report, "completeness"):
        return DASH
    lines = [line for line in objects(report, "days") if line.get("day") == today and line.get(key) == one.get("name")]
    counts = [count_of(line, what) for line in lines]
    return number(max(counts, default=0) if most else sum(counts))


def _trouble(one: Mapping[str, Any], here: str, tone: str) -> str:
    reason, fix = sentence(one.get("reason")), sentence(one.get("fix"))
    if one.get("well", True) and not (tone == "off" and reason):
        return ""
    since = parsed(one.get("trouble_since")) or parsed(one.get("since"))
    age = one.get("trouble_since_age_seconds")
    rows = [
        ("since", moment(one.get("trouble_since") or one.get("since"), short(since)) if since else DASH),
        ("for", slot(f"{here}-for", duration(age if is_number(age) else one.get("since_age_seconds")), "dd")),
    ]
    if not one.get("well", True):
        wait = one.get("next_try_in_seconds")
        rows += [
            ("next try", slot(f"{here}-try", until(math.ceil(wait)) if is_number(wait) else DASH, "dd")),
            ("failed tries", slot(f"{here}-tries", number(one.get("tries")), "dd")),
        ]
    do = f"<p><strong>To do:</strong> {instruction(fix)}</p>" if fix else ""
    said = f"<blockquote>{quoted(reason)}</blockquote>" if reason else "<p>No reason was given.</p>"
    return f'<div class="trouble">{said}{facts(rows, "when")}{do}</div>'


def _acts(kind: str, one: Mapping[str, Any], here: str, hand: Hand) -> str:
    name, fields = cell(one.get("name")), {kind: one.get("name")}
    if kind == "source":
        forms = [hand.form("retry-source", f"{here}-retry", fields, first=True)] if waits_for_a_try(one) else []
        return _fold(kind, name, here, forms, hand)
    paused = one.get("state") == "paused"
    forms = [hand.form("resume", f"{here}-resume", fields, first=True) if paused
             else hand.form("pause", f"{here}-pause", fields, note='<span class="small soft">over restarts, until '
                                                                   "it is resumed</span>")]  # fmt: skip
    if waits_for_a_try(one):
        forms.insert(0, hand.form("retry", f"{here}-retry", fields, first=True))
    forms.append(_replay(here, fields, hand))
    return _fold(kind, name, here, forms, hand)


def _fold(kind: str, name: str, here: str, forms: Sequence[str], hand: Hand) -> str:
    shown = "".join(forms)
    if not shown:
        return ""
    return (
        f'<details class="acts" id="{here}-acts"><summary>Actions<span class="sr"> for {kind} {foreign(name)}</span>'
        f'</summary><div class="flow">{"" if hand.may_act else NOBODY_ACTS}{shown}</div></details>'
    )


def _replay(here: str, fields: Mapping[str, Any], hand: Hand) -> str:
    inside = "".join(
        f'<label for="{here}-{edge}">{words}'
        f'<input type="datetime-local" name="{edge}" id="{here}-{edge}" required></label>'
        for edge, words in (("since", "Events from, UTC"), ("until", "to, excluded"))
    )
    note = '<span class="small soft">what the spool still has; the sink may get it twice</span>'
    return hand.form("replay", f"{here}-replay", fields, inside=f'<div class="row">{inside}</div>', note=note)


def spool_area(report: Mapping[str, Any]) -> str:
    """Return how full the spool is, who keeps it from being emptied, and until when there is room."""
    spool = spool_of(report)
    if not spool:
        return unit("spool", "section", "<h2>Spool</h2><p>It is not open.</p>", ' class="area"')
    used, limit = spool.get("bytes_used"), spool.get("bytes_max")
    share = min(1.0, used / limit) if is_number(used) and is_number(limit) and limit else 0.0
    held = [cell(sink.get("name")) for sink in objects(report, "sinks") if waits(sink)]
    tone = "held" if share >= 0.95 else "late" if held else "well"
    return unit("spool", "section", _spool_body(spool, share, held), f' class="area {tone}" aria-labelledby="spool-h"')


def _spool_body(spool: Mapping[str, Any], share: float, held: list[str]) -> str:
    room = moment(spool.get("room_until")) if spool.get("room_until") else ""
    if held and room:
        end = f"room until <strong>{room}</strong> if events go on coming as in the last hour"
    elif room and is_number(spool.get("hours_left")):
        end = f"room for {duration(spool['hours_left'] * 3600)} if every sink stopped now"
    else:
        end = "how long room lasts is not known: nothing came in the last hour"
    who = f"; it waits for {foreign(', '.join(held))}" if held else ""
    bar = (
        '<svg class="bar" viewBox="0 0 100 2" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="track" d="M0 0H100V2H0z"/><path class="fill" d="M0 0H{100 * share:.1f}V2H0z"/></svg>'
    )
    figures = f"{size(spool.get('bytes_used'))} of {size(spool.get('bytes_max'))} ({100 * share:.0f} %)"
    return (
        '<header><h2 id="spool-h">Spool</h2>'
        '<p class="small soft">What is not delivered waits here, on disk.</p></header>'
        f"{slot('spool-bar', bar, 'div')}"
        f'<p class="row between small">{slot("spool-used", figures)}<span>{slot("spool-room", end)}{who}</span></p>'
    )
