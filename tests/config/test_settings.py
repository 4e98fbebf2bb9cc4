"""Settings: precedence of the layers, and errors that name path, place and fix and never a value."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from forwarder.config.json_schema import json_schema
from forwarder.config.problems import SettingsError
from forwarder.config.readings import find_config
from forwarder.config.references import secrets_of, unreadable_files
from forwarder.config.settings import load
from forwarder.contracts import Secret
from forwarder.daemon.judging import read_again
from tests.packages import SINK, install

GOOD = """
spool:   {path: ./state/spool.db, max_bytes: 1GiB}
sources:
  acme:    {type: organization, org_id: org-1, api_key: yaml-key-value, every: 45s}
sinks:
  archive: {type: file, path: ./out/events.ndjson, format: raw}
"""


@pytest.fixture
def write(tmp_path):
    def _write(text: str, name: str = "config.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return _write


def problems_of(*args, **kwargs) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(*args, **kwargs)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return str(caught.value).splitlines()


# ------------------------------------------------------------------------------------------------------- precedence


def test_defaults_and_yaml(write):
    settings = load(write(GOOD))
    assert settings.spool.max_bytes == 2**30
    assert settings.sources["acme"].every == 45
    assert settings.sources["acme"].api_key.reveal() == "yaml-key-value"
    assert settings.sinks["archive"].path == "./out/events.ndjson"
    assert settings.admin.address == ("127.0.0.1", 9464)
    assert settings.shutdown.grace == 25
    assert settings.file is not None


def test_each_layer_beats_the_next_weaker_one(write, tmp_path):
    config = write(GOOD)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "sources__acme__api_key").write_text("directory-key\n")
    (secrets / "sources__acme__every").write_text("3s\n")
    key = lambda **given: load(config, **given).sources["acme"].api_key.reveal()  # noqa: E731
    env = {"FORWARDER__SOURCES__ACME__API_KEY": "environment-key"}
    assert key() == "yaml-key-value"
    assert key(secrets_dir=secrets) == "directory-key"
    assert load(config, secrets_dir=secrets).sources["acme"].every == 3
    assert key(secrets_dir=secrets, env=env) == "environment-key"
    assert key(secrets_dir=secrets, env=env, overrides=["sources.acme.api_key=line-key"]) == "line-key"
    assert key(env={"FORWARDER_SECRETS_DIR": str(secrets)}) == "directory-key"
    assert load(config, overrides=["log.level=error", "log.level=debug"]).log.level == "debug"


def test_a_stronger_layer_changes_one_key_and_leaves_its_neighbours(write):
    settings = load(write(GOOD), {"FORWARDER__SINKS__ARCHIVE__BATCH__EVENTS": "7"})
    assert settings.sinks["archive"].batch.events == 7
    assert settings.sinks["archive"].batch.bytes == 1_000_000
    assert settings.sinks["archive"].format == "raw"


def test_a_key_and_its_file_are_one_setting(write, tmp_path):
    (tmp_path / "key").write_text("file-key")
    with_file = write(GOOD.replace("api_key: yaml-key-value", f"api_key_file: {tmp_path / 'key'}"), "file.yaml")
    assert load(with_file).sources["acme"].api_key.reveal() == "file-key"
    from_env = load(with_file, {"FORWARDER__SOURCES__ACME__API_KEY": "environment-key"})
    assert from_env.sources["acme"].api_key.reveal() == "environment-key"
    to_file = load(write(GOOD), {"FORWARDER__SOURCES__ACME__API_KEY_FILE": str(tmp_path / "key")})
    assert to_file.sources["acme"].api_key.reveal() == "file-key"
    both = write(GOOD.replace("api_key: yaml-key-value", f"api_key: a-key, api_key_file: {tmp_path}/key"), "both.yaml")
    assert "keep one" in problems_of(both)[0]


def test_a_secret_of_the_directory_follows_its_file(write, tmp_path):
    secrets = tmp_path / "mounted"
    (secrets / "..data").mkdir(parents=True)  # as Kubernetes mounts it
    (secrets / "..data" / "sources__acme__api_key").write_text("first-value")
    (secrets / "sources__acme__api_key").symlink_to(Path("..data") / "sources__acme__api_key")
    (secrets / "ca.crt").write_text("not a setting")
    key = load(write(GOOD), secrets_dir=secrets).sources["acme"].api_key
    assert key.reveal() == "first-value"
    (secrets / "..data" / "sources__acme__api_key").write_text("second-and-longer-value")
    assert key.reveal() == "second-and-longer-value"


def test_everything_from_the_environment_alone(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    env = {
        "FORWARDER__SOURCES": json.dumps({"acme": {"type": "organization", "org_id": "o-1"}}),
        "FORWARDER__SOURCES__ACME__API_KEY": '{"looks": "like JSON"}',
        "forwarder__sinks__archive__type": "file",
        "FORWARDER__SINKS__ARCHIVE__PATH": "-",
        "FORWARDER__SINKS__ARCHIVE__INCLUDE": '[{"action": ["*_viewed"]}]',
        "FORWARDER__SPOOL": '{"max_bytes": "64MiB"}',
        "FORWARDER__SPOOL__RETAIN": "1h",
        "FORWARDER_PORT": "tcp://10.0.0.1:9464",  # a Service named forwarder
    }
    settings = load(None, env)
    assert settings.sources["acme"].api_key.reveal() == '{"looks": "like JSON"}'
    assert settings.sinks["archive"].include[0].action == ["*_viewed"]
    assert (settings.spool.max_bytes, settings.spool.retain) == (64 * 2**20, 3600)
    assert settings.file is None


def test_the_process_environment_is_never_read_behind_the_callers_back(write, monkeypatch):
    monkeypatch.setenv("FORWARDER__SPOOL__MAX_BYTES", "3GiB")
    monkeypatch.setenv("SPOOL", '{"max_bytes": "4GiB"}')
    assert load(write(GOOD)).spool.max_bytes == 2**30


def test_where_the_file_is_looked_for(monkeypatch, tmp_path, write):
    monkeypatch.chdir(tmp_path)
    assert find_config(None, {}) is None
    write(GOOD)
    assert find_config(None, {}) == Path("config.yaml")
    assert find_config(None, {"FORWARDER_CONFIG": "/a"}) == Path("/a")
    assert find_config(Path("/b"), {"FORWARDER_CONFIG": "/a"}) == Path("/b")


def test_reload_reads_the_same_places_again(write):
    path = write(GOOD)
    settings = load(path, overrides=["log.format=json"])
    path.write_text(GOOD + "log: {level: debug}\n")
    again = read_again(settings, judge=False)
    assert (again.log.level, again.log.format) == ("debug", "json")
    path.write_text("sinks: [")
    with pytest.raises(SettingsError):
        read_again(settings, judge=False)


def test_dates_stay_text_and_merges_work(write):
    text = GOOD.replace("format: raw", "start: 2026-01-31T00:00:00Z") + (
        "budgets:\n  one: &pace {requests_per_minute: 3}\n  two: {<<: *pace}\n"
    )
    settings = load(write(text))
    assert settings.sinks["archive"].start == "2026-01-31T00:00:00Z"
    assert settings.budgets["two"].requests_per_minute == 3


# ----------------------------------------------------------------------------------------------------------- digest


def test_digest_follows_the_configuration_and_not_the_secrets(write):
    first = load(write(GOOD)).digest()
    assert len(first) == 12
    assert (
        load(
            write(
                GOOD.replace("{type: file,", "{path: ./x, type: file,")
                .replace("./out/events.ndjson", "x")
                .replace(", path: x", "")
                .replace("./x", "./out/events.ndjson")
            )
        ).digest()
        == first
    )
    assert load(write(GOOD.replace("yaml-key-value", "another-key"))).digest() == first
    assert load(write(GOOD.replace("45s", "46s"))).digest() != first
    assert load(write(GOOD.replace("events.ndjson", "other.ndjson"))).digest() != first


def test_no_dump_or_repr_shows_a_secret(write):
    settings = load(write(GOOD + "admin: {token: the-admin-token}\n"))
    for text in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
        assert "yaml-key-value" not in text
        assert "the-admin-token" not in text
    assert sorted(secret.reveal() for secret in secrets_of(settings)) == ["the-admin-token", "yaml-key-value"]


# ----------------------------------------------------------------------------------------------------------- errors

WRONG = [
    ("log: {lefel: debug}", ["log.lefel", "line 7", "unknown key", "did you mean level?"]),
    ("lgo: {}", ["lgo", "unknown section", "did you mean log?"]),
    ("log: {level: verbose}", ["log.level", "line 7", "debug"]),
    ("admin: {listen: '9464'}", ["admin.listen", "127.0.0.1:9464"]),
    ("admin: {listen: 'x:99999'}", ["admin.listen"]),
    ("admin: {time_zone: Europe/Berln}", ["admin.time_zone", "did you mean Europe/Berlin?"]),
    ("admin: {time_zone: new york}", ["admin.time_zone", "did you mean America/New_York?"]),
    ("admin: {time_zone: GMT+1}", ["admin.time_zone", "write one such as Europe/Berlin"]),
    ("admin: {time_zone: ../UTC}", ["admin.time_zone", "not the name of a time zone"]),
    ("admin: {token: 12345678}", ["admin.token", "quotes"]),
    ("shutdown: {grace: soon}", ["shutdown.grace", "30s"]),
    ("shutdown: {grace: -1}", ["shutdown.grace"]),
    ("budgets: {a__b: {}}", ["budgets.a__b", "single underscores"]),
    ("budgets: {a_: {}}", ["budgets.a_", "not usable"]),
    ("budgets: {a: {requests_per_minute: 0}}", ["budgets.a.requests_per_minute"]),
    ("log: 3", ["log"]),
    ("log: {level: debug, level: info}", ["log.level", "given twice", "line 7"]),
    ("sinks: {}", ["sinks", "given twice"]),
    ("log: [", ["line 8", "column", "not YAML"]),
    ("log: {level: *debug}", ["line 7 column 14", "not YAML"]),
    ("1: {}", ["line 7", "in quotes"]),
]


@pytest.mark.parametrize(("line", "words"), WRONG, ids=[line for line, _ in WRONG])
def test_wrong_yaml_names_path_place_and_fix(write, line, words):
    found = problems_of(write(f"{GOOD}{line}\n"))
    assert any(all(word in problem for word in words) for problem in found), found


COMPONENTS = [
    ("{type: elasticsaerch, url: x}", ["sinks.bad.type", "unknown sink type", "did you mean elasticsearch?"]),
    ("{path: x}", ["sinks.bad", "has no type", "file"]),
    ("{type: file}", ["sinks.bad.path", "missing"]),
    ("{type: file, path: x, pth: y}", ["sinks.bad.pth", "did you mean path?"]),
    ("{type: file, path: x, format: esc}", ["sinks.bad.format", "did you mean ecs?"]),
    ("{type: file, path: x, batch: {evvents: 1}}", ["sinks.bad.batch.evvents", "did you mean events?"]),
    ("{type: file, path: x, include: [{acton: y}]}", ["sinks.bad.include.0.acton", "did you mean action?"]),
    ("{type: file, path: x, include: [{action: 3}]}", ["sinks.bad.include.0.action", "not a text"]),
    ("{type: file, path: x, include: []}", ["sinks.bad.include", "at least 1"]),
    ("{type: file, path: 3}", ["sinks.bad.path", "quotes"]),
    ("file", ["sinks.bad", "not a map"]),
]


@pytest.mark.parametrize(("component", "words"), COMPONENTS, ids=[text for text, _ in COMPONENTS])
def test_wrong_component_names_path_line_and_fix(write, component, words):
    found = problems_of(write(f"{GOOD}  bad: {component}\n"))
    assert any(all(word in problem for word in [*words, "config.yaml line 7"]) for problem in found), found


def test_sources_refer_to_budgets_that_exist(write):
    text = GOOD.replace("every: 45s", "budget: shard") + "budgets: {shared: {}}\n"
    assert "did you mean shared?" in problems_of(write(text))[0]
    load(write(text.replace("shard", "shared")))


@pytest.mark.parametrize("url", ["http://siem.example", "HTTP://127.0.0.1.example/", "http://[2001:db8::1]:80"])
def test_plain_http_to_another_machine_needs_insecure(write, url):
    text = GOOD.replace("every: 45s", f"base_url: '{url}'")
    assert "insecure: true" in problems_of(write(text))[0]
    load(write(text.replace("base_url", "insecure: true, base_url")))


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost", "http://[::1]:2", "https://siem.example"])
def test_plain_http_to_ourselves_is_fine(write, url):
    load(write(GOOD.replace("every: 45s", f"base_url: '{url}'")))


ENVIRONMENT = [
    ({"FORWARDER__SNKS__A": "1"}, ["FORWARDER__SNKS__A", "FORWARDER__SINKS"]),
    ({"FORWARDER__SINKS__ARCHVE__PATH": "x"}, ["FORWARDER__SINKS__ARCHVE__PATH", "FORWARDER__SINKS__ARCHIVE__"]),
    ({"FORWARDER__SINKS__ARCHIVE__PTH": "x"}, ["FORWARDER__SINKS__ARCHIVE__PTH", "FORWARDER__SINKS__ARCHIVE__PATH?"]),
    ({"FORWARDER_SINKS__ARCHIVE__PATH": "x"}, ["FORWARDER_SINKS__ARCHIVE__PATH", "write FORWARDER__SINKS__ARCHIVE__"]),
    ({"FORWARDER__": "x"}, ["FORWARDER__", "empty"]),
    ({"FORWARDER__LOG__": "x"}, ["FORWARDER__LOG__", "empty"]),
    ({"FORWARDER__LOG": "debug"}, ["FORWARDER__LOG", "JSON"]),
    ({"FORWARDER__LOG__LEVEL__X": "1", "FORWARDER__LOG__LEVEL": "info"}, ["FORWARDER__LOG__LEVEL", "keep one"]),
    ({"FORWARDER__LOG__LEVEL": "a", "forwarder__log__level": "b"}, ["FORWARDER__LOG__LEVEL", "keep one"]),
    ({"FORWARDER__LOG__LEVEL": "loud"}, ["log.level", "FORWARDER__LOG__LEVEL"]),
    ({"FORWARDER__ADMIN__TOKEN": ""}, ["admin.token", "FORWARDER__ADMIN__TOKEN"]),
    ({"FORWARDER__SINKS__NEW__PATH": "x"}, ["sinks.new", "FORWARDER__SINKS__NEW__TYPE"]),
]


@pytest.mark.parametrize(("env", "words"), ENVIRONMENT, ids=[" ".join(env) for env, _ in ENVIRONMENT])
def test_wrong_environment_names_the_variable_and_the_right_one(write, env, words):
    found = problems_of(write(GOOD), env)
    assert any(all(word in problem for word in words) for problem in found), found


def test_everything_wrong_is_said_at_once(write, tmp_path):
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "admin__tokn").write_text("x")
    (secrets / "admin__token").write_text(" \n")
    found = problems_of(
        write(GOOD + "log: {lefel: debug}\n"), {"FORWARDER__SPOL__X": "1"}, secrets, ["no-equals", "shutdown.grce=1"]
    )
    text = "\n".join(found)
    for word in ("log.lefel", "FORWARDER__SPOL__X", "admin.tokn", "the file is empty", "PATH=VALUE", "shutdown.grce"):
        assert word in text


def test_files_that_cannot_be_read(tmp_path, write, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "config.yaml" in problems_of(None, {})[0]
    assert "No such file" in problems_of(tmp_path / "none.yaml")[0]
    assert len(problems_of(tmp_path / "none.yaml")) == 1
    assert "Is a directory" in problems_of(tmp_path)[0]
    assert "secrets directory" in problems_of(write(GOOD), {}, tmp_path / "none")[0]
    (tmp_path / "latin.yaml").write_bytes(b"sources: {}\nlog: {level: \xe4}\n")
    assert "line 2" in problems_of(tmp_path / "latin.yaml")[0]
    assert "not a map" in problems_of(write("- a\n"))[0]
    assert any("sources" in problem for problem in problems_of(write("")))


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &x {b: *x}", "[" * 3000, "a: " + "[" * 3000])
def test_yaml_without_end_is_an_error_and_no_crash(write, text):
    assert problems_of(write(text))


def test_billion_laughs_are_not_laughed_at(write):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert "more nodes" in problems_of(write("\n".join(lines)))[0]


def test_secret_files_are_examined_on_demand(tmp_path, write):
    empty, binary = tmp_path / "empty", tmp_path / "binary"
    empty.write_text("\n")
    binary.write_bytes(b"\xff\xfe\x00")
    for file, message in (
        (tmp_path / "none", "No such file"),
        (empty, "empty"),
        (binary, "UTF-16"),
        (tmp_path, "directory"),
    ):
        text = GOOD.replace("api_key: yaml-key-value", f"api_key_file: {file}")
        (found,) = unreadable_files(load(write(text)))
        assert found.path == "sources.acme.api_key_file"
        assert message in found.what
    tls = GOOD.replace("every: 45s", f"tls: {{ca_file: {tmp_path}/ca.pem}}")
    (found,) = unreadable_files(load(write(tls)))
    assert found.path == "sources.acme.tls.ca_file"
    assert unreadable_files(load(write(GOOD))) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_secret_file_of_somebody_else(tmp_path, write):
    (tmp_path / "key").write_text("x")
    (tmp_path / "key").chmod(0)
    text = GOOD.replace("api_key: yaml-key-value", f"api_key_file: {tmp_path}/key")
    assert "denied" in unreadable_files(load(write(text)))[0].what


# ---------------------------------------------------------------------------------------------------------- plugins


def test_a_strangers_sink_brings_its_own_settings(tmp_path, write, monkeypatch):
    install(
        tmp_path / "site", "brass", modules={"brass_one": SINK}, points={"sinks": {"trumpet": "brass_one:TrumpetSink"}}
    )
    monkeypatch.syspath_prepend(tmp_path / "site")
    settings = load(write(GOOD + "  horn: {type: trumpet, tune: reveille, note: the-secret-note}\n"))
    assert settings.sinks["horn"].tune == "reveille"
    assert isinstance(settings.sinks["horn"].note, Secret)
    assert "sinks.horn.tune" in problems_of(write(GOOD + "  horn: {type: trumpet}\n"))[0]
    properties = json.dumps(json_schema())
    assert "What to play." in properties
    assert "note_file" in properties


def test_a_broken_sink_does_not_hide_other_problems(tmp_path, write, monkeypatch):
    install(tmp_path / "site", "dented", modules={"dented": "1/0"}, points={"sinks": {"tuba": "dented:Tuba"}})
    monkeypatch.syspath_prepend(tmp_path / "site")
    found = problems_of(write(GOOD + "  low: {type: tuba}\n  bad: {type: file}\n"))
    assert any("sinks.low.type" in line and "dented 1.2" in line and "ZeroDivisionError" in line for line in found)
    assert any("sinks.bad.path" in line for line in found)
    assert "tuba" not in json.dumps(json_schema())
