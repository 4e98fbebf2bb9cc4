import io
import re

import pytest
from rich.console import Console

from forwarder.admin.render import plain_status, render_status
from forwarder.admin.report import report_to_dict
from tests.reports import books, full_report, lane_report, source_report, spool_status

HOSTILE = "x\x1b[2J\x1b]8;;http://evil.example.com\x07\r\nspool: well \u202e[bold red]m[/bold red][/] \x9b31m"


def on_terminal(report, width=200):
    stream = io.StringIO()
    Console(file=stream, force_terminal=True, width=width, color_system="truecolor").print(render_status(report))
    return stream.getvalue()


def shown(report):
    """Return both forms, the terminal's without its own colours."""
    return [re.sub(r"\x1b\[[0-9;]*m", "", on_terminal(report)), plain_status(report)]


def test_what_matters_is_there():
    for text in shown(report_to_dict(full_report())):
        assert "audit-forwarder 1.2.3, process 4242, up 3 d: degraded: elastic" in text
        assert re.search(r"acme +working +11 s ago +1 h 1 min ago +104 +4\b", text)
        assert re.search(r"elastic +held +211 +1 min 30 s +201 +212 +delivered", text)
        assert re.search(r"archive +working +0 +0 s +201 +212 +delivered", text)
        assert "spool: 301 B of 2.0 GiB (0 %), full in 1 d 2 h at this rate; 308 pages" in text
        assert re.search(r"1 +cursor_lost +acme", text)
        assert "detached +elastic" not in text


def test_everything_that_is_not_well_shows_reason_and_fix():
    lanes = [
        lane_report(),
        lane_report(name="b", state="retrying", reason="No answer", fix=""),
        lane_report(name="c", state="paused", reason="", fix="Make room"),
    ]
    report = report_to_dict(
        full_report(
            sources=[source_report(state="held", reason="The key has expired.", fix="Make a new key.")], lanes=lanes
        )
    )
    for text in shown(report):
        assert "source acme is held for 50 s: The key has expired. To do: Make a new key." in text
        assert (
            "sink elastic is held for 1 min: The index template is missing. To do: Run audit-forwarder setup." in text
        )
        assert "sink b is retrying for 1 min: No answer." in text
        assert "sink c is paused for 1 min: no reason given. To do: Make room." in text


def test_books_balanced_and_not():
    for text in shown(report_to_dict(full_report(books=[books(), books(sink="b")]))):
        assert (
            "books: balanced; spooled 2000 = accepted 1000 + rejected 200 + filtered 100 + detached 50 + waiting 650"
            in text
        )
    for text in shown(report_to_dict(full_report())):
        assert "1 of 2 lines DO NOT BALANCE" in text
        assert re.search(r"acme +archive +1000 +500 +100 +50 +25 +324 +1\b", text)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"draining": True}, ": draining"),
        ({"spool": None}, ": not ready: the spool is not open"),
        ({"lanes": [lane_report(state="idle")]}, ": well"),
    ],
)
def test_headline(changes, words):
    for text in shown(report_to_dict(full_report(**changes))):
        assert words in text


def test_a_stale_report_says_so():
    for text in shown({**report_to_dict(full_report()), "problem": "the report takes longer than 0.8 s"}):
        assert "(the report takes longer than 0.8 s)" in text


def test_text_from_outside_is_neither_markup_nor_terminal_codes_nor_a_line():
    report = report_to_dict(
        full_report(
            version=HOSTILE,
            sources=[source_report(name=HOSTILE, state=HOSTILE, reason=HOSTILE, fix=HOSTILE)],
            lanes=[lane_report(name=HOSTILE, proof=HOSTILE, reason=HOSTILE, fix=HOSTILE)],
            books=[books(source=HOSTILE, sink=HOSTILE, waiting=0)],
            spool=spool_status(path=HOSTILE),
        )
    )
    plain = plain_status(report)
    assert all(line.isprintable() for line in plain.split("\n"))
    terminal = on_terminal(report, width=400)
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", terminal)
    assert all(line.isprintable() for line in stripped.split("\n"))
    assert "\x1b]8" not in terminal
    assert "\x1b[2J" not in terminal
    for text in (plain, stripped):
        assert "[bold red]m[/bold red][/]" in text
        assert not any(line.startswith("spool: well") for line in text.splitlines())


def test_hostile_columns_of_a_gap():
    report = report_to_dict(full_report())
    report["spool"]["gaps"] = [
        {"number": HOSTILE, "cause": HOSTILE, "source": HOSTILE, "closed": None, "from": HOSTILE}
    ]
    assert all(line.isprintable() for line in plain_status(report).split("\n"))


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"sources": None, "sinks": 3, "books": "x", "spool": {}},
        {"sources": [{}], "sinks": [{"errors": 3}], "spool": {"gaps": [{}]}, "books": [{}]},
    ],
)
def test_a_report_of_another_version_is_shown_as_far_as_it_goes(report):
    for text in shown(report):
        assert "audit-forwarder" in text


def test_many_gaps_are_cut_and_counted():
    report = report_to_dict(full_report())
    report["spool"]["gaps"] = [{"number": number, "cause": "detached", "closed": None} for number in range(1, 31)]
    for text in shown(report):
        assert "the newest 10 of 30" in text
        assert re.search(r"\b30 +detached", text)
        assert not re.search(r"\b20 +detached", text)


def test_a_narrow_terminal_loses_nothing_silently():
    text = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal(report_to_dict(full_report()), width=60))
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 60
