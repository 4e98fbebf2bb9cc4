"""`dead-letters` as a shell sees it while no daemon runs: on a terminal, in a pipe, with hostile events."""

from __future__ import annotations

import base64
import json
import os
import re
import sqlite3
import stat
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from forwarder.admin import dead_letters
from forwarder.admin.advice import ADVICE, UNKNOWN, advice_for
from forwarder.admin.dead_letters import Letters, Wanted
from forwarder.cli.commands.letter_text import ranges_text
from forwarder.config.settings import load
from forwarder.contracts import SystemClock
from forwarder.exit_codes import ExitCode
from forwarder.spool.config import SpoolConfig
from forwarder.spool.letter import Selection
from forwarder.spool.sqlite.store import SqliteSpool
from forwarder.testing.lanes import event
from sinks.elasticsearch.answers import _BY_STATUS, _BY_TYPE
from tests.cli.letters import CONFIG, HOSTILE, fill, hostile_event, on_terminal
from tests.commands import call, call_for_text

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def shell(folder: Path, *arguments: str, text: bool = True) -> subprocess.CompletedProcess:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONWARNINGS": "error"}
    return (call_for_text if text else call)("dead-letters", *arguments, cwd=folder, env=env)


async def spool_says(folder: Path):
    spool = SqliteSpool(SpoolConfig(path=folder / "state" / "spool.db"), SystemClock())
    await spool.open(create=False)
    try:
        return await spool.books(), await spool.dead_letters(limit=1000), await spool.discards()
    finally:
        await spool.close()


@pytest.fixture
async def folder(tmp_path):
    await fill(tmp_path, [event(f"e{i}") for i in range(6)], reasons=["mapping_conflict", "too_large"])
    return tmp_path


def assert_harmless(shown: str) -> None:
    """Colours are ours; everything else that moves, hides, turns or forges is not there."""
    plain = COLOUR.sub("", shown).replace("\r\n", "\n")
    bad = {char for char in plain if not char.isprintable() and char != "\n"}
    assert bad == set()
    assert "\nerror: forged" not in plain
    assert "[bold red]" in plain  # as text


# -------------------------------------------------------------------------------------------------------- listing


def test_list_counts_advises_and_has_one_line_a_letter(folder):
    done = shell(folder, "list")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "6 dead letters"
    assert lines[1] == "  elastic: 6 of at most 500"
    assert {line.split(":")[0] for line in lines[2:4]} == {"    3 mapping_conflict", "    3 too_large"}
    assert ADVICE["too_large"] in done.stdout
    assert "audit-forwarder setup" in done.stdout
    rows = [line.split() for line in lines[6:]]
    assert [(row[0], row[3], row[4]) for row in rows] == [(str(i), "elastic", "acme") for i in range(1, 7)]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        (["--reason", "too_large"], [1, 3, 5]),
        (["--reason", "too_large", "--reason", "mapping_conflict"], [1, 2, 3, 4, 5, 6]),
        (["--sink", "elastic", "--limit", "2"], [1, 2]),
        (["--sink", "archive"], []),
        (["--since", "1h"], [1, 2, 3, 4, 5, 6]),
        (["--until", "1h"], []),
        (["--since", "2020-01-31T12:00:00Z", "--until", "2099-01-01"], [1, 2, 3, 4, 5, 6]),
    ],
)
def test_options_choose(folder, options, numbers):
    done = shell(folder, "list", "--json", *options)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [letter["number"] for letter in found["dead_letters"]] == numbers
    if "--limit" not in options:
        assert sum(line["dead"] for line in found["summary"]) == len(numbers)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "--sink", "elastik"], "did you mean elastic?"),
        (["list", "--since", "yesterday"], "--since: not a time"),
        (["retry"], "nothing is chosen"),
        (["discard", "--yes"], "nothing is chosen"),
        (["retry", "--sink", "nobody"], "not configured any more"),
        (["discard", "--sink", "elastik", "--yes"], "did you mean elastic?"),
        (["retry", "99"], "no dead letter has the number 99"),
        (["retry", "1", "98", "99"], "no dead letter has the number 98-99"),
        (["discard", "99", "--yes"], "no dead letter has the number 99"),
        (["discard", "2", "99", "--yes"], "no dead letter has the number 99"),
        (["show", "99"], "no dead letter has the number 99"),
        (["export", "99"], "no dead letter has the number 99"),
        (["show"], "Missing argument"),
        (["show", "0"], "NUMBER"),
        (["export", "-o", "config.yaml"], "File exists"),
        (["export", "-o", "nowhere/x"], "No such file"),
    ],
)
def test_what_cannot_be_meant_exits_2_and_says_why(folder, arguments, words):
    done = shell(folder, *arguments)
    assert done.returncode == ExitCode.CONFIGURATION
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert (folder / "config.yaml").read_text() == CONFIG


def test_nothing_to_show(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    done = shell(tmp_path, "list")
    assert done.returncode == ExitCode.SPOOL
    assert "no spool" in done.stderr


def test_a_limit_says_how_many_more_there_are_and_a_choice_of_none_that_nothing_matches(folder):
    lines = shell(folder, "list", "--limit", "2").stdout.splitlines()
    assert (lines[0], lines[-1]) == ("6 dead letters", "… 4 more; --limit shows the oldest 2 only")
    assert "more" not in shell(folder, "list", "--limit", "6").stdout
    _, shown = on_terminal(folder, "dead-letters", "list", "--limit", "5")
    assert "… 1 more" in shown
    assert shell(folder, "list", "--reason", "other").stdout == "no dead letter matches\n"


async def test_no_dead_letters(tmp_path):
    await fill(tmp_path, [event("e")], reasons=["x"])
    assert shell(tmp_path, "discard", "--all", "-y").returncode == 0
    assert shell(tmp_path, "list").stdout == "no dead letters\n"
    assert shell(tmp_path, "retry", "--all").stdout == "nothing to retry: no dead letter matches\n"
    assert shell(tmp_path, "discard", "--all").stdout == "nothing to discard: no dead letter matches\n"


# --------------------------------------------------------------------------------------------------------- acting


async def test_retry_puts_back_and_says_what_happens_next(folder):
    done = shell(folder, "retry", "--reason", "too_large")
    assert done.returncode == 0
    assert "elastic: 3 put back" in done.stdout
    assert "audit-forwarder run" in done.stdout
    (line,), letters, _ = await spool_says(folder)
    assert (line.rejected, line.waiting, line.balance) == (3, 3, 0)
    assert [letter.number for letter in letters if letter.retried] == [1, 3, 5]
    assert "elastic: 3 of at most 500; 3 on their way again" in shell(folder, "list").stdout
    assert shell(folder, "retry", "1").stdout == "nothing to retry: 1 on their way to the sink again already\n"
    assert shell(folder, "discard", "1", "3", "-y").stdout == (
        "nothing to discard: 2 on their way to the sink again already\n"
    )


async def test_what_is_damaged_is_left_and_said(folder):
    with closing(sqlite3.connect(folder / "state" / "spool.db")) as con, con:
        con.execute("UPDATE dead_letters SET raw = x'00' WHERE number IN (2, 3)")
    done = shell(folder, "retry", "2", "4")
    assert done.returncode == ExitCode.DEGRADED
    assert done.stdout.splitlines()[:2] == [
        "elastic: 1 put back, to be mapped and sent again",
        "elastic: 1 left (2): its event is damaged in the spool and cannot be sent; see `dead-letters show 2`",
    ]
    done = shell(folder, "retry", "2", "3")
    assert done.returncode == ExitCode.DEGRADED
    assert "2 left (2-3): their events are damaged" in done.stdout
    assert done.stdout.splitlines()[-1] == "nothing was put back"
    assert "damaged in the spool" in shell(folder, "show", "2").stdout
    found = json.loads(shell(folder, "export", "2").stdout)
    assert (found["event"], found["damaged"], found["number"]) == (None, True, 2)
    (line,), letters, _ = await spool_says(folder)
    assert [letter.number for letter in letters] == [1, 2, 3, 4, 5, 6]
    assert (line.rejected, line.waiting, line.balance) == (5, 1, 0)


async def test_discard_wants_to_be_sure(folder):
    done = shell(folder, "discard", "2", "4")
    assert done.returncode == ExitCode.DEGRADED
    assert "elastic: 2 mapping_conflict" in done.stdout
    assert "run again with --yes" in done.stdout
    code, shown = on_terminal(folder, "dead-letters", "discard", "2", "4", keys=b"n\n")
    assert (code, "nothing was discarded" in shown) == (ExitCode.DEGRADED, True)
    (line,), letters, records = await spool_says(folder)
    assert (len(letters), records, line.discarded) == (6, [], 0)
    code, shown = on_terminal(folder, "dead-letters", "discard", "2", "4", keys=b"y\n")
    assert (code, "Discard these 2 events for good? [y/N]" in shown) == (0, True)
    (line,), letters, (record,) = await spool_says(folder)
    assert (len(letters), line.rejected, line.discarded, line.balance) == (4, 6, 2, 0)
    assert record.who.endswith(f"(uid {os.geteuid()})")
    assert record.chosen == "numbers 2, 4"
    shown = shell(folder, "list", "--discarded").stdout
    assert "discarded within a year: 2" in shown
    assert "numbers 2, 4" in shown
    (found,) = json.loads(shell(folder, "list", "--discarded", "--json").stdout)["discards"]
    assert [letter["number"] for letter in found["letters"]] == [2, 4]


async def test_what_was_refused_after_somebody_looked_is_not_discarded(folder, monkeypatch):
    """The question showed six; a seventh came while it was thought about."""
    spool = SqliteSpool(SpoolConfig(path=folder / "state" / "spool.db"), SystemClock())
    await spool.open()
    try:
        letters = Letters(spool, load(folder / "config.yaml").sinks)
        highest = max(count.highest for count in await letters.counted(Wanted()))
        (act,) = await letters.discard(Wanted(chosen=Selection(upto=highest - 1)), "me")
        assert act.numbers == (1, 2, 3, 4, 5)
    finally:
        await spool.close()


# -------------------------------------------------------------------------------------------------- hostile events


@pytest.fixture
async def hostile(tmp_path):
    """Letters 1 and 2 are events that the format refuses, 3 and 4 are refused by the sink."""
    events = [hostile_event("h3"), b'{"id":"h1","bad":"\xff"}', b'{"id":"h2"', hostile_event("h4")]
    await fill(tmp_path, events, reasons=[f"no{HOSTILE}"], detail=HOSTILE * 20)
    return tmp_path


@pytest.mark.parametrize(
    "arguments", [["list"], ["list", "--json"], ["show", "1", "2", "3"], ["show", "3", "--json"], ["export"]]
)
def test_hostile_events_are_inert_on_a_terminal(hostile, arguments):
    code, shown = on_terminal(hostile, "dead-letters", *arguments)
    assert code == 0
    assert_harmless(shown)


def test_hostile_events_are_inert_through_the_pager(hostile):
    code, shown = on_terminal(hostile, "dead-letters", "list", lines=4, pager="cat")
    assert code == 0
    assert_harmless(shown)
    assert shown.count("elastic") == 5


@pytest.mark.parametrize("arguments", [["list"], ["show", "1", "2", "3", "4"]])
def test_hostile_events_are_inert_in_a_pipe(hostile, arguments):
    done = shell(hostile, *arguments)
    assert done.returncode == 0
    assert not COLOUR.search(done.stdout)
    assert_harmless(done.stdout)


def test_discarding_hostile_letters_forges_no_line(hostile):
    done = shell(hostile, "discard", "--reason", f"no{HOSTILE}".replace("\x00", ""), "--sink", "elastic", "-y")
    assert done.returncode == 0
    done = shell(hostile, "discard", "1", "2", "3", "4", "-y")
    assert_harmless(done.stdout)


def test_exported_events_are_as_the_api_sent_them(hostile):
    done = shell(hostile, "export", text=False)
    assert done.returncode == 0
    lines = done.stdout.split(b"\n")
    assert lines.pop() == b""
    assert len(lines) == 4
    first, second, third, fourth = map(json.loads, lines)
    assert hostile_event("h3").replace(b"\n", b" ") in lines[2]  # verbatim: 1.10, the repeated key, the escapes
    assert third["event"]["text"] == json.loads(hostile_event("h3"))["text"]
    assert (third["answer"], third["tries"], third["sink"]) == ((HOSTILE * 20)[:999] + "…", 1, "elastic")
    assert first["event"] is None
    assert base64.b64decode(first["event_base64"]) == b'{"id":"h1","bad":"\xff"}'
    assert base64.b64decode(second["event_base64"]) == b'{"id":"h2"'
    assert fourth["number"] == 4


def test_export_writes_a_new_file_for_its_owner_only(hostile):
    done = shell(hostile, "export", "--output", "letters.ndjson")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "exported 4 dead letters to letters.ndjson\n"
    path = hostile / "letters.ndjson"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes().splitlines()) >= 4
    assert shell(hostile, "export", "--output", "letters.ndjson").returncode == ExitCode.CONFIGURATION


def test_show_keeps_every_token_of_the_event(hostile):
    shown = shell(hostile, "show", "3").stdout
    assert '"n": 1.10,' in shown
    assert '"n": 12345678901234567890123,' in shown
    assert r"\u001b[2J" in shown


async def test_many_letters_come_in_parts(tmp_path, monkeypatch):
    await fill(tmp_path, [event(f"e{i}") for i in range(25)], reasons=["x"])
    monkeypatch.setattr(dead_letters, "MOST_AT_ONCE", 10)
    from forwarder.cli.commands import dead_letters as command

    monkeypatch.setattr(command, "MOST_AT_ONCE", 10)
    spool = SqliteSpool(SpoolConfig(path=tmp_path / "state" / "spool.db"), SystemClock())
    await spool.open()
    try:
        letters = Letters(spool, {})
        asked = []

        class Client:
            running = False

            async def ask(self, verb, about, gives):
                found = await letters.verbs()[verb].run(about, "me")
                asked.append(len(found))
                return found

        found = [letter.number async for letter in command._each(Client(), "dead_letters.list", Wanted(), None)]
        assert found == list(range(1, 26))
        assert asked == [10, 10, 5, 0]
        assert len([letter async for letter in command._each(Client(), "dead_letters.events", Wanted(), 12)]) == 12
    finally:
        await spool.close()


# ---------------------------------------------------------------------------------------------- privacy and advice


async def test_what_is_shown_and_exported_goes_through_the_privacy_of_its_sink(folder, monkeypatch):
    asked = []

    def privacy_of(config):
        asked.append(config.type)
        return lambda feed, raw: b'{"private":true}' + raw[: len(feed) - len("organization")]

    monkeypatch.setattr(dead_letters, "privacy_of", privacy_of)
    spool = SqliteSpool(SpoolConfig(path=folder / "state" / "spool.db"), SystemClock())
    await spool.open()
    try:
        letters = Letters(spool, load(folder / "config.yaml").sinks)
        verbs = letters.verbs()
        for name, verb in verbs.items():
            if name.rpartition(".")[2] in {"retry", "discard"}:
                continue
            for found in await verb.run(Wanted(), "me"):
                assert getattr(found, "raw", b"") in {b"", b'{"private":true}'}, name
        assert set(asked) == {"elasticsearch"}
    finally:
        await spool.close()


def test_every_reason_that_our_code_gives_has_advice():
    sink = load_sinks()
    own = {fate.reason for fate in (*_BY_TYPE.values(), *_BY_STATUS.values()) if fate.verdict == "reject"}
    for reason in own | {"failure_store", "refused", "line_break", "not_understood", "field_in_use", "too_large"}:
        assert advice_for(reason, sink) != UNKNOWN, reason
    assert advice_for("never_heard_of", sink) == UNKNOWN
    assert advice_for("too_large", None) == ADVICE["too_large"]
    assert advice_for("mapping_conflict", None) == UNKNOWN


def test_every_sink_explains_the_reasons_of_its_own():
    from sinks.http import HttpSink, HttpSinkConfig
    from sinks.splunk_hec.answers import ANSWERS
    from sinks.splunk_hec.sink import SplunkHecSink
    from sinks.syslog.sink import SyslogSink

    isolated = {fate.meaning for fate in ANSWERS.values() if fate.verdict == "isolate"}
    assert isolated <= SplunkHecSink.advice.keys() | ADVICE.keys()
    statuses = HttpSinkConfig(type="http", url="http://127.0.0.1:9").reject_on
    assert {f"http_{status}" for status in statuses} <= HttpSink.advice.keys()
    assert "refused" in SyslogSink.advice


def load_sinks():
    from sinks.elasticsearch.settings import ElasticsearchConfig

    return ElasticsearchConfig(type="elasticsearch", url="http://127.0.0.1:9")


def test_numbers_are_written_as_ranges():
    assert ranges_text([1, 2, 3, 7, 9, 10]) == "1-3, 7, 9-10"
    assert ranges_text([]) == ""
