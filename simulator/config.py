"""Settings of the simulator: what the real API leaves unknown, how much happens, and who may ask.

Everything that decides what is served is here or in the fault script, so that a seed, a clock and these settings
give the same events byte for byte.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Iterable

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")

EVENTS_SCOPE = "read:events:admin"


def seconds(value: Any) -> float:
    """Return seconds from a number or text such as `30s`, `7d` or `1h30m`. Raises ValueError for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    parts = _PART.findall(str(value))
    if not parts or "".join(number + unit for number, unit in parts) != str(value):
        raise ValueError(f"{value!r} is not a duration; write seconds or text such as 30s, 15m, 1h30m or 7d")
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))


Seconds = Annotated[float, BeforeValidator(seconds)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Switches(_Model):
    """What no one outside knows about the real API; a reader must be right under every combination.

    Attributes:
        from_compares: Whether `from` and `to` on the stream look at the processing time or at the event's time.
        bounds: Whether an event exactly at `from` or `to` is inside.
        tip: What `meta.next` is when nothing more is there: null, a cursor to ask again with, or that cursor only
            when no `to` was given.
        tip_cursor: Whether a cursor asked at the tip comes back as it was, or newly written each time.
        limit_above_200: Whether a page may have up to 500 events or is refused above 200.
        late_visible: Seconds by which a share of the events appears behind cursors that have already passed them.
        late_visible_share: That share.
        reissue: Share of the events that come again, same id, new content and new processing time.
        reissue_within: Longest time until they do.
    """

    from_compares: Literal["processed", "time"] = "processed"
    bounds: Literal["inclusive", "exclusive"] = "inclusive"
    tip: Literal["null", "resume", "resume_without_to"] = "resume_without_to"
    tip_cursor: Literal["unchanged", "fresh"] = "unchanged"
    limit_above_200: Literal["accepted", "refused"] = "accepted"
    late_visible: Seconds = 0.0
    late_visible_share: Share = 0.02
    reissue: Share = 0.0
    reissue_within: Seconds = 2.0

    @classmethod
    def parse(cls, words: Iterable[str]) -> Switches:
        """Build from words such as `tip=null`. Raises ValueError (pydantic's) for an unknown one."""
        return cls.model_validate(dict(word.partition("=")[::2] for word in words))


class RateLimits(_Model):
    """How often a key may ask. 0 means as often as it likes.

    Attributes:
        stream: Requests per window for `/events-stream`.
        events: Requests per window for each other path.
        window: Length of the window in seconds; windows begin at multiples of it.
        shape: How a 429 tells when to come back: `X-RateLimit-Reset` to the minute or to the second,
            `Retry-After`, or not at all.
        on_success: Whether good answers carry `X-RateLimit-*` too.
        others: Requests per window of somebody else with the same key, for each path, evenly while it passes.
    """

    stream: Annotated[int, Field(ge=0)] = 0
    events: Annotated[int, Field(ge=0)] = 0
    window: Annotated[Seconds, Field(gt=0)] = 60.0
    shape: Literal["minute", "seconds", "retry_after", "none"] = "minute"
    on_success: bool = True
    others: Annotated[int, Field(ge=0)] = 0


class Workspaces(_Model):
    """The Workspace Events API, and what is not known of it; a reader must be right under every combination.

    Attributes:
        served: Whether there is one for the sites at all; else every path of it is unknown.
        order: Which events come first.
        most: Events on one page at most.
        above: What a higher `limit` gets: a page that is cut to the most without a word, or a refusal.
        tip: What the last page leads to: a cursor that stays valid and gives empty pages, nothing, or a cursor that is
            refused once it is used.
        bounds: Whether an event exactly at `from` or `to` is inside.
        cursor_in: Where a page says how it goes on: `meta.next`, or as part of the address in `links.next`.
        ids: Whether an event that the organization's log holds too has another id here, or the same.
    """

    served: bool = False
    order: Literal["newest_first", "oldest_first"] = "newest_first"
    most: Annotated[int, Field(ge=1)] = 200
    above: Literal["cut", "refused"] = "cut"
    tip: Literal["resume", "end", "refused"] = "resume"
    bounds: Literal["inclusive", "exclusive"] = "inclusive"
    cursor_in: Literal["meta", "links"] = "meta"
    ids: Literal["own", "organization"] = "own"


class Products(_Model):
    """The audit logs of Jira and Confluence on every site, and what is not known of them.

    Attributes:
        records: Records that exist at the start, in each product of each site; 0 and no rate means no such logs.
        rate: New records per second in each of them while time flows.
        late: Seconds by which a share of the records appears behind those that were already read.
        late_share: That share.
        twins: Share of Confluence's records that come twice in the same millisecond, the same bytes.
        total_excess: By how much Jira's `total` is above what can be read.
        jira_times: How finely Jira reads `from` and `to`; what is finer is cut off.
        jira_bounds: Whether a record exactly at `from` or `to` is inside.
        requests: Requests per window for each log; 0 means as many as `limits` gives other paths.
        confluence_most: Records on one page of Confluence at most, whatever was asked for.
        plan: Whether the products keep an audit log at all.
        login: What a wrong credential gets: 401, a login page with status 200, or a redirect to one.
        workspaces: The same deeds once more, as events of the Workspace Events API.
    """

    records: Annotated[int, Field(ge=0)] = 0
    rate: Annotated[float, Field(ge=0)] = 0.0
    late: Seconds = 0.0
    late_share: Share = 0.02
    twins: Share = 0.01
    total_excess: Annotated[int, Field(ge=0)] = 3
    jira_times: Literal["milliseconds", "seconds"] = "milliseconds"
    jira_bounds: Literal["inclusive", "exclusive"] = "inclusive"
    requests: Annotated[int, Field(ge=0)] = 0
    confluence_most: Annotated[int, Field(ge=1)] = 1000
    plan: Literal["paid", "free"] = "paid"
    login: Literal["refused", "page", "redirect"] = "refused"
    workspaces: Workspaces = Workspaces()


class KeyConfig(_Model):
    """One bearer key.

    Attributes:
        value: The key; made from the seed when empty.
        expires: Seconds after the start at which it expires; 0 means never.
        scopes: What it may do; empty is a key without scopes, which may do everything.
    """

    value: str = ""
    expires: Seconds = 0.0
    scopes: tuple[str, ...] = (EVENTS_SCOPE,)


class SimulatorConfig(_Model):
    """All settings of one simulator.

    Attributes:
        seed: Decides people, places, events, oddities and the dice of faults.
        organizations: How many organizations; each has its own people, key and events.
        events: Events that exist at the start, in each organization.
        history: How far back they reach.
        rate: New events per second and organization while time flows; 0 means none by themselves.
        delay: Longest usual time from an event to its processing.
        late_share: Share of events processed much later than they happened.
        late_up_to: How much later at most.
        oddities: How often the known oddities of real events appear, as a factor; 0 means never.
        stories: Whether the history holds the stories an analyst should find (needs about 2000 events).
        ugc: Whether user-generated content, such as page titles and issue keys, is stored.
        retention: Older events are not served.
        products: The audit logs of the sites' products.
        compress: Whether answers are gzipped for clients that accept it.
        faults: The fault script, as in `faults.Rule`.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    seed: int = 1
    organizations: Annotated[int, Field(ge=1, le=100)] = 1
    events: Annotated[int, Field(ge=0)] = 10_000
    history: Annotated[Seconds, Field(gt=0)] = 7 * 86400.0
    rate: Annotated[float, Field(ge=0)] = 0.0
    delay: Seconds = 2.0
    late_share: Share = 0.01
    late_up_to: Seconds = 6 * 3600.0
    oddities: Annotated[float, Field(ge=0, le=10)] = 1.0
    stories: bool = True
    ugc: Literal["stored", "not_stored"] = "stored"
    retention: Seconds = 180 * 86400.0
    compress: bool = False
    key: KeyConfig = KeyConfig()
    limits: RateLimits = RateLimits()
    switches: Switches = Switches()
    products: Products = Products()
    faults: tuple[dict[str, Any], ...] = ()
