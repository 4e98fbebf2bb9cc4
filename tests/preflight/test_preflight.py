"""What cannot work is named before anything is asked: path, cause and fix; and what can is left alone."""

import os
import socket
import time
from pathlib import Path

import pytest

from forwarder.cli.commands.check import build_sink
from forwarder.config.problems import Problem, SettingsError
from forwarder.config.settings import Settings, load
from forwarder.contracts.secret_file import LARGEST, read_secret
from forwarder.preflight import certain_to_fail, of_part, worth_a_look

ORG = "7d5a6a0e-1c55-4b92-9a37-0a4ad7a3c1aa"
KEY = "ATCTT3xFfGF0k9QwZr7uYbN2pLsVdX8hJ4"
GOOD = f"""
sources:
  acme: {{type: organization, org_id: {ORG}, api_key: KEY}}
  initech: {{type: organization, org_id: 00f1e2d3-1c55-4b92-9a37-0a4ad7a3c1bb, api_key: {KEY}}}
sinks:
  splunk: {{type: splunk_hec, url: URL, token: TOKEN}}
  archive: {{type: file, path: ./events.ndjson, RULES}}
"""


@pytest.fixture
def named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def _named(key=KEY, url="https://hec.corp.net:8088", token="a1b2c3d4-0000-4111-8222-93e4f5a6b7c8", rules="") -> str:
        rules = rules or "format: raw"
        text = GOOD.replace("KEY", quoted(key), 1).replace("URL", quoted(url)).replace("TOKEN", quoted(token))
        Path("config.yaml").write_text(text.replace("RULES", rules))
        try:
            settings = load(Path("config.yaml"), {})
        except SettingsError as error:
            return "\n".join(map(str, error.problems))
        return "\n".join(map(str, [*certain_to_fail(settings), *looks(settings)]))

    return _named


def looks(settings) -> list[str]:
    """Leave out that the tests run as root, where they do, and that others can read a file with a secret."""
    return [f"look: {each}" for each in worth_a_look(settings) if each.path not in {"user", "the configuration"}]


def quoted(text: str) -> str:
    return text if text.startswith("{api_key_file") else "'" + text.replace("'", "''") + "'"


def test_a_good_configuration_has_no_problems(named):
    assert named() == ""


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("replace-me", "an example; put your own value"),
        ("REPLACE_ME", "an example"),
        ("changeme", "an example"),
        ("change-me-please", "an example"),
        ("<your key>", "a template that nothing fills in"),
        ("your-api-key", "an example"),
        ("YOUR_API_KEY_HERE", "an example"),
        ("xxxxxxxx", "an example"),
        ("********", "an example"),
        ("...", "an example"),
        ("TODO", "an example"),
        ("00000000-0000-0000-0000-000000000000", "an example"),
        ("${ES_KEY}", "a template"),
        ("prefix-${ES_KEY:-none}", "a template"),
        ("$ATLASSIAN_KEY", "a template"),
        ("{{ key }}", "a template"),
        ("{% raw %}", "a template"),
        ("$(cat /run/key)", "a template"),
        ("%API_KEY%", "a template"),
        ("<%= key %>", "a template"),
        ("@API_KEY@", "a template"),
        ("vault:secret/data/key#token", "nothing looks there"),
        ("env:API_KEY", "nothing looks there"),
        ("op://vault/item/field", "nothing looks there"),
        ("Bearer abcdef", "the word of a header"),
        ("bearer  abcdef", "the word of a header"),
        ("Authorization: Bearer abc", "the word of a header"),
        ("ApiKey YWJj", "the word of a header"),
        ('"abcdef"', "the quotes are part of it"),
        ("'abcdef'", "the quotes are part of it"),
        ("\u201cabcdef\u201d", "the quotes are part of it"),
        ("https://admin.atlassian.com/o/x", "an address"),
        ("/run/secrets/key", "name the file as api_key_file"),
        ("./key.txt", "name the file as api_key_file"),
        ("~/key", "name the file as api_key_file"),
        ("ATATT3xFfGF0abcdef", "the API token of a user"),
        ("ann@example.com:abcdef", "an address and a colon"),
        ("YW5uQGV4YW1wbGUuY29tOmFiY2RlZg==", "in base64"),
        ("API_KEY", "an example"),
        ("REPLACE_ME_WITH_KEY", "an example"),
        ("ATCTT3xFf...", "a part of it is left out"),
        ("ATCTT3xFf****0A", "a part of it is left out"),
        ("API_KEY=ATCTT3xFf", "begins with a name"),
        ("$ANSIBLE_VAULT;1.1;AES256", "nothing looks there"),
        ("@/run/secrets/key", "name the file as api_key_file"),
        ("zero\u200bwidth", "do not print"),
    ],
)
def test_keys_that_can_be_none(named, key, words):
    found = named(key=key)
    assert found.startswith("sources.acme.api_key"), found
    assert words in found
    assert ";" in found
    assert key not in found or "example" in words
    assert "sinks.splunk" not in found


@pytest.mark.parametrize(
    "key",
    [
        "k",
        "planted-secret-value",
        "a$b{c}",
        "x1",
        "abc def",
        "/dGVzdA/kk==",
        "p<q>r",
        "id:key",
        "secret",
        "100%sure%",
        "ex-ample",
        "op/k3J9x+Qw==",
        "my_passage_2026",
        "ATCTT3xFfGN0token=9A8F7C",
    ],
)
def test_odd_keys_that_may_be_one(named, key):
    assert named(key=key) == ""
    assert key.startswith("ATCTT") or named(token=key) == ""


@pytest.mark.parametrize(
    ("password", "words"),
    [("$afe_word", ""), ("$HOMEless!", ""), ("<p>", ""), ("11111111", ""), ("${ES_PASSWORD}", "a template"),
     ("$ES_PASSWORD", "a template"), ("changeme", "an example"), ("replace-me", "an example")],
)  # fmt: skip
def test_passwords_are_chosen_by_people(tmp_path, password, words):
    sink = {"type": "http", "url": "https://in.corp.net", "username": "forwarder", "password": password}
    source = {"type": "organization", "org_id": ORG, "api_key": KEY}
    settings = Settings(sources={"acme": source}, sinks={"web": sink}, spool={"path": tmp_path / "spool.db"})
    found = "\n".join(map(str, certain_to_fail(settings)))
    assert words in found
    assert bool(found) == bool(words)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://${SPLUNK_HOST}:8088", "sinks.splunk.url: it is a template that nothing fills in here"),
        ("https://{{ host }}:8088", "FORWARDER__SINKS__SPLUNK__URL"),
        ("https://<host>:8088", "it is a template"),
        ("https://splunk.example.com:8088", "look: sinks.splunk.url: a host of examples"),
        ("https://splunk.example:8088", "look: sinks.splunk.url: a host of examples"),
    ],
)
def test_addresses(named, url, words):
    assert words.lower() in named(url=url).lower()


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("include: [{source: acmee}]", "sinks.archive.include.0.source: no source has this name; did you mean acme?"),
        ("exclude: [{source: [acme, inittech]}]", "no source has this name; did you mean initech?"),
        (
            "duplicates: {drop_from: acmee}",
            "sinks.archive.duplicates.drop_from: no source has this name; did you mean acme?",
        ),
        ("duplicates: {drop_from: zzz}", "no source has this name; known: acme, initech"),
        ("include: [{source: zzz}]", "no source has this name; known: acme, initech"),
        ("include: [{source: acme, organization: 7d5a6a0e-1c55-4b92-9a37-0a4ad7a3c1ab}]", f"did you mean {ORG}?"),
        ("include: [{product: jirra}]", "no product that is known; did you mean jira?"),
        ("include: [{product: confluense}]", "did you mean confluence?"),
        ("include: [{product: teamwork-graph}]", "look: sinks.archive.include.0.product: no product that is known"),
        ("include: [{source: 'acm?e'}]", "look: sinks.archive.include.0.source: matches no source that is known"),
        ("include: [{source: 'acm?e'}]", "look: sinks.archive: its filters let nothing through"),
        ("include: [{action: '*_vieved'}]", "look: sinks.archive.include.0.action: matches no action"),
        ("include: [{action: jira_issue_viewd}]", "did you mean jira_issue_viewed?"),
        ("exclude: [{}]", "look: sinks.archive: its filters let nothing through"),
        ("exclude: [{action: '*', product: [jira, '*']}]", "look: sinks.archive: its filters let nothing through"),
        ("include: [{organization: '7d5a*'}]", ""),
        ("include: [{source: ACME}]", ""),
        ("include: [{product: [jira, 'conf*']}, {action: '*_viewed'}]", ""),
        ("exclude: [{source: acme}]", ""),
        ("exclude: [{action: '**'}]", "look: sinks.archive: its filters let nothing through"),
        ("include: [{product: jira}], exclude: [{product: 'j*'}]", "look: sinks.archive: its filters let nothing"),
        ("include: [{product: jira}], exclude: [{product: jira, action: user_login}]", ""),
        ("include: [{product: 'j*'}], exclude: [{product: jira}]", ""),
    ],
)
def test_rules_of_filters(named, rules, words):
    found = named(rules=rules)
    assert words in found
    assert bool(found) == bool(words)


def test_problems_belong_to_their_part():
    problems = [Problem("sinks.a.url", "x"), Problem("sinks.ab.url", "x"), Problem("sinks.a", "x")]
    assert [each.path for each in of_part(problems, "sinks.a")] == ["sinks.a.url", "sinks.a"]


# -------------------------------------------------------------------------------------------------------- secret files


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    held = socket.socket(socket.AF_UNIX)
    held.bind(str(path))
    held.close()


FILES = {
    "byte order mark": (lambda path: path.write_bytes(b"\xef\xbb\xbfkey"), "byte order mark of UTF-8"),
    "utf-16": (lambda path: path.write_text("key", encoding="utf-16"), "byte order mark of UTF-16"),
    "utf-16 without a mark": (lambda path: path.write_text("key", encoding="utf-16-le"), "zero bytes"),
    "two lines": (lambda path: path.write_text("key\nother\n"), "more than one line"),
    "two lines of Windows": (lambda path: path.write_bytes(b"key\r\nother\r\n"), "more than one line"),
    "half an object": (lambda path: path.write_text('{"key":\n"other",\n'), "more than one line"),
    "zero byte": (lambda path: path.write_bytes(b"k\0ey"), "zero bytes"),
    "escape": (lambda path: path.write_bytes(b"k\x1bey"), "do not print"),
    "latin-1": (lambda path: path.write_bytes(b"k\xe9y"), "not UTF-8 text"),
    "empty": (lambda path: path.write_text(""), "empty"),
    "blank": (lambda path: path.write_text(" \n\t\r\n"), "empty"),
    "folder": (Path.mkdir, "a directory"),
    "pipe": (fifo, "a pipe"),
    "socket": (unix_socket, "No such device"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "a device"),
    "standard input": (lambda path: path.symlink_to("/dev/stdin"), ""),
    "of the kernel": (lambda path: path.symlink_to("/proc/self/environ"), "not a file that can be read again"),
    "huge": (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 2**30), "too large"),
    "too large by one": (lambda path: path.write_text("x" * (LARGEST + 1)), "too large"),
    "dangling": (lambda path: path.symlink_to("nowhere"), "No such file"),
    "loop": (lambda path: path.symlink_to(path), "Too many levels"),
    "example": (lambda path: path.write_text("replace-me\n"), "an example"),
    "not ASCII": (lambda path: path.write_text("k\u00e9y\n"), "characters that no header can carry"),
    "quoted": (lambda path: path.write_text('"abc"\n'), "the quotes are part of it"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_hold_no_secret(named, tmp_path, name):
    make, words = FILES[name]
    make(tmp_path / "key")
    begun = time.monotonic()
    found = named_file(named, "key")
    assert time.monotonic() - begun < 30
    assert found.startswith("sources.acme.api_key_file: "), found
    assert words in found
    assert "; " in found


def named_file(named, path: str) -> str:
    text = GOOD.replace("api_key: KEY", f"api_key_file: {quoted(path)}", 1)
    text = text.replace("URL", "https://hec.corp.net").replace("TOKEN", "t1").replace("RULES", "format: raw")
    Path("config.yaml").write_text(text)
    try:
        return "\n".join(map(str, certain_to_fail(load(Path("config.yaml"), {}))))
    except SettingsError as error:
        return "\n".join(map(str, error.problems))


@pytest.mark.parametrize("content", [b"key", b"key\n", b"key\r\n", b"  key \t\n\n"])
def test_files_that_hold_one(named, tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    assert named_file(named, "key") == ""
    assert read_secret(tmp_path / "key") == "key"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("~nosuchuser/key", "the user behind ~ does not exist here; write the whole path"),
        ("/dev/stdin", "not a file that can be read again"),
        ("/dev/fd/0", "not a file that can be read again"),
        ("/proc/self/fd/0", "not a file that can be read again"),
        ("/dev/null", "a device"),
        ("", "not a path"),
        (KEY, "it looks like the secret itself; write it as api_key"),
        ("gone/key", "No such file or directory; write it, or correct the path"),
    ],
)
def test_paths_that_name_no_secret(named, path, words):
    found = named_file(named, path)
    assert words in found
    assert "api_key" in found
    assert KEY not in found


@pytest.mark.parametrize("setting", ["spool: {path: ~nosuchuser/spool.db}", "catalogue: {files: [~nosuchuser/x.yaml]}"])
def test_no_path_ends_in_a_traceback(named, setting):
    named()
    path = Path("config.yaml")
    path.write_text(path.read_text() + setting + "\n")
    with pytest.raises(SettingsError, match="the user behind ~"):
        load(path, {})


@pytest.mark.parametrize(
    ("url", "insecure", "words"),
    [
        ("http://127.0.0.1:8080/in?key=abc", False, ""),
        ("http://[::1]:8080/in?key=abc", False, ""),
        ("http://localhost/in?a=b&c=d", False, ""),
        ("http://10.1.2.3/in?key=abc", True, ""),
        ("HTTP://siem.corp.net/in?key=abc", True, ""),
        ("http://siem.corp.net/in?key=abc", False, "use https://, or set insecure: true"),
        ("HTTP://siem.corp.net/in", False, "use https://, or set insecure: true"),
        ("https://siem.corp.net/in?key=abc", False, ""),
    ],
)
def test_a_query_has_nothing_to_do_with_the_clear(tmp_path, monkeypatch, url, insecure, words):
    monkeypatch.chdir(tmp_path)
    hook = f"{{type: http, url: '{url}', insecure: {str(insecure).lower()}}}"
    Path("config.yaml").write_text(
        f"sources: {{acme: {{type: organization, org_id: {ORG}, api_key: {KEY}}}}}\nsinks: {{hook: {hook}}}\n"
    )
    try:
        build_sink("hook", load(Path("config.yaml"), {}).sinks["hook"])
        found = ""
    except SettingsError as error:
        found = str(error)
    assert words in found
    assert bool(found) == bool(words)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ("{jirra: one, '*': two}", "sinks.splunk.index.jirra: no product that is known; did you mean jira?"),
        ("{teamwork-graph: one, '*': two}", "look: sinks.splunk.index.teamwork-graph"),
        ("{jira: one, confluence: two}", ""),
    ],
)
def test_products_that_an_index_is_chosen_by(tmp_path, choice, words):
    path = tmp_path / "config.yaml"
    path.write_text(
        f"sources: {{acme: {{type: organization, org_id: {ORG}, api_key: {KEY}}}}}\n"
        f"sinks: {{splunk: {{type: splunk_hec, url: 'https://hec.corp.net', token: t1, index: {choice}}}}}\n"
    )
    settings = load(path, {})
    found = [*map(str, certain_to_fail(settings)), *looks(settings)]
    assert words in "\n".join(found)
    assert bool(found) == bool(words)
