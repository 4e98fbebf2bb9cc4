"""What `check` says of the port that receives before it is opened."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trustme
import yaml

from forwarder.config.problems import SettingsError
from forwarder.config.settings import load
from forwarder.preflight import certain_to_fail
from forwarder.preflight.receiver import taken_receiver_port
from forwarder.preflight.ways import unusable_tls
from tests.receiving.sending import SECRET, guard_detect


def settings(folder: Path, sources: dict | None = None, **receiver: object):
    tree = {
        "spool": {"path": str(folder / "state" / "spool.db")},
        "sources": sources or {"alerts": guard_detect()},
        "sinks": {"out": {"type": "file", "path": str(folder / "out.ndjson")}},
        "receiver": receiver,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return load(path)


def refused(folder: Path, *args: object, **more: object) -> str:
    with pytest.raises(SettingsError) as caught:
        settings(folder, *args, **more)
    return str(caught.value)


def test_beyond_loopback_it_speaks_tls_or_says_that_a_proxy_does(tmp_path):
    for listen in ("0.0.0.0:9465", "[::]:9465", "forwarder.example.com:9465", "192.0.2.7:9465"):
        assert "without TLS the secrets come in the clear" in refused(tmp_path, listen=listen)
        settings(tmp_path, listen=listen, insecure=True)
        settings(tmp_path, listen=listen, cert_file="cert.pem")
    for listen in ("127.0.0.1:9465", "[::1]:9465", "localhost:9465"):
        settings(tmp_path, listen=listen)
    without = {"org": {"type": "organization", "org_id": "a-1", "api_key": "k" * 20}}
    settings(tmp_path, without, listen="0.0.0.0:9465")  # nothing receives


@pytest.mark.parametrize(
    ("receiver", "message"),
    [
        ({"listen": "127.0.0.1:9464"}, "the port of admin.listen"),
        ({"listen": "9465"}, "not an address and port"),
        ({"key_file": "key.pem"}, "cert_file is not"),
        ({"max_body": "9GB"}, "max_body"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
    ],
)
def test_a_port_that_cannot_be_is_named(tmp_path, receiver, message):
    assert message in refused(tmp_path, **receiver)


@pytest.mark.parametrize(
    ("webhook", "message"),
    [
        ({"path": "alerts"}, "path"),
        ({"path": "/a?b=c"}, "path"),
        ({"path": "/a/"}, "path"),
        ({"header": "a b"}, "header"),
        ({"secret": " "}, "secret"),
        ({"token": "x"}, "token"),
    ],
)
def test_a_webhook_that_cannot_be_is_named(tmp_path, webhook, message):
    assert message in refused(tmp_path, {"alerts": guard_detect(**webhook)})


def test_a_missing_secret_and_settings_of_sources_that_are_asked_are_refused(tmp_path):
    source = guard_detect()
    del source["webhook"]["secret"]
    assert "webhook.secret" in refused(tmp_path, {"alerts": source})
    assert "nothing is asked for" in refused(tmp_path, {"alerts": {**guard_detect(), "since": "1d"}})
    assert "webhook" in refused(tmp_path, {"alerts": {"type": "guard_detect", "org_id": "a-1"}})


def test_two_sources_have_two_paths(tmp_path):
    other = {**guard_detect(path="/webhook/alerts"), "org_id": "another"}
    assert "alerts receives at /webhook/alerts already" in refused(tmp_path, {"alerts": guard_detect(), "b": other})


def test_a_secret_that_can_be_guessed_is_named_wherever_it_stands(tmp_path):
    file = tmp_path / "secret"
    file.write_text("fifteen-letters")
    webhooks = [{"secret": "short"}, {"previous_secret": "short"}, {"previous_secret_file": str(file)}]
    fields = ["secret", "previous_secret", "previous_secret_file"]
    for webhook, field in zip(webhooks, fields, strict=True):
        problems = certain_to_fail(settings(tmp_path, {"alerts": guard_detect(**webhook)}))
        assert [problem.path for problem in problems] == [f"sources.alerts.webhook.{field}"]
        assert "short" not in problems[0].what.replace("too few", "")
        assert problems[0].fix
    assert certain_to_fail(settings(tmp_path, {"alerts": guard_detect(previous_secret=SECRET)})) == []


def test_a_port_that_another_program_has_is_named(tmp_path, dead_port):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = settings(tmp_path, listen=f"127.0.0.1:{other.getsockname()[1]}")
        [problem] = taken_receiver_port(taken)
    assert problem.path == "receiver.listen"
    assert "admin.listen" not in str(problem)
    assert problem.fix
    assert list(taken_receiver_port(settings(tmp_path, listen=f"127.0.0.1:{dead_port}"))) == []


def test_a_certificate_and_another_key_are_named(tmp_path):
    first, second = (trustme.CA().issue_cert("localhost") for _ in range(2))
    cert, key, wrong = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "wrong.pem"
    first.cert_chain_pems[0].write_to_path(cert)
    first.private_key_pem.write_to_path(key)
    second.private_key_pem.write_to_path(wrong)
    assert list(unusable_tls(settings(tmp_path, cert_file=str(cert), key_file=str(key)))) == []
    [problem] = unusable_tls(settings(tmp_path, cert_file=str(cert), key_file=str(wrong)))
    assert problem.path == "receiver.key_file"
    missing = certain_to_fail(settings(tmp_path, cert_file=str(tmp_path / "none"), key_file=str(key)))
    assert [problem.path for problem in missing] == ["receiver.cert_file"]
