"""Which changed values are nobody's to read: passwords, tokens, keys, by the name of their field or by their look.

A field that is a secret keeps its name: that it changed is what the log is for. Its value stays in the raw event only.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from forwarder.normalize.json_texts import unpacked

LONGEST_NAME = 200

DEEPEST = 64
"""Levels of a tree that are looked through; what lies deeper is left out."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W_A-Z]+")

_ANYWHERE = (
    *("password", "passwd", "passphrase", "passcode", "secret", "token", "credential"),
    *("passwort", "kennwort", "mot de passe", "motdepasse", "contraseña", "contrasena", "senha", "wachtwoord", "hasło"),
    *("lösenord", "adgangskode", "parolă", "şifre", "jelszó", "пароль", "секрет", "токен", "パスワード", "トークン"),
    *("密码", "密碼", "令牌", "密钥", "비밀번호", "토큰"),
)
"""Parts of a name that make it one of a secret, in the languages of Atlassian's products."""

_WHOLE_WORDS = frozenset({"pwd", "pin", "otp", "totp", "jwt", "bearer", "cookie", "sharedsecret", "pat", "apikey"})
_KEYS = frozenset({
    "api", "private", "ssh", "signing", "encryption", "access", "license", "licence", "webhook", "deploy", "pgp", "gpg",
    "rsa", "shared", "symmetric", "integration", "consumer", "master", "auth", "authentication", "storage", "aws",
    "hmac", "recovery",
})  # fmt: skip
"""What a key is of that opens something; the key of a project or of an issue opens nothing."""

_ABOUT = frozenset({
    "name", "label", "id", "policy", "policies", "expiry", "expires", "expiration", "length", "type", "owner", "user",
    "scope", "scopes", "status", "enabled", "disabled", "required", "count", "age", "date", "days", "requirement",
    "requirements", "description", "reset", "creation", "created", "deleted", "rotation", "rules", "strength",
    "history",
})  # fmt: skip
"""Last words of the names of what is known of a secret: `Token name`, `Password policy`."""

_LOOKS = re.compile(
    r"-----BEGIN [A-Z ]*(?:PRIVATE KEY|CERTIFICATE|PGP)"
    r"|\b(?:ATATT|ATCTT|ATSTT|ATBB|ATOA)[\w=.-]{16,}"
    r"|\bey[JK][\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|\b(?:Bearer|Basic)\s+[\w+/=.~-]{16,}"
    r"|\bAKIA[A-Z0-9]{16}\b|\bgh[pousr]_\w{30,}|\bglpat-[\w-]{20,}|\bxox[abprs]-[\w-]{10,}"
    r"|\bssh-(?:rsa|ed25519|dss)\s+[\w+/=]{40,}"
    r"|(?i:\b(?:password|passwd|pwd|passphrase|client[_-]?secret|api[_-]?key|access[_-]?token)\s*[=:]\s*\S{4,})"
    r"|[a-z][a-z0-9+.-]*://[^\s/:@]+:[^\s/@]+@",
)
"""Values that open something whatever their field is called."""

_HARMLESS = frozenset({
    "", "true", "false", "yes", "no", "on", "off", "enabled", "disabled", "none", "null", "set", "not set",
})  # fmt: skip
"""Says whether there is one, and not which."""


def is_secret(name: str) -> bool:
    """Say whether a field of this name holds a secret."""
    name = name[:LONGEST_NAME]
    low = name.casefold()
    words = [word.casefold() for word in _WORDS.findall(name)]
    if words and words[-1] in _ABOUT:
        return False
    if any(part in low for part in _ANYWHERE):
        return True
    if not _WHOLE_WORDS.isdisjoint(words):
        return True
    return any(word in {"key", "keys"} and place and words[place - 1] in _KEYS for place, word in enumerate(words))


def readable(value: str | None, *, secret: bool) -> str | None:
    """Return what may be read of a value: nothing of a secret, but whether there is one."""
    if not value:
        return None
    if secret:
        return value if value.strip().casefold() in _HARMLESS else None
    inner = unpacked(value)
    if inner is not value:
        kept = without_secrets(inner)
        return value if kept == inner else msgspec.json.encode(kept).decode()
    return None if _LOOKS.search(value) is not None else value


def without_secrets(tree: Any, depth: int = 0) -> Any:
    """Return plain values without those that stand under the name of a secret or look like one."""
    if depth > DEEPEST:
        return None
    if type(tree) is dict:
        return {name: _member(name, value, depth) for name, value in tree.items()}
    if type(tree) is list:
        return [without_secrets(item, depth + 1) for item in tree]
    if type(tree) is not str or not tree:
        return tree
    inner = unpacked(tree)
    return readable(tree, secret=False) if inner is tree else without_secrets(inner, depth + 1)


def _member(name: str, value: Any, depth: int) -> Any:
    if not is_secret(name) or value is None or type(value) is bool:
        return without_secrets(value, depth + 1)
    return readable(value, secret=True) if type(value) is str else None
