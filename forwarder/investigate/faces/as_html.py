"""The answer as one page: no script, nothing from elsewhere, light or dark, good on paper.

Invariant: every text that is not ours goes through `foreign`, which escapes it, shows what does not print as marks,
and isolates its direction. Addresses of the web are text, never links. The page's policy forbids all but its styles.
"""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from forwarder.investigate.faces import heading
from forwarder.investigate.faces.charts import days_chart
from forwarder.investigate.faces.grid import Grid, candidate_row, grid
from forwarder.investigate.faces.markup import foreign, plain
from forwarder.investigate.moments import Clock, pause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.investigate.result import Finding, Part, Result

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

LINE_END = "\n"
_TONES = {"!!": ("now", "!! act now"), "!": ("look", "! look"), "": ("", "noted")}
_OPEN = {"sessions", "days", "accounts", "people", "deeds", "read", "unusual", "matches"}
"""Parts that are unfolded when the page opens; on paper all are."""


def as_html(result: Result) -> str:
    """Return the page."""
    return "\n".join(_page(result))


def _page(result: Result) -> Iterator[str]:
    clock = Clock(result.question.zone)
    title = f"{result.question.kind} {heading.subject_line(result.subject, result.question.who)}"
    style = files("forwarder.investigate.faces").joinpath("page.css").read_text(encoding="utf-8")
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="referrer" content="no-referrer">\n<title>{plain(title)}</title>\n'
        f"<style>\n{style}</style>\n</head>\n<body>"
    )
    yield from _header(result, clock)
    if result.several:
        yield from _candidates(result, clock)
    elif not result.totals.subject:
        said = f"{result.searched}.{heading.seen(result.subject, clock)}"
        yield f"<section><h2>Nothing found</h2><p>{foreign(said)}</p></section>"
    else:
        yield from _findings(result)
        for part in result.parts:
            yield from _part(part, result, clock)
        yield from _not_found(result)
    yield from _method(result)
    yield "</body>\n</html>"


def _header(result: Result, clock: Clock) -> Iterator[str]:
    run, subject = result.run, result.subject
    yield "<header>"
    yield f'<p class="soft">{escape(heading.asked(result))}</p>'
    name, *more = heading.subject_parts(subject, result.question.who)
    yield f"<h1>{foreign(name)}{''.join(f' <small>{foreign(text)}</small>' for text in more)}</h1>"
    yield '<dl class="facts">'
    facts = [
        ("time", heading.window(result, clock)),
        ("counted", heading.counted(result)),
        ("asked for", result.question.who),
        *([("found", heading.found_by(subject))] if subject.resolved_by else []),
        ("made", f"{clock.full(run.at_ms)} by {run.by} on {run.host}, audit-forwarder {run.version}"),
        *([("case", run.case)] if run.case else []),
        *([("reason", run.reason)] if run.reason else []),
        *(("evidence", line) for line in heading.evidence_lines(result)),
    ]
    yield from (f"<dt>{escape(name)}</dt><dd>{foreign(text)}</dd>" for name, text in facts)
    yield "</dl></header>"
    if result.limits:
        yield '<section><h2>What this cannot show</h2><ul class="limits">'
        for limit in result.limits:
            yield f"<li>{foreign(heading.limit_line(limit))}</li>"
        yield "</ul></section>"


def _candidates(result: Result, clock: Clock) -> Iterator[str]:
    yield f"<section><h2>Which one is meant?</h2><p>{foreign(heading.several(result))}</p>"
    titles = ["name", "address", "id", "first seen", "last seen", "events"]
    rows = [candidate_row(one, clock) for one in result.subject.candidates]
    yield _table(titles, rows, numbers={5})
    yield "</section>"


def _findings(result: Result) -> Iterator[str]:
    yield "<section><h2>What stands out</h2>"
    if not result.findings:
        yield f"<p>No rule found anything; {foreign(result.searched)}.</p>"
    else:
        yield '<ol class="findings">'
        yield from map(_finding, result.findings)
        yield "</ol>"
    yield '<p class="note">Numbers, and what they are compared with. What they mean, the reader says.</p></section>'


def _finding(one: Finding) -> str:
    tone, sign = _TONES[one.mark]
    ids = "<br>".join(foreign(ident) for ident in one.events)
    more = f"<br>and {one.count - len(one.events)} more" if one.count > len(one.events) else ""
    return (
        f'<li class="finding {tone}" id="{one.code}"><span class="sign">{one.code} {sign}</span> {foreign(one.text)}'
        f'<p class="rule">Rule: {foreign(one.rule)}.</p><details class="ids"><summary class="note">events: {one.count}'
        f"</summary><code>{ids}{more}</code></details></li>"
    )


def _part(part: Part, result: Result, clock: Clock) -> Iterator[str]:
    if not part.rows:
        return
    shown = grid(part, clock, subject=result.subject.accounts)
    chart = days_chart(part) if part.name == "days" else ""
    count = len(part.rows) + part.left_out
    is_open = " open" if part.name in _OPEN else ""
    yield f'<section id="{escape(part.name)}"><details{is_open}><summary><h2>{escape(part.title)}</h2>'
    yield f' <span class="soft">{count}</span></summary>{chart}'
    yield _grid(part, shown) + (f'<p class="note">{part.left_out} more rows are not here.</p>' if part.left_out else "")
    yield f'<p class="note">{escape(part.note)}</p></details></section>'


def _grid(part: Part, shown: Grid) -> str:
    numbers = {at for at, title in enumerate(shown.titles) if title.number}
    pauses = _pauses(part) if part.name == "sessions" else {}
    return _table([title.text for title in shown.titles], shown.rows, numbers=numbers, pauses=pauses)


def _pauses(part: Part) -> dict[int, str]:
    """Return the pause before a row, of an hour and more."""
    names = [column.name for column in part.columns]
    start, end = names.index("start"), names.index("end")
    found, reached = {}, None
    for at, row in enumerate(part.rows):
        begins, ends = row[start], row[end]
        if isinstance(begins, int) and isinstance(ends, int):
            if reached is not None and begins - reached >= 3_600_000:
                found[at] = pause(begins - reached)
            reached = max(ends, reached or ends)
    return found


def _table(titles: list[str], rows: list[list[str]], *, numbers: set[int], pauses: dict[int, str] | None = None) -> str:
    kind = ["num" if at in numbers else "" for at in range(len(titles))]
    head = "".join(f'<th scope="col" class="{kind[at]}">{escape(title)}</th>' for at, title in enumerate(titles))
    body = []
    for number, row in enumerate(rows):
        if pauses and number in pauses:
            body.append(f'<tr class="pause"><td colspan="{len(titles)}">··· {pauses[number]} ···</td></tr>')
        body.append(
            "<tr>" + "".join(f'<td class="{kind[at]}">{foreign(text)}</td>' for at, text in enumerate(row)) + "</tr>"
        )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def _not_found(result: Result) -> Iterator[str]:
    if result.not_found:
        items = "".join(f"<li>{escape(text)}</li>" for text in result.not_found)
        yield f'<section><h2>Looked for and not found</h2><ul class="limits">{items}</ul>'
        yield f'<p class="note">{foreign(result.searched)}</p></section>'


def _method(result: Result) -> Iterator[str]:
    yield '<p class="paper note">Queries and the ids of events are in the file that this was printed from.</p>'
    yield '<section class="method"><details><summary><h2>How it was counted</h2></summary>'
    for query in result.queries:
        values = ", ".join(f"${name} = {value}" for name, value in query.params.items() if name != "ids")
        yield f"<p>{escape(query.name)}</p><pre>{plain(query.sql, keep=LINE_END)}</pre>"
        yield f'<p class="note">{foreign(values)}</p>' if values else ""
    yield "</details></section><section><details><summary><h2>Evidence</h2> "
    yield f'<span class="soft">{len(result.evidence.objects)}</span></summary>'
    yield _table(["object", "sha256"], [[one.name, one.sha256] for one in result.evidence.objects], numbers=set())
    yield (
        '<p class="note">The sha256 of the list is of these lines, in order of names: sha256, two blanks, name.</p>'
        "</details></section>"
    )
    yield f"<footer>{foreign(result.searched)}</footer>"
