"""Which changed values are nobody's to read."""

import pytest

from forwarder.normalize.secret_values import is_secret, readable, without_secrets

SECRET = [
    "password", "SMTP password", "newPassword", "Client secret", "client_secret", "API token", "apiToken", "access-token", "api key",
    "apiKey", "API_KEY", "Private key", "SSH keys", "SigningKey", "license key", "webhook secret", "credentials", "PIN", "Passwort",
    "Mot de passe", "contraseña", "пароль", "パスワード", "密码", "bind_password_value", "jira.change.mail.password", "Personal access token",
]  # fmt: skip
NOT_SECRET = [
    "Key", "Project key", "Issue key", "space.key", "Name", "Full name", "Email", "keyboard", "Monkey", "Pinned", "spinner", "Status",
    "Token name", "Password policy", "token_id", "Token expiry", "apiTokenLabel", "", "Keynote", "Group", "Permission",
]  # fmt: skip
LOOKS = [
    "ATATT3xFfGF0abcdefghijklmnop", "-----BEGIN RSA PRIVATE KEY-----\nMII", "Bearer abcdefghijklmnopqrstuv", "AKIAABCDEFGHIJKLMNOP",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc", "postgres://bo:hunter22@db.example.com/x", "ssh-rsa " + "A" * 60,
]  # fmt: skip


@pytest.mark.parametrize("name", SECRET)
def test_a_field_that_is_a_secret_has_no_value(name):
    assert is_secret(name)
    assert readable("hunter2", secret=is_secret(name)) is None


@pytest.mark.parametrize("name", NOT_SECRET)
def test_other_fields_keep_theirs(name):
    assert not is_secret(name)
    assert readable("WEB", secret=is_secret(name)) == "WEB"


@pytest.mark.parametrize("value", LOOKS)
def test_what_looks_like_a_secret_is_one_whatever_its_field_is_called(value):
    assert readable(value, secret=False) is None
    assert without_secrets({"details": [value]}) == {"details": [None]}


def test_whether_there_is_one_may_be_read():
    assert readable("Enabled", secret=True) == "Enabled"
    assert readable("", secret=True) is None
    assert readable(None, secret=False) is None


def test_a_tree_loses_its_secrets_and_nothing_else():
    tree = {"a": 1, "auth": {"password": "x", "token": {"deep": 1}, "secret": False}, "list": ["https://example.com/a"]}
    assert without_secrets(tree) == {
        "a": 1, "auth": {"password": None, "token": None, "secret": False}, "list": ["https://example.com/a"],
    }  # fmt: skip


def test_a_tree_may_be_deep():
    tree: object = "x"
    for _ in range(500):
        tree = [tree]
    assert "x" not in str(without_secrets(tree))


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ('{"user": "bo", "password": "hunter2"}', '{"user":"bo","password":null}'),
        ('{"user": "bo"}', '{"user": "bo"}'),
        ('[{"apiToken": "t", "n": 1}]', '[{"apiToken":null,"n":1}]'),
        ('{"details": "{\\"secret\\": \\"x\\"}"}', '{"details":{"secret":null}}'),
        ("password=hunter2; user=bo", None),
        ("{broken", "{broken"),
        ("Browse projects", "Browse projects"),
    ],
)
def test_a_secret_within_a_value_is_one(value, kept):
    assert readable(value, secret=False) == kept
