"""What somebody might write: every fault is named by `check` with its setting, its cause and what to write instead."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from cryptography.hazmat.primitives import serialization

from forwarder.cli.commands.check import check
from forwarder.cli.invocation import Invocation
from forwarder.config.problems import SettingsError

ORG = "7d5a6a0e-1c55-4b92-9a37-0a4ad7a3c1aa"
KEY = "ATCTT3xFfGF0k9QwZr7uYbN2pLsVdX8hJ4"
HEC = {"type": "splunk_hec", "url": "https://hec.corp.net:8088", "token": "a1b2c3d4-0000-4111-8222-93e4f5a6b7c8"}
ES = {"type": "elasticsearch", "url": "https://es.corp.net:9200", "api_key": "VuaCfGcBCdbkQmAAAA:ui2lp2axTNmsyakw"}
HTTP = {"type": "http", "url": "https://in.corp.net/x"}
SYSLOG = {"type": "syslog", "address": "tls://siem.corp.net:6514"}
FOREIGN = ("Traceback", "pydantic", "NoneType", "should be", "Input ", "Error:")


def config(**settings: Any) -> dict[str, Any]:
    """Return what works, with settings by their dotted path instead."""
    tree: dict[str, Any] = {
        "spool": {"path": "./state/spool.db"},
        "sources": {"acme": {"type": "organization", "org_id": ORG, "api_key": KEY}},
        "sinks": {"es": dict(ES), "f": {"type": "file", "path": "./out.ndjson", "format": "raw"}},
        "admin": {"listen": "127.0.0.1:0"},
    }
    for path, value in settings.items():
        node, *keys = tree, *path.split(".")
        for key in keys[:-1]:
            node = node.setdefault(key, {})
        node[keys[-1]] = value
    return tree


@pytest.fixture
def checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Return what `check` says: its errors, or behind `look:` what is worth a look."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.upper().startswith(("FORWARDER_", "AUDIT_FORWARDER"))]:
        monkeypatch.delenv(name)

    def _checked(text: str | bytes | dict[str, Any], **env: str) -> str:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        text = json.dumps(text) if isinstance(text, dict) else text
        Path("config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        try:
            check(Invocation(Path("config.yaml"), None, ()))
        except SettingsError as error:
            return str(error)
        lines = capsys.readouterr().out.partition("Worth a look:\n")[2].splitlines()
        usual = ("user: this runs as root", "the configuration: every user")
        return "\n".join(f"look: {line.strip()}" for line in lines if not line.strip().startswith(usual))

    return _checked


def test_what_works_is_good(checked):
    assert checked(config()) == ""


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        # filters
        ({"sinks.es.include": [{"action": []}]}, "es.include.0.action (config.yaml line 1): an empty list, which matches nothing; name at"),
        ({"sinks.es.exclude": [{"source": []}]}, "es.exclude.0.source (config.yaml line 1): an empty list"),
        ({"sinks.es.include": [{"action": "user_login, user_logout"}]}, "write a list, such as [first, second]"),
        ({"sinks.es.include": [{"product": "jira|confluence"}]}, "write a list, such as [first, second]"),
        ({"sinks.es.include": [{"action": "^user_.*$"}]}, "it is a regular expression; in a glob * stands for any"),
        ({"sinks.es.include": [{"action": "/user_.+/i"}]}, "it is a regular expression"),
        ({"sinks.es.include": [{"action": "user_.*"}]}, "look: sinks.es.include.0.action (config.yaml line 1): matches no action"),
        ({"sinks.es.include": [{"source": "acme "}]}, "leave out the spaces around it"),
        ({"sinks.es.include": [{"source": ""}]}, "write a name, or leave the field out"),
        ({"sinks.es.include": [{}]}, "look: sinks.es.include.0 (config.yaml line 1): a rule without a field matches every event"),
        ({"sinks.es.include": [{"product": "jira-software"}]}, "unless it is a new one; known: admin, analytics"),
        ({"sinks.es.include": [{"actor": ["ann", None]}]}, "sinks.es.include.0.actor.1 (config.yaml line 1): empty"),
        ({"sinks.es.include": [{"source": 5}]}, "include.0.source (config.yaml line 1): not a text; put the value in"),
        ({"sinks.es.include": [{"severity": 5}]}, "unknown key; known keys: source, organization"),
        # names of other tools, and values of another shape
        ({"sinks.es.enabled": False}, "unknown key; nothing is switched off by a setting"),
        ({"sinks.es.http": {"no_proxy": "x"}}, "set NO_PROXY in the environment"),
        ({"sinks.es.fields": {"remove": ["x"]}}, "did you mean drop?"),
        ({"sinks.es.fields": {"add": {"env": None}}}, "sinks.es.fields.add.env (config.yaml line 1): empty; write"),
        ({"sinks.es.fields": {"add": {"env": "${ENV}"}}}, "look: sinks.es.fields.add.env (config.yaml line 1): it is a template"),
        ({"sinks.es.type": 5}, "sinks.es.type (config.yaml line 1): not a text; write one of: "),
        ({"sinks.es.tls": {"min_version": 1.2}}, "tls.min_version (config.yaml line 1): not one of its words; put the"),
        ({"sources.acme.site": "x"}, "unknown key; the log of an organization holds all its sites"),
        ({"sources.acme.org_id": "a" * 101}, "longer than 100 characters; shorten it"),
        ({"sinks.h": HEC | {"index": ""}}, "sinks.h.index (config.yaml line 1): not a template; write text"),
        ({"sinks.h": HEC | {"index": 5}}, "sinks.h.index (config.yaml line 1): not a text; put the value in quotes"),
        ({"Sources": {}}, "unknown section; did you mean sources?"),
        ({"sources_acme": {}}, "unknown section; did you mean sources?"),
        # where to begin
        ({"sinks.es.start": "yesterday"}, "es.start (config.yaml line 1): not a place to begin; write oldest, now,"),
        ({"sinks.es.start": "Now"}, "not a place to begin"),
        ({"sinks.es.start": "-7d"}, "not a place to begin"),
        ({"sinks.es.start": "2026-13-01"}, "not a place to begin"),
        ({"sinks.es.start": "2999-01-01T00:00:00Z"}, "a time in the future; write now, or a time that has passed"),
        ({"sinks.es.start": "2026-01-31"}, ""),
        ({"sinks.es.start": "continue"}, ""),
        # addresses
        ({"sinks.es.url": ""}, "sinks.es.url (config.yaml line 1): not a URL that can be used: it is empty; write https://host:port"),
        ({"sinks.es.url": "es.corp.net:9200"}, "sinks.es.url (config.yaml line 1): not a URL that can be used: it has no scheme"),
        ({"sinks.es.url": "https://u:p@es.corp.net"}, "sinks.es.url (config.yaml line 1): the URL holds a user name or password"),
        ({"sinks.es.url": "https://999.999.1.1"}, "it has no host that can be"),
        ({"sinks.es.url": f"https://{'a.' * 130}net"}, "it has no host that can be"),
        ({"sinks.es.url": "https://es.corp.net/_bulk"}, "look: sinks.es.url (config.yaml line 1): its path names an API of Elasticsearch"),
        ({"sinks.es.url": "https://es.corp.net:5601"}, "look: sinks.es.url (config.yaml line 1): 5601 is Kibana's port"),
        ({"sinks.es.url": "https://0.0.0.0:9200"}, "look: sinks.es.url (config.yaml line 1): an address to listen on"),
        ({"sinks.h": HEC | {"url": "https://hec.corp.net:8089"}}, "look: sinks.h.url (config.yaml line 1): 8089 is the port of Splunk's"),
        ({"sinks.h": HEC | {"url": "https://hec.corp.net:8000/en-US"}}, "look: sinks.h.url (config.yaml line 1): 8000 is the port of Splunk"),
        ({"sinks.h": SYSLOG | {"address": "tcp://127.0.0.1:6514"}}, "look: sinks.h.address (config.yaml line 1): 6514 is the port of"),
        ({"sinks.h": SYSLOG | {"address": "udp://siem.corp.net:514"}}, "sinks.h (config.yaml line 1): udp://siem.corp.net:514 would send"),
        ({"sources.acme.base_url": "https://admin.atlassian.com"}, "look: sources.acme.base_url (config.yaml line 1): admin.atlassian.com is"),
        ({"sources.acme.base_url": "https://acme.atlassian.net"}, "look: sources.acme.base_url (config.yaml line 1): atlassian.net is"),
        ({"sources.acme.base_url": "https://api.atlassian.com/admin/v1"}, "look: sources.acme.base_url (config.yaml line 1): the source itself"),
        ({"sources.acme.http": {"proxy": "p:3128"}}, "sources.acme.http.proxy (config.yaml line 1): not the URL of an HTTP proxy"),
        ({"sinks.h": HTTP | {"url": "https://in.corp.net/x?api_key=replace-me"}}, "sinks.h.url (config.yaml line 1): a key in its query is"),
        # headers and credentials
        ({"sinks.h": HTTP | {"headers": {"Authorization": "Bearer replace-me"}}}, "headers.Authorization (config.yaml line 1): it is an ex"),
        ({"sinks.h": HTTP | {"headers": {"X-Env": "sample"}}}, ""),
        ({"sinks.h": HTTP | {"username": "ann:x", "password": "p"}}, "sinks.h.username (config.yaml line 1): it holds a colon"),
        ({"sinks.h": HTTP | {"content_type": "a\r\nb: c"}}, "sinks.h.content_type (config.yaml line 1): not a content t"),
        ({"sinks.h": HTTP | {"content_type": "application/json; charset=utf-8"}}, ""),
        ({"sinks.h": HTTP | {"token": "k\u00e9y"}}, "sinks.h.token (config.yaml line 1): it holds characters that no header can carry"),
        ({"sinks.es.api_key": KEY}, "sinks.es.api_key (config.yaml line 1): it is a key of Atlassian, which is not what is asked for"),
        ({"sinks.h": HEC | {"token": "VuaCfGcBCdbkQmAAAAAA:ui2lp2axTNmsyakw12345A"}}, "sinks.h.token (config.yaml line 1): it is an API key of"),
        ({"sources.acme.api_key": "ghp_abcdefghijklmnopqrstuvwxyz0123456789"}, "it is a token of GitHub"),
        ({"sources.acme.api_key": "xoxb-1234-abcd"}, "it is a token of Slack"),
        ({"sources.acme.api_key": "-----BEGIN PRIVATE KEY-----"}, "it is a key or certificate in PEM"),
        ({"sources.acme.api_key": "%{KEY}"}, "it is a template that nothing fills in"),
        ({"sources.acme.api_key": "secretsmanager:x"}, "nothing looks there"),
        ({"sources.acme.api_key": "to be filled"}, "it is an example"),
        ({"sources.acme.api_key": "ATCTT3x_YOUR_KEY"}, "a part of it is left out or an example"),
        ({"sources.acme.api_key": "a1b2c3d4-0000-4111-8222-93e4f5a6b7c8"}, "look: sources.acme.api_key (config.yaml line 1): it has the form of an id"),
        ({"sinks.es.api_key": "justakey"}, "look: sinks.es.api_key (config.yaml line 1): it is neither `id:key` nor"),
        ({"sinks.es.api_key": "aWQ6a2V5"}, ""),
        ({"sinks.h": HTTP | {"token": "ghp_abcdefghijklmnopqrstuvwxyz0123456789"}}, ""),
        # files and their place
        ({"spool.path": "state/"}, "spool.path (config.yaml line 1): a folder; name a file in it"),
        ({"spool.path": ""}, "spool.path (config.yaml line 1): empty; name a file"),
        ({"spool.path": ":memory:"}, "not the path of a file; the spool outlives the process"),
        ({"spool.path": "file:state.db?mode=memory"}, "not the path of a file"),
        ({"spool.path": "$HOME/spool.db"}, "spool.path (config.yaml line 1): it is a template that nothing fills in here; write the whole"),
        ({"spool.path": "${STATE}/spool.db"}, "spool.path (config.yaml line 1): it is a template"),
        ({"spool.path": "C:\\state\\spool.db"}, "spool.path (config.yaml line 1): it is a path of Windows"),
        ({"spool.path": "config.yaml/spool.db"}, "config.yaml is a file, so nothing can lie below it"),
        ({"spool.path": "/proc/x/spool.db"}, "/proc/x is no place for files that stay"),
        ({"spool.path": "a" * 240}, "spool.path (config.yaml line 1): its name is too long for the disk; shorten it"),
        ({"sinks.f.path": "$HOME/out.ndjson"}, "sinks.f.path (config.yaml line 1): it is a template"),
        ({"sinks.f.path": "/sys/out.ndjson"}, "sinks.f.path (config.yaml line 1): /sys is no place for files that stay"),
        ({"sinks.f.path": "a/b/c/out.ndjson"}, ""),
        ({"sinks.f.path": "$5.ndjson"}, ""),
        # the admin port
        ({"admin.listen": "127.0.0.1:\u0669\u0664"}, "admin.listen (config.yaml line 1): not an address and port"),
        ({"admin.listen": "[::1:9464"}, "not an address and port"),
        ({"admin.listen": "[127.0.0.1]:9464"}, "not an address and port"),
        ({"admin.listen": "*:9464"}, "or 0.0.0.0:9464 for all of this machine's"),
        ({"admin.listen": " 127.0.0.1:9464"}, "not an address and port"),
        ({"admin.listen": "999.1.1.1:9464"}, "not an address and port"),
        ({"admin.listen": "192.0.2.1:0"}, "admin.listen (config.yaml line 1): 192.0.2.1:0: not an address of this machine"),
        ({"admin.allowed_hosts": ["http://a"]}, "admin.allowed_hosts (config.yaml line 1): not the name of a host"),
        ({"admin.allowed_hosts": ["*"]}, "not the name of a host"),
        ({"admin.allowed_hosts": ["forwarder.corp.net:9464", "[::1]:9464", "::1"]}, ""),
        # times and sizes
        ({"sinks.h": HEC | {"confirm_every": "10m", "confirm_within": "1s"}}, "look: sinks.h.confirm_within (config.yaml line 1): unconfirmed"),
        ({"sources.acme.http": {"connect_timeout": "10m", "total_timeout": "1m"}}, "look: sources.acme.http.total_timeout"),
        ({"spool.max_bytes": "16TiB"}, "look: spool.max_bytes (config.yaml line 1): 16TiB is more than the whole disk has"),
        ({"catalogue.files": ["own.yaml"]}, "own.yaml: cannot be read: No such file or directory; name the right file in"),
    ],
)  # fmt: skip
def test_each_is_named(checked, settings, words):
    output = checked(config(**settings))
    assert words in output
    assert bool(output) == bool(words), output
    for foreign in FOREIGN:
        assert foreign not in output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{Y}---\n{Y}", "a second document begins; keep one"),
        ('[sources.acme]\ntype = "organization"\n', "it goes on in another form, such as TOML or INI"),
        ("{Y}budgets: {b: {<<: 5}}\n", "behind << stands something other than a map"),
        ("a: " + "[" * 5000, "nested without end; look at the brackets"),
        ("{Y}log: {level: " + "9" * 5000 + "}\n", "a number with thousands of digits"),
        ("{Y}log:\n  level:\u00a0info\n  format: json\n", "a no-break space, which only looks like a space"),
        ("{Y}log:\n  level\uff1a info\n  format: json\n", "a wide colon, which only looks like a colon"),
        (
            "x-common: &a {level: info}\n{Y}log: *a\n",
            "x-common (config.yaml line 1): unknown section; known keys: spool",
        ),
        ("sources.acme.every: 5s\n{Y}", "write `sources:` and the rest set in below it, one name a line"),
        ("{Y}sops: {mac: x}\n", "nothing decrypts it here"),
        ("- a\n", "not a map of settings; begin with a line such as `sources:`"),
        ("", "sources: missing; set sources"),
        ("{Y}shutdown: {grace: 1:30}\n", "not a duration"),
        ("{Y}shutdown: {grace: 0x10}\n", "not a duration"),
        ("{Y}shutdown: {grace: 010}\n", ""),
        ("\ufeff{Y}", ""),
    ],
)
def test_yaml_of_other_kinds(checked, text, words):
    output = checked(text.replace("{Y}", yaml.safe_dump(config())))
    assert words in output
    assert bool(output) == bool(words), output


def test_a_number_with_a_zero_before_it_is_decimal(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config()) + "shutdown: {grace: 010}\n")
    assert Invocation(path).settings().shutdown.grace == 10


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"FORWARDER__LOG_LEVEL": "debug"}, "unknown section; did you mean FORWARDER__LOG__LEVEL?"),
        ({"AUDIT_FORWARDER__LOG__LEVEL": "debug"}, "not read under this name; write FORWARDER__LOG__LEVEL"),
        ({"FORWARDER__SINKS__ES__HTTP_PROXY": "x"}, "did you mean FORWARDER__SINKS__ES__HTTP__PROXY?"),
        ({"FORWARDER__SINKS__ES__INCLUDE": "[{source: acme}]"}, "not a list in JSON; write"),
        ({"FORWARDER__SINKS__ES__BATCH": "{events: 5}"}, "not a map in JSON; write"),
        (
            {"FORWARDER__SINKS__ES__URL": ""},
            "sinks.es.url (FORWARDER__SINKS__ES__URL): not a URL that can be used: it is empty",
        ),
        ({"FORWARDER__ADMIN": '{"listen": "x"}'}, "admin.listen (FORWARDER__ADMIN): not an address and port"),
    ],
)
def test_the_environment(checked, env, words):
    assert words in checked(config(), **env)


def test_a_port_that_another_program_has(checked):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        output = [checked(config(**{"admin.listen": f"{host}:{port}"})) for host in ("127.0.0.1", "0.0.0.0", "[::]")]
    assert (
        f"admin.listen (config.yaml line 1): 127.0.0.1:{port}: another program listens there; end the other program"
        in output[0]
    )
    assert ["another program listens there" in each for each in output] == [True, True, socket.has_dualstack_ipv6()]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("x: {act: change, object: issue, severity: true}", "actions.x.severity (own.yaml line 1): not a whole number"),
        ("x: {act: change, object: issue, product: jirra}", "no product that is known; did you mean jira?"),
        ("'user_*': {act: change, object: issue}", "not the id of an action; write one whole id"),
        ("'': {act: change, object: issue}", "an empty id"),
        ("yes: {act: change}", "own.yaml line 1: the key yes is not read as text; put it in quotes"),
        ("x: {act: chang}", "did you mean change?"),
    ],
)
def test_records_of_ones_own(checked, record, words):
    Path("own.yaml").write_text(f"actions: {{{record}}}\n")
    assert words in checked(config(**{"catalogue.files": ["own.yaml"]}))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two certificates and their keys, one of which asks for a password."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("one", "two"):
        authority = trustme.CA()
        issued = authority.issue_cert("x.corp.net")
        (folder / f"{name}.pem").write_bytes(issued.cert_chain_pems[0].bytes())
        (folder / f"{name}.key").write_bytes(issued.private_key_pem.bytes())
    key = serialization.load_pem_private_key((folder / "one.key").read_bytes(), None)
    locked = serialization.BestAvailableEncryption(b"open sesame")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    (folder / "locked.key").write_bytes(key.private_bytes(*form, locked))
    (folder / "text").write_text("not PEM\n")
    return folder


@pytest.mark.parametrize(
    ("tls", "words"),
    [
        ({"cert_file": "one.pem", "key_file": "one.key"}, ""),
        (
            {"cert_file": "one.pem", "key_file": "two.key"},
            "sinks.es.tls.key_file (config.yaml line 1): it is not the key of cert_file",
        ),
        (
            {"cert_file": "one.pem"},
            "sinks.es.tls.cert_file (config.yaml line 1): it holds no certificate in PEM, or not its key",
        ),
        (
            {"cert_file": "text", "key_file": "one.key"},
            "sinks.es.tls.cert_file (config.yaml line 1): it holds no certificate",
        ),
        ({"cert_file": "one.pem", "key_file": "locked.key"}, "asks for a password, and none is set"),
        (
            {"cert_file": "one.pem", "key_file": "locked.key", "key_password": "x1"},
            "and this does not open it; write the password",
        ),
        ({"cert_file": "one.pem", "key_file": "locked.key", "key_password": "open sesame"}, ""),
        (
            {"key_file": "one.key"},
            "sinks.es.tls.cert_file (config.yaml line 1): missing: a key is nothing without its certificate",
        ),
        ({"key_password": "x1"}, "sinks.es.tls.cert_file (config.yaml line 1): missing"),
        ({"ca_file": "text"}, "sinks.es.tls.ca_file (config.yaml line 1): it holds no certificate in PEM"),
        ({"ca_file": "one.key"}, "sinks.es.tls.ca_file (config.yaml line 1): it holds no certificate in PEM"),
        ({"ca_file": "one.pem"}, ""),
    ],
)
def test_what_a_tls_file_holds(checked, certificates, tls, words):
    named = {key: str(certificates / value) if key.endswith("_file") else value for key, value in tls.items()}
    output = "\n".join(line for line in checked(config(**{"sinks.es.tls": named})).splitlines() if "look:" not in line)
    assert words in output
    assert bool(output) == bool(words), output


@pytest.mark.parametrize(
    ("env", "words"),
    [
        (
            {"HTTPS_PROXY": "socks5://p:1080"},
            "sinks.es.url (config.yaml line 1): the environment names a proxy for it that cannot be used",
        ),
        ({"https_proxy": "http://p:99999"}, "correct or unset HTTPS_PROXY and ALL_PROXY, or set http.proxy"),
        ({"ALL_PROXY": "http://[::1"}, "sources.acme.base_url (config.yaml line 1): the environment names a proxy"),
        ({"HTTPS_PROXY": "socks5://p:1080", "NO_PROXY": "*"}, ""),
        ({"HTTPS_PROXY": "p:3128"}, ""),
    ],
)
def test_proxies_of_the_environment(checked, env, words):
    output = checked(config(), **env)
    assert words in output
    assert bool(output) == bool(words), output
