"""The rest of the page: books, the record, the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forwarder.admin.page.pieces import icon, moment, number, slot, table, unit
from forwarder.investigate.faces.markup import foreign, plain
from forwarder.observe.status_sums import archive_lines, books_line, completeness_line
from forwarder.observe.status_values import cell, count_of, objects
from forwarder.reconcile.verdict import JUDGEMENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forwarder.admin.page.forms import Hand
    from forwarder.observe.verdict import Tone

_ROWS = (
    ("expected", "expected"),
    ("delivered", "delivered"),
    ("filtered", "filtered"),
    ("rejected", "dead letters"),
    ("waiting", "waiting"),
    ("missing", "missing"),
)
_DAY_TONES: Mapping[str, Tone] = {"gap": "held", "waiting": "late", "complete": "well"}
_MOST_ERRORS = 12


def books_area(report: Mapping[str, Any]) -> str:
    """Return the books of today by sink, the days before, and what all of it comes to."""
    complete = completeness_line(report) or "complete: not judged yet"
    well = report.get("balanced", True) and "INCOMPLETE" not in complete
    tone: Tone = "well" if well else "held"
    lines = [foreign(line) for line in (books_line(report), complete)]
    body = (
        '<header><h2 id="books-h">Books</h2>'
        '<p class="small soft">expected &minus; delivered &minus; filtered &minus; dead letters &minus; waiting '
        "= missing</p></header>"
        f'<div class="books">{_ledger(report)}<div class="flow">'
        f'<p class="line {tone}">{icon(tone)}{slot("books-complete", lines[1])}</p>'
        f'<p class="small soft">{slot("books-sums", lines[0])}</p>{_archives(report)}{_days(report)}</div></div>'
    )
    return unit("books", "section", body, ' class="area" aria-labelledby="books-h"')


def _ledger(report: Mapping[str, Any]) -> str:
    today = str(report.get("now", ""))[:10]
    lines = [line for line in objects(report, "days") if line.get("day") == today]
    sinks = [sink.get("name") for sink in objects(report, "sinks")]
    if not lines or not sinks:
        why = "Nothing of today is in the books yet." if report.get("completeness") else "Not judged yet."
        return f'<p class="soft">{why}</p>'
    heads = "".join(f'<th scope="col">{foreign(cell(sink))}</th>' for sink in sinks)
    rows = ""
    for key, word in _ROWS:
        cells = ""
        for at, sink in enumerate(sinks):
            value = sum(count_of(line, key) for line in lines if line.get("sink") == sink)
            loud = ' class="loud"' if key == "missing" and value else ""
            cells += f"<td{loud}>{slot(f'books-{key}-{at}', number(value))}</td>"
        rows += f'<tr class="{key}"><th scope="row">{word}</th>{cells}</tr>'
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Books of today"><table class="ledger">'
        f"<caption>Events of today, {plain(today)}, in UTC, of all sources</caption>"
        f"<thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _archives(report: Mapping[str, Any]) -> str:
    return "".join(
        f'<p class="small soft">{slot(f"books-archive-{at}", foreign(line))}</p>'
        for at, line in enumerate(archive_lines(report))
    )


def _days(report: Mapping[str, Any]) -> str:
    """Return a box for each day, the worst of all sources and sinks; what the last ones lack stands beside it."""
    worst: dict[str, str] = {}
    for line in objects(report, "days"):
        day, word = cell(line.get("day")), cell(line.get("judgement"))
        ranks = [JUDGEMENTS.index(each) if each in JUDGEMENTS else 0 for each in (word, worst.get(day, word))]
        worst[day] = (word, worst.get(day, word))[ranks.index(min(ranks))]
    if not worst:
        return ""
    if worst.get(today := str(report.get("now", ""))[:10]) == "waiting":
        worst[today] = "not over yet"
    shown = "".join(
        f'<li class="{_DAY_TONES.get(word, "off")}" title="{plain(day)}: {plain(word)}">'
        f'{icon(_DAY_TONES.get(word, "off"))}<span aria-hidden="true">{plain(day[8:])}</span>'
        f'<span class="sr">{plain(day)}: {plain(word)}</span></li>'
        for day, word in sorted(worst.items())
    )
    return (
        '<h3 class="small soft" id="days-h">The last days: complete once they were read again</h3>'
        f'<ol class="days" aria-labelledby="days-h">{shown}</ol>'
    )


def record_area(report: Mapping[str, Any]) -> str:
    """Return the last errors and the last acts of people."""
    body = (
        '<header><h2 id="record-h">For the record</h2><p class="small soft">since '
        f"{moment(report.get('started'))}, when this process started</p></header>"
        f'<div class="two">{_errors(report)}{_acts(report)}</div>'
    )
    return unit("record", "section", body, ' class="area" aria-labelledby="record-h"')


def _errors(report: Mapping[str, Any]) -> str:
    found = [
        (str(seen.get("last") or ""), kind, one, seen)
        for kind in ("source", "sink")
        for one in objects(report, f"{kind}s")
        for seen in objects(one, "last_errors")
    ]
    found.sort(key=lambda row: row[0], reverse=True)
    rows = "".join(
        f"<tr><td>{slot(f'error-{at}', moment(seen.get('last')))}</td>"
        f'<th scope="row">{foreign(cell(one.get("name")))}</th>'
        f'<td class="words">{foreign(cell(seen.get("reason")))}</td>'
        f'<td class="num">{number(seen.get("times"))}</td></tr>'
        for at, (_, kind, one, seen) in enumerate(found[:_MOST_ERRORS])
    )
    return table("Last errors", ("last", "who", "words", "began"), rows)


def _acts(report: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{moment(act.get('at'))}</td><td>{foreign(_act_in_words(act))}</td>"
        f"<td>{foreign(cell(act.get('who')))}</td></tr>"
        for act in objects(report, "acts")
    )
    return table("Last acts", ("when", "what", "who"), rows)


def _act_in_words(act: Mapping[str, Any]) -> str:
    return f"{cell(act.get('verb'))} {cell(act['about']) if act.get('about') else ''}".strip()


def configuration_area(report: Mapping[str, Any], hand: Hand) -> str:
    """Return what runs: the version, whether the file is still what runs, and the settings with their places."""
    found = report.get("configuration")
    version = f"audit-forwarder {cell(report.get('version'))}, process {cell(report.get('pid'))}"
    if not isinstance(found, dict):
        body = f'<header><h2 id="config-h">Configuration</h2></header><p class="soft">{foreign(version)}</p>'
        return unit("config", "section", body, ' class="area" aria-labelledby="config-h"')
    rows = "".join(
        f'<tr><th scope="row"><code>{foreign(cell(row.get("path")))}</code></th>'
        f'<td class="words">{foreign(cell(row.get("value")))}</td>'
        f'<td class="soft words">{foreign(cell(row.get("where")))}</td></tr>'
        for row in objects(found, "settings")
    )
    count = len(objects(found, "settings"))
    rows_shown = table(
        "Every setting that is not as by default; secrets are masked", ("setting", "value", "from"), rows
    )
    body = (
        '<header><h2 id="config-h">Configuration</h2>'
        f'<p class="small soft">{foreign(version)}, digest '
        f"<code>{foreign(cell(report.get('config_digest')))}</code></p></header>{_file(found, hand)}"
        f'<details id="config-all"><summary>The {count} settings in force</summary>{rows_shown}</details>'
    )
    return unit("config", "section", body, ' class="area" aria-labelledby="config-h"')


def _file(found: Mapping[str, Any], hand: Hand) -> str:
    file = cell(found.get("file"))
    if not found.get("file"):
        return "<p>There is no file: the settings come from the environment.</p>"
    if problem := found.get("problem"):
        what = f"The file {file} cannot be read as it is now; what runs stays as it was. {cell(problem)}"
        return f'<p class="line late">{icon("late")}<span>{foreign(what)}</span></p>'
    differs = found.get("differs")
    if not isinstance(differs, list) or not differs:
        return f'<p class="line well">{icon("well")}<span>What runs is what the file {foreign(file)} says.</span></p>'
    names = "".join(f"<li><code>{foreign(cell(path))}</code></li>" for path in differs)
    form = hand.form("reload", "config-reload", {})
    return (
        f'<p class="line late">{icon("late")}<span>The file {foreign(file)} is not what runs. '
        f"Of these settings it says something else:</span></p><ul>{names}</ul>{form}"
    )
