"""Charts as inline SVG, no script: bars of a day, and a strip for each kind of act. The table has the numbers."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

from forwarder.investigate.faces.markup import plain

if TYPE_CHECKING:
    from forwarder.investigate.result import Cell, Part

_WIDTH, _HEIGHT, _LANE = 960, 96, 16
_LANES = (
    ("views", "views"),
    ("changes", "changes"),
    ("exports", "exports"),
    ("rights", "rights"),
    ("failed", "failed logins"),
)
_MOST_DAYS = 400


def days_chart(part: Part) -> str:
    """Return bars of events a day, and below them a lane for each kind of act; darker is more. Empty without days."""
    names = [column.name for column in part.columns]
    rows = _calendar([dict(zip(names, row, strict=True)) for row in part.rows])
    if not rows:
        return ""
    step = _WIDTH / len(rows)
    most = max(_number(row.get("events")) for row in rows) or 1
    height = _HEIGHT + 8 + _LANE * len(_LANES)
    marks = [
        f'<rect class="bar" x="{at * step:.2f}" y="{_HEIGHT - tall:.1f}" width="{max(step - 1, 0.5):.2f}" '
        f'height="{tall:.1f}">'
        f"<title>{plain(str(row['day']))}: {_number(row.get('events'))} events</title></rect>"
        for at, row in enumerate(rows)
        if (tall := _HEIGHT * (_number(row.get("events")) / most) ** 0.5)
    ]
    for lane, (name, title) in enumerate(_LANES):
        top, peak = _HEIGHT + 8 + lane * _LANE, max(_number(row.get(name)) for row in rows) or 1
        marks += [
            f'<rect class="lane" x="{at * step:.2f}" y="{top}" width="{max(step - 1, 0.5):.2f}" height="{_LANE - 3}" '
            f'opacity="{0.25 + 0.75 * _number(row.get(name)) / peak:.2f}"><title>{plain(str(row["day"]))}: '
            f"{_number(row.get(name))} {title}</title></rect>"
            for at, row in enumerate(rows)
            if _number(row.get(name))
        ]
    labels = "".join(f"<li>{title}: {sum(_number(row.get(name)) for row in rows)}</li>" for name, title in _LANES)
    first, last = plain(str(rows[0]["day"])), plain(str(rows[-1]["day"]))
    return (
        f'<figure><svg class="chart" viewBox="0 0 {_WIDTH} {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="Events a day, {first} to {last}, at most {most}"><path class="base" d="M0 {_HEIGHT}h{_WIDTH}"/>'
        f'{"".join(marks)}</svg><p class="axis"><span>{first}</span><span>{last}</span></p>'
        f"<figcaption>Events a day, at most {most}; heights grow with the square root. Below, from above, a lane each, "
        f'darker for more:</figcaption><ul class="lanes">{labels}</ul></figure>'
    )


def _calendar(rows: list[dict[str, Cell]]) -> list[dict[str, Cell]]:
    """Return a row for every day from the first to the last, also for those without an event; of many the last."""
    try:
        known = {date.fromisoformat(str(row["day"])): row for row in rows}
    except ValueError:
        return rows[-_MOST_DAYS:]
    if not known:
        return []
    last = max(known)
    first = max(min(known), last - timedelta(days=_MOST_DAYS - 1))
    days = [first + timedelta(days=at) for at in range((last - first).days + 1)]
    return [known.get(day, {"day": day.isoformat()}) for day in days]


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
