"""What is worth a look is in the status and once in the log, and degrades nothing."""

from __future__ import annotations

import pytest
import structlog

from forwarder.contracts.credentials import countdown, end_of, stage_of
from forwarder.observe.looks import News, looks
from forwarder.observe.reports import CredentialReport
from forwarder.observe.status_json import report_to_dict
from forwarder.observe.summary import Summary
from forwarder.spool.contract import SourceStatus
from forwarder.spool.volume import Volume
from tests.observe.reports import NOW, full_report, source_report, spool_status

DAY = 86_400


def found(*credentials: CredentialReport, name: str = "acme"):
    return looks(full_report(sources=[source_report(name=name, credentials=credentials)]))


@pytest.mark.parametrize(
    ("days", "stage"),
    [(31, None), (30, 30), (29, 30), (7.01, 30), (7, 7), (1.01, 7), (1, 1), (0.1, 1), (0, 0), (-400, 0)],
)
def test_a_key_is_counted_down_at_thirty_seven_and_one_days(days, stage):
    assert stage_of(NOW + days * DAY, NOW) == stage
    assert [look.stage for look in found(CredentialReport("api_key", NOW + days * DAY, in_use=True))] == (
        [] if stage is None else [f"api_key {stage}"]
    )


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2026-09-21", "2026-09-22T00:00:00Z"),
        ("2026-09-21T14:00:00Z", "2026-09-21T14:00:00Z"),
        ("2026-09-21T14:00:00+02:00", "2026-09-21T12:00:00Z"),
        ("2026-09-21 14:00", "2026-09-21T14:00:00Z"),
    ],
)
def test_a_day_lasts_to_its_end_and_a_moment_is_a_moment(text, end):
    assert end_of(text) == end_of(end)


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01", "31.10.2026", "2026-W40", "2026-09-21T25:00:00Z"])
def test_what_is_no_day_is_refused(text):
    with pytest.raises(ValueError, match=r".*"):
        end_of(text)


def test_the_words_count_days():
    assert countdown("token", NOW + 3.5 * DAY, NOW).endswith("in 3 days")
    assert countdown("token", NOW + DAY, NOW).endswith("in 1 day")
    assert countdown("token", NOW + 60, NOW).endswith("in less than a day")
    assert "token ended on" in countdown("token", NOW - 60, NOW)


def test_the_one_that_follows_makes_it_harmless_and_the_one_in_use_is_named():
    ends = CredentialReport("api_key", NOW + DAY, in_use=False)
    look, rolled = found(ends, CredentialReport("api_key_next", NOW + 300 * DAY, in_use=True))
    assert "api_key_next takes over" in look.fix
    assert "api_key_next is in use" in rolled.what
    [alone] = found(ends)
    assert "api_key_next" in alone.fix


def test_sites_under_one_token_are_one_look():
    one, other = (
        source_report(name=f"jira/{site}", credentials=(CredentialReport("token", NOW + DAY, in_use=True),))
        for site in "ab"
    )
    assert [look.source for look in looks(full_report(sources=[one, other]))] == ["jira"]


def test_the_status_has_them_and_is_as_well_as_before():
    report = full_report(sources=[source_report(credentials=(CredentialReport("api_key", NOW + DAY, in_use=True),))])
    shown = report_to_dict(report)
    assert [(look["kind"], look["source"]) for look in shown["looks"]] == [("credential_ends", "acme")]
    assert shown["ready"]
    assert "acme" not in shown["degraded"]


async def test_each_is_logged_once_for_each_stage():
    credentials = [CredentialReport("api_key", NOW + days * DAY, in_use=True) for days in (40, 30, 29, 7, 6, 1, 0.5, 0)]
    reports = iter([full_report(sources=[source_report(credentials=(each,))]) for each in credentials])

    async def report():
        return next(reports)

    summary = Summary(report, None)  # type: ignore[arg-type]
    with structlog.testing.capture_logs() as lines:
        for _ in credentials:
            await summary._write()
    logged = [line["what"] for line in lines if line["event"] == "credential_ends"]
    assert [what.rpartition("in ")[2] for what in logged[:3]] == ["30 days", "7 days", "1 day"]
    assert "ended" in logged[3]
    assert len(logged) == 4


def test_what_went_away_and_comes_again_is_news():
    news, [look] = News(), found(CredentialReport("api_key", NOW, in_use=True))
    assert news.of([look]) == [look]
    assert news.of([look]) == []
    assert news.of([]) == []
    assert news.of([look]) == [look]


HOUR = int(NOW) // 3600 - 2


def looked(*, tip: float = NOW, credentials=(), **row):
    status = SourceStatus(1, "acme", "organization:o-1", 104, 105, 106, {}, **row)
    report = full_report(
        sources=[source_report(credentials=credentials, tip_reached=tip)], spool=spool_status(sources=[status])
    )
    shown = report_to_dict(report)
    return [look.kind for look in looks(report)], shown["sources"][0]["volume"], shown


def test_only_administration_is_a_look_with_these_words_and_no_alarm():
    kinds, _, shown = looked(classified=10)
    assert kinds == ["user_activity_not_arriving"]
    assert shown["looks"][0]["what"] == (
        "user activity is not arriving: needs Guard Premium or Cloud Enterprise, or is switched off in in-app data settings"
    )
    assert "acme" not in shown["degraded"]
    for row in ({"classified": 9}, {"classified": 0}, {"classified": 10, "user_activity": True}):
        assert looked(**row)[0] == []


def test_quieter_than_ever_is_a_state_with_its_figures():
    quiet = Volume(HOUR, 3, 47.5, 40, 4)
    kinds, shown, _ = looked(volume=quiet)
    assert kinds == ["quieter_than_ever"]
    assert shown == {
        "hour": "2026-09-21T12:00:00.000Z", "events": 3, "expected": 47.5, "least": 40, "weeks": 4, "quieter_than_ever": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("volume", "tip", "state"),
    [
        (Volume(HOUR, 40, 47.5, 40, 4), NOW, False),
        (Volume(HOUR, 0, 0.0, 0, 8), NOW, False),
        (Volume(HOUR, 3, 47.5, 40, 2), NOW, None),  # two weeks are no habit
        (Volume(HOUR, 3, 47.5, 40, 4), (HOUR + 1) * 3600, None),  # its last minutes may not be there yet
        (Volume(HOUR, 3, 47.5, 40, 4), 0.0, None),  # the source does not answer: broken is not quiet
    ],
)
def test_it_is_said_only_of_an_hour_that_was_read_to_its_end(volume, tip, state):
    kinds, shown, _ = looked(volume=volume, tip=tip)
    assert kinds == []
    assert shown["quieter_than_ever"] is state
