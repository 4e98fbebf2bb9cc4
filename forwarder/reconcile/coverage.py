"""What is recorded of what happens, and what is not: the proof of completeness holds against what the logs show. Pure.

Sources: Atlassian's pages on the audit log, its event exclusions, and the plans that record user activity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.contracts.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from forwarder.contracts import Origin
    from forwarder.spool.contract import SourceStatus

_FOLLOWED = {
    "organization": "the organization's log: administration, and user activity where the plan records it",
    "jira": "the records of a Jira site: administration",
    "confluence": "the records of a Confluence site: administration",
    "guard_detect": "alerts of Guard Detect, as they are sent to us: what is not sent cannot be asked for",
}
_DATA_CENTER = "the log of a Data Center product, as far as its coverage is set; its own part here says how far"

NOT_SEEN: dict[str, tuple[tuple[str, str], ...]] = {
    "organization": (
        ("event exclusions", "what admins switched off is never recorded; app requests to Jira and Confluence are off"),
        (
            "plan",
            "without Guard or an Enterprise plan the log is empty; user activity needs Guard Premium, or Enterprise",
        ),
        ("unmanaged accounts", "activity of accounts that the organization does not manage may be absent"),
        ("content not stored", "titles and names are absent where an app is set to store none; the event is there"),
        ("sites not linked", "products and sites outside this organization are in its log with nothing"),
        ("not processed yet", "events that Atlassian has not put into the log; found when the time is read again"),
    ),
    "jira": (
        ("user activity", "views, and edits of work items, are not among a site's records"),
        ("other sites", "only the site of this source is read; another one needs a source of its own"),
    ),
    "confluence": (
        ("user activity", "views of pages are not among a site's records"),
        ("other sites", "only the site of this source is read; another one needs a source of its own"),
    ),
    "guard_detect": (("alerts not sent", "what was sent while we did not listen is gone when it is not sent again"),),
}
"""By feed, what its log does not show, whatever is delivered."""

_DATA_CENTER_NOT_SEEN = (
    ("coverage", "events above the level that is set for their area are not recorded"),
    ("denylist", "excluded actions are never recorded"),
)


def coverage(origins: Mapping[str, Origin], rows: Iterable[SourceStatus]) -> Iterator[Finding]:
    """Yield what each source records, and what none of its events can show.

    Args:
        origins: Of the configured sources, by name.
        rows: What the spool knows of them.
    """
    known = {row.identity: row for row in rows}
    for name, origin in origins.items():
        row = known.get(origin.identity)
        events = "nothing has come yet" if row is None or not row.spooled else f"{row.spooled} events so far"
        yield Finding(f"{name}: recorded", ok=True, detail=f"{_FOLLOWED.get(origin.feed, _DATA_CENTER)}; {events}")
    for feed in dict.fromkeys(origin.feed for origin in origins.values()):
        names = ", ".join(name for name, origin in origins.items() if origin.feed == feed)
        unseen = _DATA_CENTER_NOT_SEEN if feed.endswith("_datacenter") else NOT_SEEN.get(feed, ())
        for subject, detail in unseen:
            yield Finding(f"{names}: {subject}", ok=True, detail=f"not seen: {detail}")
