"""Credentials of another product, known by their form: they are refused wherever they are sent, and logged there."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from forwarder.config.leaves import leaves
from forwarder.config.problems import Problem, dotted
from forwarder.contracts.settings import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.config.settings import Settings

_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
_SITES = {"jira", "confluence"}
_ADDRESS_AND_TOKEN = re.compile(r"[^\s:@]+@[^\s:@]+:\S+")
_ID_AND_KEY = re.compile(r"[\w-]{20}:[\w-]{22}")

_FOREIGN: tuple[tuple[str, frozenset[str], str], ...] = (
    (r"AT(?:ATT|CTT)3|ATBB", frozenset({"organization", "http"}), "a key of Atlassian"),
    (r"gh[opsur]_|github_pat_", frozenset({"http"}), "a token of GitHub"),
    (r"glpat-", frozenset({"http"}), "a token of GitLab"),
    (r"xox[abeprs]-", frozenset({"http"}), "a token of Slack"),
    (r"A(?:KI|SI)A[0-9A-Z]{16}$", frozenset({"http"}), "an access key of AWS"),
    (r"-----BEGIN ", frozenset(), "a key or certificate in PEM"),
)
"""What a key begins with, the types of components that may have it, and what it is."""


def foreign_key(value: str, kind: str) -> str:
    """Return what is wrong with a key of a component of type `kind`, and the fix behind a semicolon; or nothing.

    Components of packages that are not known here may take any key.
    """
    if kind in _SITES:
        return _not_of_an_account(value) or next(
            (
                f"it is {what}, which is not what is asked for here; write the API token of the account"
                for begins, _, what in _FOREIGN[1:]
                if re.match(begins, value)
            ),
            "",
        )
    if kind not in {"organization", "elasticsearch", "splunk_hec", "http", "syslog"}:
        return ""
    for begins, takes, what in _FOREIGN:
        if kind not in takes and re.match(begins, value):
            return f"it is {what}, which is not what is asked for here; write the one of this component"
    if kind in {"organization", "splunk_hec"} and _ID_AND_KEY.fullmatch(value):
        return "it is an API key of Elasticsearch; write the one of this component"
    return ""


def _not_of_an_account(value: str) -> str:
    """Return what is wrong with the API token of an account, and the fix behind a semicolon; or nothing."""
    if value.startswith("ATCTT"):
        return "it is the API key of an organization; write an API token of the account in email"
    if value.startswith("ATBB"):
        return "it is a password for Bitbucket; write an API token of the account in email"
    if _ADDRESS_AND_TOKEN.fullmatch(value):
        return "it holds the address and a colon; write the token alone, and the address as email"
    if _ADDRESS_AND_TOKEN.fullmatch(_decoded(value)):
        return "it is address and token in base64; write the token alone, and the address as email"
    return ""


def odd_keys(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each key whose form is not the usual one of its component."""
    for path, value, _ in leaves(settings, ()):
        if not isinstance(value, Secret) or path[0] not in {"sources", "sinks"}:
            continue
        kind = getattr(getattr(settings, str(path[0]))[str(path[1])], "type", "")
        usual = _USUAL.get((kind, str(path[-1]).removesuffix("_next")))
        try:
            if usual is not None and usual[0](value.reveal()):
                key = dotted(path) if value.path is None else f"{dotted(path)}_file"
                yield Problem(key, usual[1], "see that this is the right one")
        except (OSError, ValueError):  # named by who looks at the files
            continue


def keys_twice(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each key that is to follow itself: when it ends, nothing takes over."""
    for name, source in settings.sources.items():
        seen: set[str] = set()
        for credential in source.credentials:
            try:
                text = credential.secret.reveal()
            except (OSError, ValueError):  # named by who looks at the files
                continue
            if text in seen:
                key = credential.setting if credential.secret.path is None else f"{credential.setting}_file"
                fix = "make a new one, or leave this out"
                yield Problem(f"sources.{name}.{key}", "it is the same as the one that it follows", fix)
            seen.add(text)


def _is_not_of_elasticsearch(value: str) -> bool:
    for text in (value, _decoded(value)):
        before, colon, behind = text.partition(":")
        if colon and before and behind:
            return False
    return not value.startswith("essu_")


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except ValueError:
        return ""


_USUAL: dict[tuple[str, str], tuple[Callable[[str], object], str]] = {
    ("organization", "api_key"): (
        _UUID.fullmatch,
        "it has the form of an id, as organizations and tokens of Splunk have",
    ),
    **dict.fromkeys(
        ((kind, "token") for kind in sorted(_SITES)),
        (_UUID.fullmatch, "it has the form of an id, as clouds and organizations have"),
    ),
    ("elasticsearch", "api_key"): (_is_not_of_elasticsearch, "it is neither `id:key` nor the encoded form of that"),
}
