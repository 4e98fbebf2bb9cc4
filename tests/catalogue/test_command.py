"""`audit-forwarder catalogue` as a shell sees it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from forwarder.catalogue.state_files import state_file, write_state
from forwarder.contracts import ListedAction
from forwarder.daemon.action_lists import KeptList, UnknownActions
from tests.commands import call

GOLDEN = Path(__file__).parent.parent / "golden" / "organization"
CONFIG = """
spool: {path: state/spool.db}
catalogue: {files: [own.yaml]}
sources: {acme: {type: organization, org_id: org-1, api_key: planted-secret-value}}
sinks: {out: {type: file, path: out}}
"""


def run(folder: Path, *words: str, stdin: bytes = b"") -> tuple[int, str, str]:
    done = call("catalogue", *words, cwd=folder, env={"PATH": ""}, stdin=stdin)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "own.yaml").write_text("actions:\n  mine_done: {act: delete, object: page, outcome: success}\n")
    state = tmp_path / "state"
    state.mkdir()
    kept = KeptList("organization:org-1", 1.0, [ListedAction("x9", "Deleted Confluence whiteboard", ("Confluence",))])
    write_state(state_file(state, "event-actions", kept.organization), kept)
    UnknownActions(state).write([Counter({"flux": 7, "\x1b[31mred": 9, "x9": 3, "mine_done": 2})])
    return tmp_path


def test_search_needs_no_configuration_and_finds_every_word(tmp_path):
    code, out, _ = run(tmp_path, "search", "Bitbucket", "webhook")
    assert code == 0
    assert [line.split(":")[1].split("  ")[0] for line in out.splitlines()[1:]] == [
        " Created repository webhook", " Deleted repository webhook",
    ]  # fmt: skip


def test_search_shows_everything_there_is(configured):
    _, out, _ = run(configured, "search")
    assert len(out.splitlines()) == 1 + 403 + 2
    assert any(line.startswith("mine_done ") and " yours " in line for line in out.splitlines())
    assert any(line.startswith("x9 ") and " delete whiteboard " in line for line in out.splitlines())
    assert "nothing is listed" in run(configured, "search", "no-such-word")[1]


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("user_login", "attested"),
        ("mine_done", "local: a record in your own files"),
        ("x9", "Deleted Confluence whiteboard (Confluence)"),
        ("jira_board_deleted", "deleted → delete (past participle"),
        ("flux", "unknown: nothing"),
    ],
)
def test_explain_says_which_layer_decided(configured, action, expected):
    code, out, err = run(configured, "explain", action)
    assert (code, err) == (0, "")
    assert expected in out


def test_explain_says_where_every_field_of_an_event_came_from(tmp_path):
    file = GOLDEN / "space_permission_removed" / "in.json"
    for words, stdin in ((["--event", str(file)], b""), (["--event", "-"], file.read_bytes())):
        code, out, _ = run(tmp_path, "explain", *words, stdin=stdin)
        lines = {" ".join(line.split()) for line in out.splitlines()}
        assert code == 0
        assert "atlassian.audit.roles SETSPACEPERMISSIONS attributes.context[0].attributes.permissionName" in lines
        assert "user.id 557058:bd955be1-0c53-4a51-8f0e-3f2a1c9d7e11 attributes.actor.id" in lines
        assert "event.category iam the catalogue" in lines


def test_explain_takes_the_first_event_of_a_page_and_of_lines(tmp_path):
    one, two = ((GOLDEN / name / "in.json").read_bytes() for name in ("login", "logout"))
    page = b'{"data": [' + one + b"," + two + b"]}"
    lines = b"\n".join(json.dumps(json.loads(body)).encode() for body in (one, two))
    for body in (page, lines):
        assert run(tmp_path, "explain", "--event", "-", stdin=body)[1].splitlines()[0].split() == [
            "action",
            "user_login",
        ]


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.iterdir())[::9])
def test_any_event_is_explained_or_refused(tmp_path, name):
    code, out, err = run(tmp_path, "explain", "--event", str(GOLDEN / name / "in.json"))
    refused = (GOLDEN / name / "reason.txt").exists()
    assert code == (2 if refused else 0), err
    assert "\x1b" not in out + err
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [["explain"], ["explain", "a", "--event", "b"], ["explain", "--event", "gone.json"]])
def test_what_cannot_be_explained_is_an_error(tmp_path, words):
    code, out, err = run(tmp_path, *words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")


def test_missing_lists_what_was_counted_and_still_has_no_meaning(configured):
    code, out, _ = run(configured, "missing")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[1:3]] == [["\\x1b[31mred", "9"], ["flux", "7"]]
    assert "x9" not in out
    assert "\x1b" not in out
    found = json.loads(run(configured, "missing", "--json")[1])
    assert [(line["action"], line["events"]) for line in found] == [("\x1b[31mred", 9), ("flux", 7)]


def test_missing_says_when_there_is_nothing(configured):
    (configured / "state" / "unknown-actions.json").unlink()
    assert run(configured, "missing")[1] == "every action that was met has a meaning\n"


def test_a_fault_in_the_users_own_file_is_shown_with_its_line(configured):
    (configured / "own.yaml").write_text("actions:\n  x:\n    act: view\n    severity: 99\n")
    for words in (["search"], ["missing"]):
        code, _, err = run(configured, *words)
        assert code == 2
        assert "own.yaml line 4" in err
