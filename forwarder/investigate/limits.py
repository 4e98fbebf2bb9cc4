"""What the evidence does not show: said above what it shows, of every answer.

Most of it is counted: events without an address, views without an object, how much there was before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forwarder.investigate.moments import Clock, pause
from forwarder.investigate.result import Limit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.investigate.asking import Asking
    from forwarder.investigate.result import Evidence, Question

_OF_SUBJECT = """
select count(*) events, count(*) filter (ip is null) no_address, count(*) filter (ip is null
  and place is null) no_place,
  count(*) filter (is_view and content_id is null) no_object, count(*) filter (user_id is null) nobody,
  count(*) filter (code is null) unknown_acts,
  count(*) filter (code = 'group.add' and target_id is null) unnamed_members from asked
"""

_OF_WINDOW = """
select events > 0 is true events, "views" > 0 is true "views", titles > 0 is true titles,
  user_agents > 0 is true user_agents, session_ids > 0 is true session_ids from sums_within
"""

_AHEAD = """
with e as (select t, try_strptime(split_part(evidence, '/day=', 2)[:18], '%Y-%m-%d/hour=%H')
  + interval 65 minutes latest from {table})
select count(*) n, count(*) filter (t < $since or t >= $until) outside, epoch_ms(min(t)) "first",
  epoch_ms(max(t)) "last" from e where t > latest
"""
"""The hour in which an object was stored is in its name, and clocks may differ by five minutes."""

_LATER = """
select epoch_ms(hour) "hour", sum(events)::bigint n, epoch_ms(max("last")) "last" from hours
where "first" >= $until group by hour order by hour desc
"""

_PROBLEMS = "select count(*) n from problems"


def limits(
    asking: Asking,
    question: Question,
    evidence: Evidence,
    clock: Clock,
    *,
    repeated: int,
    table: str,
    now_ms: int,
    **values: Any,
) -> tuple[Limit, ...]:
    """Return what limits an answer.

    Args:
        asking: Has laid out its events.
        question: That was asked.
        evidence: That was read.
        clock: Writes moments.
        repeated: How many events of it are kept twice.
        table: That has its events, of all times where these were read.
        now_ms: When it is asked; no part of a query, which is the same for the same question.
        values: Of the question.
    """
    [own] = asking.run("limits of the subject", _OF_SUBJECT)
    [window] = asking.run("limits of the time", _OF_WINDOW, **values)
    [problems] = asking.run("lines that are no event", _PROBLEMS)
    own["kept_twice"] = repeated
    return (
        *_all(question, evidence, clock, own, window, problems["n"]),
        *_clocks(asking, evidence, clock, table, now_ms, **values),
    )


def _clocks(
    asking: Asking, evidence: Evidence, clock: Clock, table: str, now_ms: int, **values: Any
) -> Iterator[Limit]:
    """Yield what is dated later than it can have happened: a question about a time may miss it."""
    [ahead] = asking.run("dated later than stored", _AHEAD.format(table=table), **values)
    if ahead["n"]:
        when = clock.span(ahead["first"], ahead["last"])
        outside = f", {ahead['outside']} of them outside the time that was asked about" if ahead["outside"] else ""
        yield Limit(
            "clock", f"events dated later than they were stored, {when}: a clock was wrong{outside}", ahead["n"]
        )
    until = int(values["until"].timestamp() * 1000)
    if evidence.last_ms is not None and evidence.last_ms >= max(until, now_ms):
        later = [row for row in asking.run("dated later", _LATER, **values) if row["hour"] > now_ms]
        if later:
            text = "events of any account dated after now and outside the time that was asked about, the last"
            events = sum(row["n"] for row in later)
            yield Limit("later", f"{text} {clock.full(later[0]['last'])}: a clock was wrong", events)


def limits_of_all(
    asking: Asking, question: Question, evidence: Evidence, clock: Clock, **values: Any
) -> tuple[Limit, ...]:
    """Return what limits an answer that is about no one subject."""
    [window] = asking.run("limits of the time", _OF_WINDOW, **values)
    [problems] = asking.run("lines that are no event", _PROBLEMS)
    nothing = dict.fromkeys(("no_address", *(name for name, _ in _COUNTED)), 0)
    return tuple(_all(question, evidence, clock, nothing, window, problems["n"]))


def _all(
    question: Question, evidence: Evidence, clock: Clock, own: dict[str, Any], window: dict[str, Any], problems: int
) -> Iterator[Limit]:
    for failure in evidence.failed[:_MOST_FAILURES]:
        yield Limit(
            "failed", f"the evidence is not as it was written: {failure.kind}: {failure.name}: {failure.detail}"
        )
    if (more := len(evidence.failed) - _MOST_FAILURES) > 0:
        yield Limit("failed", "more of the evidence that is not as it was written", more)
    for gap in evidence.gaps:
        yield Limit("gap", f"{clock.span(gap.since_ms, gap.until_ms)}: {gap.text}")
    if evidence.damaged_index:
        text = "parts of the index that are damaged: the evidence of their days was read instead. Make them anew:"
        yield Limit("index", f"{text} audit-forwarder investigate index", len(evidence.damaged_index))
    if not evidence.proved:
        yield Limit("not_proved", evidence.proof)
    if evidence.repeated:
        text = "events that stand there once more: each is counted once; numbers of all accounts count each"
        yield Limit("repeated", text, evidence.repeated)
    if problems:
        yield Limit(
            "problems", "lines of the evidence that are no event that can be read, and in no number here", problems
        )
    yield from _history(question, evidence, clock)
    if window["events"]:
        yield from _of_the_log(window)
        yield from (Limit(name, text, own[name]) for name, text in _COUNTED if own[name])
        if own["no_address"]:
            placed = own["no_address"] - own["no_place"]
            text = f"events without an address, of which {placed} are placed by their session"
            yield Limit("no_address", text, own["no_address"])
        yield from _ALWAYS


_MOST_FAILURES = 20

_COUNTED = (
    (
        "kept_twice",
        "events that are kept more than once, as after a restore: each counts once; numbers of all accounts count each",
    ),
    ("no_object", "views that name no page or issue, counted as views only"),
    ("unnamed_members", "additions to groups that do not name who was added"),
    ("unknown_acts", "events of kinds that the catalogue does not know, shown by Atlassian's own name"),
)
_ALWAYS = (
    Limit(
        "views",
        "a view was delivered to an account; that a person read it is not in the log. API, search, mails, exports and"
        " caches may show content without a view",
    ),
    Limit("places", "places are Atlassian's lookup of an address: VPN and mobile networks mislead"),
)


def _of_the_log(window: dict[str, Any]) -> Iterator[Limit]:
    """Yield what nobody's events have in this time."""
    if not window["views"]:
        yield Limit(
            "no_views",
            "no view of a page or issue is recorded in this time, by any account: that needs a plan with user activity"
            " (Guard Premium or Enterprise). No views here does not mean that no one looked",
        )
    elif not window["titles"]:
        yield Limit("no_titles", "the log does not store user content: pages and issues have ids, no titles or keys")
    counts = (("user agent", "user_agents"), ("session id", "session_ids"))
    if missing := [name for name, count in counts if not window[count]]:
        yield Limit("not_recorded", f"not recorded by these logs: device, {', '.join(missing)}")


def _history(question: Question, evidence: Evidence, clock: Clock) -> Iterator[Limit]:
    first, since = evidence.first_ms, question.since_ms
    if first is None:
        yield Limit("empty", "nothing is kept at all")
        return
    if first <= 0:
        text = "there are events whose time cannot be read, or is none; they stand at the beginning of 1970, or before"
        yield Limit("no_time", text)
    if since is None:
        yield Limit("history", f"what is kept begins {clock.full(first)}: before that nothing is known")
    elif since < first:
        later = f"what is kept begins {clock.full(first)}, {pause(first - since)} later"
        yield Limit("history", f"asked from {clock.full(since)}, but {later}")
    else:
        yield Limit("history", f"what is kept begins {clock.full(first)}: “new” has {pause(since - first)} before it")
