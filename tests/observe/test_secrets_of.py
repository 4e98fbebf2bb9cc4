"""What counts as a secret of a configuration, and what may be seen of texts that were shortened."""

import pytest

from forwarder.config.references import secrets_of
from forwarder.config.settings import load
from forwarder.contracts.text import plain, shorten
from forwarder.observe.redaction import Redactor
from forwarder.observe.status_json import report_to_dict
from tests.observe.reports import full_report

CONFIG = """
sources: {acme: {type: organization, org_id: 7d5a6a0e-1c55-4b92-9a37-0a4ad7a3c1aa, api_key: of-the-source}}
sinks:
  hook:
    type: http
    url: https://siem.example.com/in?code=of-the-query-1&sig=0123456789abcdefghij
    headers: {X-Api-Key: of-the-header, Authorization: Bearer of-authorization, X-Env: production-1}
    http: {proxy: "http://us%65r:of%2Dthe-proxy@proxy.example.com:3128"}
"""


@pytest.fixture
def redactor(tmp_path, monkeypatch) -> Redactor:
    monkeypatch.setenv("HTTPS_PROXY", "http://u:of-the-environment@proxy.example.com")
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    settings = load(path, {})
    return Redactor(lambda: secrets_of(settings))


@pytest.mark.parametrize(
    "secret",
    [
        "of-the-source",
        "of-the-header",
        "of-authorization",
        "0123456789abcdefghij",
        "of-the-proxy",
        "of%2Dthe-proxy",
        "of-the-environment",
    ],
)
def test_secrets_are_known_wherever_they_are_written(redactor, secret):
    assert secret not in redactor.text(f"the server says {secret} is wrong")


def test_other_texts_are_no_secrets(redactor):
    text = "siem.example.com, proxy.example.com, production-1, X-Env, 7d5a6a0e-1c55-4b92-9a37-0a4ad7a3c1aa"
    assert redactor.text(text) == text


@pytest.mark.parametrize("cut", [shorten, plain])
def test_a_text_is_not_cut_inside_a_word(cut):
    text = " ".join(f"word-{number:04}" for number in range(100))
    for limit in range(40, 60):
        shown = cut(text, limit).partition("…")[0].split()
        assert shown == text.split()[: len(shown)]
        assert len(shown) >= 2
        assert len(" ".join(shown)) <= limit


@pytest.mark.parametrize("cut", [shorten, plain])
def test_a_text_that_is_one_long_word_is_cut_all_the_same(cut):
    assert cut("x" * 1000, 100).startswith("x" * 99 + "…" if cut is plain else "x" * 100 + "…")
    assert cut("x" * 100, 100) == "x" * 100


def test_the_day_on_which_a_key_ends_is_no_secret(tmp_path):
    """It stands in the times of events as well, and who must renew the key has to see it."""
    path = tmp_path / "config.yaml"
    dates = (
        "api_key_expires_at: 2027-01-31, api_key_next: of-the-next-key, api_key_next_expires_at: 2027-06-30T12:00:00Z"
    )
    path.write_text(CONFIG.replace("api_key: of-the-source", f"api_key: of-the-source, {dates}"))
    settings = load(path, {})
    redactor = Redactor(lambda: secrets_of(settings))
    text = "api_key ends on 2027-01-31, api_key_next at 2027-06-30T12:00:00Z"
    assert redactor.text(text) == text
    assert "of-the-next-key" not in redactor.text("refused: of-the-next-key")


def test_the_status_shows_which_key_is_in_use_and_when_each_ends():
    shown = Redactor().scrub(report_to_dict(full_report()))["sources"][0]
    assert (shown["key_in_use"], shown["credential_ends"]) == ("api_key", "2026-10-22T14:13:20.000Z")
    assert [(key["setting"], key["in_use"], key["days_left"]) for key in shown["keys"]] == [
        ("api_key", True, 31),
        ("api_key_next", False, 90),
    ]


@pytest.mark.parametrize("name", ["api_key", "api_key_next", "X-Token-Expires", "credential", "token_expires_at_home"])
def test_names_that_are_like_it_stay_secret(name):
    assert "2027" not in str(Redactor().scrub({name: "2027-01-31"}))
