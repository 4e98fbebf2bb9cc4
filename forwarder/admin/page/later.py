"""What can wait until morning: dead letters, lanes without a sink, gaps, replays, what is read behind; what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forwarder.admin.page.pieces import icon, ident, instruction, moment, number, slot, table, unit
from forwarder.investigate.faces.markup import foreign
from forwarder.observe.status_problems import MOST_GAPS, remarks
from forwarder.observe.status_reading import reading_lines
from forwarder.observe.status_values import cell, count_of, objects, spool_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forwarder.admin.page.forms import Hand
    from forwarder.observe.verdict import Tone

_SAID_ELSEWHERE = {"trouble", "letters", "removed"}
_GAP_HEADS = ("gap", "cause", "state", "concerns", "events", "from", "to", "opened")


def later_area(report: Mapping[str, Any], hand: Hand) -> str:
    """Return what can wait until morning, each with what to do."""
    found = [_remark(each.what, each.do) for each in remarks(report) if each.kind not in _SAID_ELSEWHERE]
    notes = [*_letters(report, hand), *_strangers(report, hand), *found, *_open_gaps(report), *_replays(report, hand),
             *_reading(report)]  # fmt: skip
    body = '<header><h2 id="later-h">Can wait until morning</h2></header>' + (
        "".join(notes) or '<p class="soft">Nothing.</p>'
    )
    return unit("later", "section", body, ' class="area" aria-labelledby="later-h"')


def _note(tone: Tone, what: str, more: str = "", acts: str = "") -> str:
    return f'<div class="note {tone}">{icon(tone)}<div class="flow"><p>{what}</p>{more}{acts}</div></div>'


def _remark(what: str, do: str) -> str:
    return _note("late", foreign(what), f"<p>{instruction(do)}</p>" if do else "")


def _letters(report: Mapping[str, Any], hand: Hand) -> list[str]:
    """Return the dead letters of each sink and reason, with advice; where they are not listed, that there are some."""
    notes = []
    rows = objects(report, "letters")
    for at, row in enumerate(rows):
        if not count_of(row, "events"):
            continue
        count = number(row.get("events"))
        fields = {"sink": row.get("sink"), "reason": row.get("reason"), "upto": row.get("highest")}
        here = f"letters-{at}"
        retry = hand.form("letters-retry", f"{here}-retry", fields, label=f"Retry all {count}")
        discard = hand.form("letters-discard", f"{here}-discard", fields, label=f"Discard all {count}")
        fold = (
            f'<details class="acts" id="{here}-fold"><summary>Discard …</summary>{discard}</details>' if discard else ""
        )
        what = (
            f"<strong>{count} dead letters in {foreign(cell(row.get('sink')))}: "
            f"{foreign(cell(row.get('reason')))}</strong>; first {moment(row.get('first'))}, "
            f"last {moment(row.get('last'))}."
        )
        see = f"audit-forwarder dead-letters list --sink {cell(row.get('sink'))}"
        more = (
            f"<p><strong>Advice:</strong> {foreign(cell(row.get('advice')))} The events are kept here, whole. "
            f"What the sink said of each: <code>{foreign(see)}</code></p>"
        )
        notes.append(_note("late", what, more, retry + fold))
    listed = {row.get("sink") for row in rows}
    notes += [
        _remark(each.what, each.do)
        for each in remarks(report)
        if each.kind == "letters" and each.part.removeprefix("sink ") not in listed
    ]
    return notes


def _strangers(report: Mapping[str, Any], hand: Hand) -> list[str]:
    """Return lanes whose sink is not configured any more."""
    said = {each.part: each for each in remarks(report) if each.kind == "removed"}
    notes = []
    for lane in objects(spool_of(report), "lanes"):
        name = cell(lane.get("name"))
        remark = said.get(f"sink {name}")
        if remark is None and lane.get("configured", True):
            continue
        what = remark.what if remark else f"sink {name} is not in the configuration; no events wait for it."
        form = hand.form("forget", f"{ident('lane', name)}-forget", {"sink": lane.get("name")}) if remark else ""
        fold = (
            f'<details class="acts" id="{ident("lane", name)}-fold"><summary>Forget …</summary>{form}</details>'
            if form else ""
        )  # fmt: skip
        notes.append(_note("off", foreign(what), f"<p>{instruction(remark.do)}</p>" if remark else "", fold))
    return notes


def _open_gaps(report: Mapping[str, Any]) -> list[str]:
    gaps = [gap for gap in objects(spool_of(report), "gaps") if gap.get("state") != "closed"]
    if not gaps:
        return []
    rows = "".join(map(_gap_row, reversed(gaps[-MOST_GAPS:])))
    more = f", the newest {MOST_GAPS} of {len(gaps)}" if len(gaps) > MOST_GAPS else ""
    rows_shown = table(f"Gaps that are not closed{more}", _GAP_HEADS, rows)
    return [_note("late", f"{len(gaps)} gap{'' if len(gaps) == 1 else 's'} not closed", rows_shown)]


def _gap_row(gap: Mapping[str, Any]) -> str:
    concerns = " → ".join(cell(gap[side]) for side in ("source", "sink") if gap.get(side)) or "all"
    words = (cell(gap.get("cause")).replace("_", " "), cell(gap.get("state")), concerns)
    cells = "".join(f"<td>{foreign(word)}</td>" for word in words)
    times = "".join(f"<td>{moment(gap.get(name))}</td>" for name in ("from", "to", "opened"))
    events = f'<td class="num">{number(gap.get("events"))}</td>'
    return f'<tr><th scope="row">{number(gap.get("number"))}</th>{cells}{events}{times}</tr>'


def _replays(report: Mapping[str, Any], hand: Hand) -> list[str]:
    """Return the replays that are not through, and how far they are."""
    notes = []
    for row in objects(report, "replays"):
        here = ident("replay", row.get("number"))
        left = slot(f"{here}-left", f"{number(row.get('waiting'))} of {number(row.get('events'))} events left")
        what = (
            f"Replay {number(row.get('number'))} sends {foreign(cell(row.get('sink')))} again what happened from "
            f"{moment(row.get('since'))} to {moment(row.get('until'))}: {left}. "
            f"{foreign(cell(row.get('who')))} asked for it."
        )
        form = hand.form("replay-cancel", f"{here}-cancel", {"number": row.get("number")})
        fold = f'<details class="acts" id="{here}-fold"><summary>End it …</summary>{form}</details>' if form else ""
        notes.append(_note("busy", what, "", fold))
    return notes


def _reading(report: Mapping[str, Any]) -> list[str]:
    """Return what is read behind live events; the lines tick, and are the same as in the terminal."""
    lines = reading_lines(report)
    return [_note("busy", slot(f"reading-{at}", foreign(line))) for at, line in enumerate(lines)]
