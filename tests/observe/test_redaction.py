import hashlib
import json
import os
import re
import urllib.parse

import pytest

from forwarder.contracts import Secret
from forwarder.net.secret_spellings import SHORTEST
from forwarder.observe.redaction import STARS, Redactor

SECRET = "p'a\"s\\s/wörd+ &=\ttab"


@pytest.mark.parametrize(
    "spelling",
    [
        SECRET,
        repr(SECRET),
        ascii(SECRET),
        repr(SECRET.encode()),
        repr({"a": [SECRET]}),
        json.dumps(SECRET),
        json.dumps({"x": SECRET}, ensure_ascii=False),
        urllib.parse.quote(SECRET),
        urllib.parse.quote(SECRET, safe=""),
        urllib.parse.quote_plus(SECRET),
    ],
)
def test_every_spelling_is_taken_out(spelling):
    found = Redactor(lambda: [SECRET]).text(f"before {spelling} after")
    assert STARS in found
    assert found.startswith("before ")
    assert found.endswith(" after")
    for part in ("wörd", "w\\xf6rd", "w\\u00f6rd", "w%C3%B6rd"):
        assert part not in found


@pytest.mark.parametrize("write", [str, str.upper])
def test_a_uuid_without_its_dashes(write):
    token = "3f0c2a9e-77d1-4b58-9c06-e1a2b3c4d5f6"
    assert Redactor(lambda: [token]).text(f"token {write(token.replace('-', ''))} unknown") == f"token {STARS} unknown"


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "proxy-authorization",
        "api_key",
        "apiKey",
        "x-api-key",
        "password",
        "client_secret",
        "token",
        "Set-Cookie",
        "private_key",
        "key_password",
    ],
)
def test_a_name_that_says_secret_hides_any_value(name):
    for value in ("abc", 12, ["abc"], {"x": "abc"}):
        assert Redactor().scrub({"deep": [{name: value}]}) == {"deep": [{name: STARS}]}


def test_harmless_names_and_missing_values_stay():
    event = {"token_file": "/run/secrets/x", "token_id": "t-1", "token": None, "password": True, "action": "user_login"}
    assert Redactor().scrub(event) == event


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("Authorization: Bearer abc", "abc"),
        ("[(b'authorization', b'Basic YWJj')]", "YWJj"),
        ('{"Authorization": "ApiKey q"}', '"ApiKey q"'),
        ("x-api-key=12", "12"),
        ("refused Bearer abcdefghijklmnopqrst here", "abcdefghijklmnopqrst"),
        ("https://user:pw@proxy.example.com:3128/", "user:pw"),
    ],
)
def test_text_that_looks_like_a_credential(text, gone):
    assert gone not in Redactor().text(text)
    assert STARS in Redactor().text(text)


def test_a_header_as_a_pair():
    assert Redactor().scrub([("Authorization", "abc"), (b"Accept", b"x")]) == [
        ["Authorization", STARS],
        ["Accept", "x"],
    ]


def test_plain_words_stay():
    for text in ("the bearer of this, basic auth is refused", "authorization is refused", "https://example.com/a@b"):
        assert Redactor().text(text) == text


def test_numbers_and_keys_can_be_secrets_too():
    assert Redactor(lambda: ["12345678"]).scrub({"x": 12345678, "12345678": 1, "y": 1.5}) == {
        "x": STARS,
        STARS: 1,
        "y": 1.5,
    }


def test_too_short_secrets_are_not_searched_for():
    short = "a" * (SHORTEST - 1)
    assert Redactor(lambda: [short]).text(f"b{short}b") == f"b{short}b"
    assert Redactor(lambda: ["a" * SHORTEST]).text("b" + "a" * SHORTEST) == f"b{STARS}"


def test_a_secret_that_contains_another_goes_whole():
    assert Redactor(lambda: ["abcdef", "abcdefghi"]).text("abcdefghi") == STARS


def test_every_line_of_a_key_in_pem_form():
    pem = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END PRIVATE KEY-----\n"
    found = Redactor(lambda: [pem]).text("  | MIIEvQIBADANBg\n  | kqhkiG9w0BAQEF")
    assert found == f"  | {STARS}\n  | {STARS}"


ACCOUNT_KEY = (
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END PRIVATE KEY-----\n"
)
SHOWN = {
    "as it is": ACCOUNT_KEY,
    "as in JSON": json.dumps(ACCOUNT_KEY)[1:-1],
    "as in JSON in JSON": json.dumps(json.dumps(ACCOUNT_KEY)),
    "by repr": repr(ACCOUNT_KEY),
    "on one line": ACCOUNT_KEY.replace("\n", " "),
    "cut": json.dumps(ACCOUNT_KEY)[1:60],
}


@pytest.mark.parametrize("form", SHOWN)
@pytest.mark.parametrize("known", ["the account", "its key", "nothing"])
def test_the_key_of_a_service_account_by_itself(form: str, known: str):
    """The secret is a JSON file; what is quoted is the key in it, or that of a file that is no setting."""
    account = json.dumps({"type": "service_account", "private_key": ACCOUNT_KEY, "client_email": "a@example.com"})
    secrets = {"the account": [account], "its key": [json.dumps(ACCOUNT_KEY)[1:-1]], "nothing": []}[known]
    for found in (
        Redactor(lambda: secrets).text(f"it says {SHOWN[form]}"),
        Redactor(lambda: secrets).scrub(SHOWN[form]),
    ):
        assert not re.search("MIIE|vQIB|kqhk|AQEF|AASC|AoIB", found)


def test_a_certificate_is_no_secret():
    text = "-----BEGIN CERTIFICATE-----\nMIIDdzCC\n-----END CERTIFICATE-----"
    assert Redactor().text(text) == text


def test_a_rotated_secret_stays_known_and_the_new_one_is_learned(tmp_path):
    path = tmp_path / "token"
    path.write_text("first-token")
    secret = Secret(path=path)
    redactor = Redactor(lambda: [secret])
    assert redactor.text("first-token") == STARS
    path.write_text("second-token")
    os.utime(path, (1, 1))
    assert redactor.text("first-token second-token") == f"{STARS} {STARS}"
    path.unlink()
    assert redactor.text("first-token second-token") == f"{STARS} {STARS}"


def test_one_secret_that_cannot_be_read_does_not_hide_the_others(tmp_path):
    missing = Secret(path=tmp_path / "missing")
    assert Redactor(lambda: [missing, Secret("second-token")]).text("second-token") == STARS
    assert Redactor(lambda: [missing.reveal()]).text("still a line") == "still a line"


def test_only_so_many_old_secrets_are_remembered_and_the_new_ones_always():
    secrets = [hashlib.sha1(b"%d" % number).hexdigest() for number in range(300)]
    now: list[str] = []
    redactor = Redactor(lambda: now)
    for start in range(0, 300, 20):
        now = secrets[start : start + 20]
        assert redactor.text(" ".join(now)) == " ".join([STARS] * 20)
    assert redactor.text(f"{secrets[299]} {secrets[150]} {secrets[0]}") == f"{STARS} {STARS} {secrets[0]}"


def test_what_is_in_use_is_never_forgotten_however_many_there_are():
    many = [f"{number:04}-token" for number in range(300)]
    redactor = Redactor(lambda: many)
    assert redactor.text("0299-token 0150-token 0000-token") == f"{STARS} {STARS} {STARS}"


def test_what_is_shortened_leaves_no_half_secret():
    secret = "SECRETVALUE" * 3
    for lead in range(8150, 8200):
        assert "SECRET" not in Redactor(lambda: [secret]).scrub("x" * lead + secret)


def test_a_text_that_comes_again_is_looked_at_once_and_a_secret_learned_later_is_taken_out_all_the_same() -> None:
    secrets = ["s3cret-value"]
    redactor = Redactor(lambda: secrets)
    looked = []
    clean = redactor._clean
    redactor._clean = lambda text: looked.append(text) or clean(text)  # type: ignore[method-assign]
    rows = [{"name": "acme", "state": "working", "count": 7} for _ in range(1000)]
    assert redactor.scrub(rows, most_items=10**6) == rows
    assert len(looked) == 6
    secrets.append("another-value")
    found = redactor.scrub([["working", "another-value"], "another-value", 5], most_items=9)
    assert found == [["working", STARS], STARS, 5]
