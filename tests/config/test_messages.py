"""Mistakes people make in a configuration: each message names the setting, the cause and the right word."""

from pathlib import Path

import pytest

from forwarder.config.problems import SettingsError
from forwarder.config.settings import load

GOOD = """sources:
  acme: {type: organization, org_id: 7d5a6a0e-1c55-4b92-9a37-0a4ad7a3c1aa, api_key: k SOURCE}
sinks:
  es: {type: elasticsearch, url: "https://es.corp.net" ES}
  hec: {type: splunk_hec, url: "https://hec.corp.net", token: t HEC}
  siem: {type: syslog, address: "tls://siem.corp.net:6514" SIEM}
  hook: {type: http, url: "https://hook.corp.net" HOOK}
  file: {type: file, path: "./events" FILE}
"""
PLACES = {"source": "SOURCE", "es": "ES", "hec": "HEC", "siem": "SIEM", "hook": "HOOK", "file": "FILE"}


def messages(tmp_path: Path, place: str, text: str) -> str:
    config = GOOD if place in PLACES else f"{GOOD}{text}\n"
    for name, mark in PLACES.items():
        config = config.replace(f" {mark}}}", f", {text}}}" if name == place else "}")
    path = tmp_path / "config.yaml"
    path.write_text(config)
    with pytest.raises(SettingsError) as caught:
        load(path, {})
    return str(caught.value)


@pytest.mark.parametrize(
    ("place", "text", "words"),
    [
        ("es", "hosts: [a]", "sinks.es.hosts (config.yaml line 4): unknown key; did you mean url?"),
        ("es", "host: a", "did you mean url?"),
        ("es", "endpoint: a", "did you mean url?"),
        ("es", "cloud_id: a", "did you mean url?"),
        ("es", "cloudId: a", "did you mean url?"),
        ("es", "brokers: [a]", "did you mean url?"),
        ("es", "index: a", "did you mean data_stream?"),
        ("es", "user: a", "did you mean username?"),
        ("es", "pass: a", "did you mean password?"),
        ("es", "ssl: {}", "did you mean tls?"),
        ("es", "verify: false", "did you mean tls.verify?"),
        ("es", "verify_certs: false", "did you mean tls.verify?"),
        ("es", "rejectUnauthorized: false", "did you mean tls.verify?"),
        ("es", "ca: /x", "did you mean tls.ca_file?"),
        ("es", "cacert: /x", "did you mean tls.ca_file?"),
        ("es", "cert: /x", "did you mean tls.cert_file?"),
        ("es", "tls: {ca: /x}", "did you mean ca_file?"),
        ("es", "tls: {cert: /x}", "did you mean cert_file?"),
        ("es", "tls: {key: /x}", "did you mean key_file?"),
        ("es", "tls: {insecure_skip_verify: true}", "did you mean verify?"),
        ("es", "timeout: 5s", "did you mean http.total_timeout?"),
        ("es", "proxy: x", "did you mean http.proxy?"),
        ("es", "apiKey: x", "did you mean api_key?"),
        ("es", "api-key: x", "did you mean api_key?"),
        ("es", "batch_size: 5", "did you mean batch.events?"),
        ("es", "batch: {size: 5}", "sinks.es.batch.size"),
        ("es", "flush_interval: 5s", "did you mean batch.wait?"),
        ("es", "retries: 5", "did you mean retry?"),
        ("hec", "host_name: x", "sinks.hec.host_name"),
        ("hec", "hec_token: x", "did you mean token?"),
        ("hec", 'endpoint: "https://x"', "an address is written as url"),
        ("hec", "endpoint: events", "did you mean event?"),
        ("hec", "source_type: x", "did you mean sourcetype?"),
        ("hec", "uri: x", "did you mean url?"),
        ("siem", "host: x", "did you mean address?"),
        ("siem", "port: 514", "did you mean address?"),
        ("siem", "url: x", "did you mean address?"),
        ("siem", "app: x", "did you mean app_name?"),
        ("hook", "uri: x", "did you mean url?"),
        ("hook", "gzip: true", "did you mean compress?"),
        ("file", "filename: x", "did you mean path?"),
        ("file", "rotation: x", "did you mean rotate?"),
        ("file", "fsync: alwayz", "did you mean always?"),
        ("file", "compress: true", "unknown key"),
        ("source", "interval: 5s", "did you mean every?"),
        ("source", "poll_interval: 5s", "did you mean every?"),
        ("source", "lookback: 5d", "did you mean since?"),
        ("source", "token: x", "did you mean api_key?"),
        ("source", "org: x", "did you mean org_id?"),
        ("source", "orgId: x", "did you mean org_id?"),
        ("", "outputs: {}", "unknown section; did you mean sinks?"),
        ("", "logging: {}", "did you mean log?"),
        ("", "storage: {}", "did you mean spool?"),
        ("", "log: {verbosity: debug}", "did you mean level?"),
        ("", "log: {level: DEBUG}", "did you mean debug?"),
        ("", "admin: {port: 9}", "did you mean listen?"),
        ("", "spool: {retention: 9d}", "did you mean retain?"),
        ("", "log: [info]", "log (config.yaml line 9): not a map of settings; write `key: value`"),
        ("es", "compress: maybe", "not a switch; write true or false"),
        ("es", "batch: 5", "not a map of settings"),
        ("hook", "reject_on: 400", "not a list; write [first, second]"),
        ("hook", "method: GET", "write one of: POST, PUT"),
        ("hook", "token: [x]", "a list, not a text; write one value, without brackets"),
        ("hook", "token: {x: y}", "a map, not a text; write one value, without brackets"),
        ("hook", "token: true", "a switch, not a text; put the value in quotes"),
        ("hook", "token: 5", "a number, not a text; put the value in quotes"),
        ("es", "tls: {ca_file: [/x]}", "a list, not a text"),
    ],
)  # fmt: skip
def test_the_right_name_is_told(tmp_path, place, text, words):
    found = messages(tmp_path, place, text)
    assert words in found, found
    for foreign in ("Input", "should", "valid", "pydantic", "Extra inputs"):
        assert foreign not in found, found


@pytest.mark.parametrize(
    ("kind", "guess"),
    [
        ("elastic", "elasticsearch"),
        ("opensearch", "elasticsearch"),
        ("splunk", "splunk_hec"),
        ("hec", "splunk_hec"),
        ("webhook", "http"),
        ("rsyslog", "syslog"),
        ("stdout", "file"),
        ("filee", "file"),
    ],
)
def test_types_of_other_tools(tmp_path, kind, guess):
    path = tmp_path / "config.yaml"
    path.write_text(GOOD.replace("type: http", f"type: {kind}").replace("type: file", "type: file").translate({}))
    for mark in PLACES.values():
        path.write_text(path.read_text().replace(f" {mark}}}", "}"))
    with pytest.raises(SettingsError, match=rf"sinks\.hook\.type.*did you mean {guess}\?"):
        load(path, {})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("https://admin.atlassian.com/o/7d5a6a0e-1c55-4b92-9a37-0a4ad7a3c1aa/overview", "behind /o/"),
        ("admin.atlassian.com/o/7d5a6a0e", "behind /o/"),
        ("o/7d5a6a0e", "behind /o/"),
        ("acme.atlassian.net", "an address, not an id"),
        ("Acme Inc", "not the id of an organization"),
        ("'{7d5a6a0e}'", "not the id of an organization"),
    ],
)
def test_what_is_pasted_for_an_organization_id(tmp_path, value, words):
    path = tmp_path / "config.yaml"
    text = GOOD.replace("7d5a6a0e-1c55-4b92-9a37-0a4ad7a3c1aa", value)
    for mark in PLACES.values():
        text = text.replace(f" {mark}}}", "}")
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(path, {})
    assert "sources.acme.org_id" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sources:\n\tacme: {}\n", "a tab; set lines in with spaces"),
        ("log:\n  level: info\n\tformat: json\n", "a tab; set lines in with spaces"),
        ("log: {level: @x}\n", "begins with @; put the value in quotes"),
        ("log: {level: %x}\n", "begins with %; put the value in quotes"),
        ("log: {level: `x`}\n", "begins with `; put the value in quotes"),
        ("log: level: info\n", "a second colon"),
        ("log: {level: *x}\n", "begins with *; put the value in quotes"),
        ("log: {level: !vault x}\n", "a tag that nothing reads here"),
        ('log: {level: "x}\n', "never closed"),
        ("log: {level: x\nspool: {}\n", "a { is not closed"),
        ("log: {level: {{ level }}}\n", "a template such as {{ … }}"),
        ("log:\n  level: info\n format: json\n", "set in differently"),
        ("log:\n  level info\n  format: json\n", "colon"),
    ],
)
def test_yaml(tmp_path, text, words):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(path, {})
    assert words in str(caught.value)
    assert "config.yaml line" in str(caught.value)
    assert "token" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/dev/stdout", 'standard output; write path: "-" for it'),
        ("/proc/self/fd/1", 'standard output; write path: "-" for it'),
        ("/dev/stderr", "standard error, which belongs to the log"),
        ("out/", "a directory; name a file in it"),
        ("~nosuchuser/events", "the user behind ~ does not exist here; write the whole path"),
    ],
)
def test_paths_of_the_file_sink(tmp_path, path, words):
    file = tmp_path / "config.yaml"
    text = GOOD.replace("./events", path)
    for mark in PLACES.values():
        text = text.replace(f" {mark}}}", "}")
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(file, {})
    assert f"sinks.file.path (config.yaml line 8): {words}" in str(caught.value)
