"""The simulator's six stories are found by whoever asks about their people, groups and days, and others stay quiet."""

from __future__ import annotations

import pytest

from forwarder.investigate.without_index import tables_of_files
from tests.investigate.asked import ask, dicts
from tests.investigate.lines import event


def _actor(acme, story, of=0):
    """Return the id of who acts in a story, the most frequent first."""
    counts: dict[str, int] = {}
    for ident in acme.stories[story]:
        who = acme.body_of(ident)["attributes"]["actor"]["id"]
        counts[who] = counts.get(who, 0) + 1
    return sorted(counts, key=lambda who: -counts[who])[of]


def _finding(result, words):
    return next(one for one in result.findings if words in one.rule)


def test_a_break_in_is_one_session_of_407_events_with_all_that_is_odd_of_it(acme, tables):
    story = set(acme.stories["compromised_account"])
    result = ask(tables, "user", _actor(acme, "compromised_account"))
    session = max(dicts(result, "sessions"), key=lambda one: one["events"])
    assert (session["events"], session["failed"], session["views"]) == (407, 6, 400)
    folded = [row for row in dicts(result, "timeline") if row["session"] == session["session"]]
    assert [(row["act"], row["outcome"], row["n"]) for row in folded] == [
        ("session.login", "failure", 6),
        ("session.login", "success", 1),
        ("page.view", "success", 400),
    ]
    for words in ("failed logins", "22:00 and 06:00", "a country", "within 60 minutes"):
        found = _finding(result, words)
        assert found.mark == "!!"
        assert set(found.events) <= story
        assert found.count == len(found.events)
    assert _finding(result, "22:00 and 06:00").value == 407
    assert _finding(result, "failed logins").value == 6
    views = _finding(result, "within 60 minutes")
    assert views.value > 2 * views.others > 0
    assert {row["what"] for row in dicts(result, "first_seen")} >= {"country", "city", "address"}


def test_an_impersonation_is_found_from_both_sides(acme, tables):
    story = set(acme.stories["impersonating_admin"])
    victim, admin = _actor(acme, "impersonating_admin"), _actor(acme, "impersonating_admin", 1)
    for who in (victim, admin):
        result = ask(tables, "user", who)
        found = _finding(result, "a login as another account")
        assert found.value == 12
        assert len(story & set(found.events)) == 13
        rows = dicts(result, "impersonation")
        assert {row["direction"] for row in rows} == {"logged in as", "on behalf of"}
        assert sum(row["n"] for row in rows) == 13


def test_a_mass_export_is_found_with_who_gave_the_power(acme, tables):
    leaver = _actor(acme, "mass_export")
    result = ask(tables, "user", leaver)
    found = _finding(result, "exports and downloads in one day")
    assert (found.mark, found.value, found.own, found.others) == ("!!", 10, 0, 0)
    assert set(found.events) < set(acme.stories["mass_export"])
    giver = next(row for row in dicts(result, "powers") if row["level"] == 0 and row["act"] == "admin.grant")
    assert giver["giver_id"] == acme.world.admins[0].id
    assert _finding(result, "admin access or an admin role").count == 1


def test_a_token_from_abroad_is_found_with_what_came_before_and_after(acme, tables):
    story = set(acme.stories["token_from_abroad"])
    result = ask(tables, "user", _actor(acme, "token_from_abroad"))
    found = _finding(result, "a token that was made")
    assert (found.mark, found.value) == ("!!", 60)
    assert "switched off in the day before" in found.text
    assert set(found.events) < story
    assert len(found.events) == 62
    assert _finding(result, "two-step verification switched off").events[0] in story
    by_token = ask(tables, "token", "backup")
    assert by_token.totals.subject == 60
    assert _finding(by_token, "within a day of being made").mark == "!!"


def test_a_quiet_takeover_is_found_by_its_admin_and_by_its_group(acme, tables):
    story = set(acme.stories["quiet_takeover"])
    by_admin = ask(tables, "user", _actor(acme, "quiet_takeover"))
    by_group = ask(tables, "group", "temp-4711")
    for result, words in ((by_admin, "gave admin access"), (by_group, "was given admin access")):
        found = _finding(result, words)
        assert found.mark == "!!"
        assert set(found.events) == story
        assert "not named: 1" in found.text
    assert by_group.totals.subject == 4


def test_covered_tracks_are_found(acme, tables):
    story = set(acme.stories["covered_tracks"])
    leaver, admin = _actor(acme, "covered_tracks"), _actor(acme, "covered_tracks", 1)
    deletions = _finding(ask(tables, "user", leaver), "deletions within 60 minutes")
    assert (deletions.mark, deletions.value) == ("!!", 30)
    assert set(deletions.events) < story
    weakened = [one for one in ask(tables, "user", admin).findings if "never had before" in one.rule]
    assert story & {event for one in weakened for event in one.events}
    assert any("passwordOnly" in one.text for one in weakened)


def _day_of(acme, story):
    return acme.body_of(acme.stories[story][-1])["attributes"]["time"][:10]


@pytest.mark.parametrize(
    ("story", "words"),
    [
        ("compromised_account", "22:00 and 06:00"),
        ("impersonating_admin", "a login as another account"),
        ("mass_export", "exports and downloads by one account"),
        ("token_from_abroad", "a token that was made"),
        ("quiet_takeover", "gave admin access"),
        ("covered_tracks", "deletions by one account"),
    ],
)
def test_each_story_is_unusual_on_its_day(acme, tables, story, words):
    found = _finding(ask(tables, "day", _day_of(acme, story)), words)
    assert set(found.events) & set(acme.stories[story])


def test_weakened_sign_in_is_unusual_on_its_day_by_its_value(acme, tables):
    day = acme.body_of(acme.stories["covered_tracks"][0])["attributes"]["time"][:10]
    texts = " ".join(one.text for one in ask(tables, "day", day).findings)
    assert "passwordOnly" in texts
    assert "twoStepOptional" in texts


def test_people_of_no_story_have_no_finding_that_asks_to_act_now(acme, tables):
    told = {ident for events in acme.stories.values() for ident in events}
    alarms = [
        one
        for person in acme.world.people[::5]
        for one in ask(tables, "user", person.id).findings
        if one.mark == "!!" and not told & set(one.events)
    ]
    assert len(alarms) <= 2, [one.text for one in alarms]


def test_a_page_of_the_break_in_tells_who_looked_and_that_its_space_was_exported(acme, tables):
    views = [
        ident for ident in acme.stories["compromised_account"] if "page" in acme.body_of(ident)["attributes"]["action"]
    ]
    bodies = [acme.body_of(ident)["attributes"] for ident in views]
    page = next(
        found["pageId"]
        for body in bodies
        for found in (each["attributes"] for each in body.get("container") or ())
        if "pageId" in found
    )
    result = ask(tables, "content", page)
    assert _actor(acme, "compromised_account") in {row["account"] for row in dicts(result, "accounts")}
    assert any(row["why"] == "the whole space was exported" for row in dicts(result, "perhaps"))
    assert _finding(result, "an export or download of the space")


def test_numbers_of_a_time_that_cuts_a_night_are_of_that_time(acme, tables):
    whole = ask(tables, "user", _actor(acme, "compromised_account"))
    begins = _finding(whole, "22:00 and 06:00").start_ms
    since, until = begins, begins + 31 * 60_000
    result = ask(tables, "user", _actor(acme, "compromised_account"), since_ms=since, until_ms=until)
    for words in ("22:00 and 06:00", "within 60 minutes"):
        found = _finding(result, words)
        assert found.value == found.count == len(found.events) < 200
        assert since <= found.start_ms < found.end_ms < until
    assert ", Canada;" in _finding(result, "within 60 minutes").text


def test_a_finding_says_from_how_many_addresses_it_is(tmp_path):
    file = tmp_path / "events.ndjson"
    lines = [
        event(
            "confluence_page_viewed", ident=str(n), time=f"2026-03-02T23:{n % 60:02}:00.000Z", ip=f"203.0.113.{n // 40}"
        )
        for n in range(60)
    ]
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    with tables_of_files([file]) as tables:
        texts = [
            one.text
            for kind, who in (("day", "2026-03-02"), ("user", "ada"))
            for one in ask(tables, kind, who).findings
        ]
    assert len(texts) == 4
    assert all("203.0.113.0, Ireland, and 1 more" in text or "any other night" in text for text in texts)
