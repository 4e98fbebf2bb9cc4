"""Values that cannot be meant: examples left as they were, templates that nothing fills in, the wrong kind of key.

They are named before anything is asked. No message repeats a value, since it may be a secret all the same.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from forwarder.config.leaves import leaves
from forwarder.config.problems import Problem, dotted, env_name
from forwarder.contracts.settings import Secret
from forwarder.observe.redaction import SECRET_NAME
from forwarder.preflight.foreign_keys import foreign_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.config.problems import Path as Keys
    from forwarder.config.settings import Settings

_FREE_TEXT = {"fields", "labels", "include", "exclude"}
"""Below these any text may be meant."""

_TEMPLATE = re.compile(
    r"\$\{[^}]*\}|\$\([^)]*\)|\{\{.*?\}\}|\{%.*?%\}|<%.*?%>|^\$[A-Za-z_]\w*$|^%\w+%$|^<[^<>]+>$|^\[[^\[\]]+\]$|^@\w+@$"
    r"|^__\w+__$|^#\{.*\}#?$|%\{[^}]*\}"
)
_ELSEWHERE = re.compile(
    r"(?:env|vault|sops|bao|ssm|awssm|azkv|gcpsm|arn|keyvault|(?:aws-?)?secretsmanager|secretref|doppler|akv):|(?:op|ref\+\w+)://|!(?:vault|env|secret)\b"
    r"|\$ANSIBLE_VAULT|ENC\[|\$env:",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(
    r"(?:change|replace|insert|enter|put|fill|set|paste|add)[-_ ]?(?:me|this|it|in|here|your|the|with|by)\b.*"
    r"|(?:change|replace|enter|paste)(?:me|it|this|your).*"
    r"|your[-_ ]?(?:own[-_ ]?)?(?:api|org|admin|splunk|hec|elastic|secret|token|key|pass).*"
    r"|(?:(?:my|the|an?|own|atlassian|org(?:anization)?|api|admin|access|auth|splunk|hec|elastic(?:search)?|secret|bearer"
    r"|token|key|password|value|goes|here|insert|put|enter|replace|change|me|with|it)(?:[-_. ]|$)){2,}"
    r"|to be (?:filled|set|done|defined|replaced|changed|added).*|lorem\b.*|deadbeef+|1234567890?|passw(?:or|0r)d\d*"
    r"|(?:todo|tbd|fixme|placeholder|dummy|example|sample|redacted|hidden|removed|none|null|nil|undefined|n/?a|foo|bar)"
    r"|x{3,}|\*{3,}|\.{3,}|\u2026|-+|_+|\?+|(?P<one>[0-9a-f])(?P=one){7,}|secret[-_ ]?here"
    r"|(?:api[-_ ]?key|token|password|secret)[-_ ]?(?:goes[-_ ]?)?here"
    r"|12345678-1234-1234-1234-123456789012|vuacfgcbcdbkqm-e5aox:ui2lp2axtnmsyakw9tvnnw",
    re.IGNORECASE | re.DOTALL,
)
_MASKED = re.compile(
    r"\.{3}|\u2026|\*{3}|x{6}|(?:replace|change)[-_ ]?me\b|your[-_ ]?(?:api[-_ ]?)?(?:key|token|secret)", re.IGNORECASE
)
_ASSIGNED = re.compile(r"(?:export\s+)?(?:[a-z]{2,12}[-_])*(?:key|token|secret|password)\s*=\s*\S", re.IGNORECASE)
_TEMPLATE_OF_PASSWORDS = re.compile(
    r"\$\{[^}]+\}|\$\([^)]+\)|\{\{.+?\}\}|\{%.+?%\}|<%.+?%>|\$[A-Z][A-Z0-9_]+|%[A-Z][A-Z0-9_]+%"
)
_TEMPLATE_OF_PATHS = re.compile(
    r"\$\{|\$\(|\{\{|\{%|<%|%\{|%[A-Za-z_]\w*%|(?:^|/)\$[A-Za-z_]\w*(?:/|$)|(?:^|/)<[^/<>]+>(?:/|$)"
)
_UNFILLED_TEXT = re.compile(
    r"\$\{[^}]+\}|\$\([^)]+\)|\{\{.+?\}\}|\{%.+?%\}|<%.+?%>|^\$[A-Z][A-Z0-9_]+$|^%[A-Z][A-Z0-9_]+%$"
)
_ZEROS = re.compile(r"(?P<one>[0-9a-fx])(?P=one){7}-((?P=one){4}-){3}(?P=one){12}", re.IGNORECASE)
_SCHEME = re.compile(
    r"(?:bearer|basic|splunk|apikey|token|digest)\s+\S|(?:proxy-)?authorization\s*:|x-api-key\s*:", re.IGNORECASE
)
_QUOTES = re.compile(r"""["'`\u2018\u201c\u00ab\u201e].*["'`\u2019\u201d\u00bb\u201c]""", re.DOTALL)
_PATH = re.compile(
    r"@?(?:/(?:run|etc|var|home|opt|mnt|srv|usr|tmp|root|secrets?|data|app|vault)/|\.{1,2}/|~[\w.-]*/|[A-Z]:\\|file:)\S*"
)
_ADDRESS = re.compile(r"https?://\S*", re.IGNORECASE)

_FILL_IN = "it is an example; put your own value in its place"
_UNFILLED = "it is a template that nothing fills in here; write the value itself"

_NOT_ASCII = "it holds characters that no header can carry; write it again by hand"

_NO_SECRETS: tuple[tuple[Callable[[str], object], str], ...] = (
    (_QUOTES.fullmatch, "the quotes are part of it; leave them out"),
    (_SCHEME.match, "it begins with the word of a header, such as Bearer; leave only the key itself"),
    (_TEMPLATE.search, _UNFILLED),
    (
        _ELSEWHERE.match,
        "it names a place where the secret is kept, and nothing looks there; write the secret, or name its file",
    ),
    (_EXAMPLE.fullmatch, _FILL_IN),
    (_ZEROS.fullmatch, _FILL_IN),
    (_ADDRESS.fullmatch, "it is an address; write the key itself"),
)
_NO_KEYS: tuple[tuple[Callable[[str], object], str], ...] = (
    (_ASSIGNED.match, "it begins with a name and `=`; leave only the key itself"),
    (_MASKED.search, "a part of it is left out or an example; write the whole key"),
)
"""What is said of keys that a machine has made, and not of passwords, which people choose."""

_NAMED = {"org_id", "url", "address", "base_url", "username"}
"""Settings that can hold an example, beside secrets."""


def placeholders_in(settings: Settings) -> list[Problem]:
    """Return a problem for each value that cannot be meant; a secret file that cannot be read is not looked at."""
    problems = []
    for path, value, _ in leaves(settings, ()):
        if isinstance(value, Secret):
            fault = _fault_of(value, path, settings)
            key = dotted(path) if value.path is None else f"{dotted(path)}_file"
        elif isinstance(value, Path) or path[-1] == "path":
            fault, key = _fault_of_path(str(value)), dotted(path)
        elif isinstance(value, str) and path[0] in {"sources", "sinks"} and not _FREE_TEXT & set(map(str, path[2:])):
            fault = _fault_of_text(value, path)
            key = dotted(path)
        else:
            continue
        if fault:
            what, _, fix = fault.partition("; ")
            problems.append(Problem(key, what, fix))
    return problems


def unfilled_texts(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each template among what may be any text: fixed fields, labels, what a filter matches."""
    for path, value, _ in leaves(settings, ()):
        if isinstance(value, str) and _FREE_TEXT & set(map(str, path[2:])) and _UNFILLED_TEXT.search(value):
            what, _, fix = _UNFILLED.partition("; ")
            yield Problem(dotted(path), what, f"{fix}, or set {env_name(path)}")


def example_hosts(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each host of a name that is kept for documentation (RFC 2606, RFC 6761)."""
    for path, value, _ in leaves(settings, ()):
        if isinstance(value, str) and "://" in value and path[0] in {"sources", "sinks"}:
            try:
                host = (urlsplit(value).hostname or "").rstrip(".")
            except ValueError:
                continue
            if re.search(r"(?:^|\.)(?:example(?:\.(?:com|org|net|edu))?|invalid)$", host):
                yield Problem(
                    dotted(path), "a host of examples, where nothing can listen", "write the name of your own"
                )


def fault_of_secret(value: str) -> str:
    """Return what is wrong with a secret and the fix, parted by a semicolon; empty when it may be one."""
    return next((fault for looks_so, fault in _NO_SECRETS if looks_so(value)), "")


def _fault_of(secret: Secret, path: Keys, settings: Settings) -> str:
    try:
        value = secret.reveal()
    except (OSError, ValueError):
        return ""  # named by who looks at the files
    name = str(path[-1])
    if secret.path is None and _PATH.fullmatch(value):
        return f"it is a path, and was taken for the secret itself; name the file as {name}_file"
    if name in {"password", "key_password"}:
        return _fault_of_password(value)
    return _fault_of_key(value, path, settings) or ("" if value.isascii() else _NOT_ASCII)


def _fault_of_key(value: str, path: Keys, settings: Settings) -> str:
    name = str(path[-1])
    if path[0] == "sources" and name == "api_key" and _type_of(settings, path) == "organization":
        return _fault_of_organization_key(value)
    kind = _type_of(settings, path)
    return fault_of_secret(value) or ("" if path[0] == "admin" else foreign_key(value, kind))


def _fault_of_organization_key(value: str) -> str:
    if value.startswith(("ATATT", "ATBB")):
        return (
            "it is the API token of a user, and the audit log wants the API key of an organization; make one in "
            "Atlassian Administration, under Settings, API keys, with the scope read:events:admin"
        )
    if re.fullmatch(r"[^\s:@]+@[^\s:@]+:\S+", value):
        return "it holds an address and a colon; write the organization's API key alone"
    if re.search(r"[^\s:@]+@[^\s:@]+:\S+", _decoded(value)):
        return "it is an address and a token in base64; write the organization's API key alone"
    return (
        fault_of_secret(value)
        or next((fault for looks_so, fault in _NO_KEYS if looks_so(value)), "")
        or foreign_key(value, "organization")
    )


def _fault_of_password(value: str) -> str:
    """Return what is wrong with a text that people choose: `$` and brackets may belong to it."""
    if _TEMPLATE_OF_PASSWORDS.fullmatch(value):
        return _UNFILLED
    return _FILL_IN if _EXAMPLE.fullmatch(value) and not re.fullmatch(r"(?P<one>.)(?P=one)*", value) else ""


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode()
    except ValueError:
        return ""


def _type_of(settings: Settings, path: Keys) -> str:
    if path[0] not in {"sources", "sinks"}:
        return ""
    return getattr(getattr(settings, str(path[0]))[str(path[1])], "type", "")


def _fault_of_path(value: str) -> str:
    if _TEMPLATE_OF_PATHS.search(value):
        return "it is a template that nothing fills in here; write the whole path"
    if re.match(r"[A-Za-z]:[\\/]|\\\\", value) or ("\\" in value and "/" not in value):
        return "it is a path of Windows; write one with slashes, of this machine"
    return ""


def _fault_of_text(value: str, path: Keys) -> str:
    name = str(path[-1])
    if str(path[-2]) == "headers":
        return _fault_of_header(name, value)
    faults = (
        (_TEMPLATE.search(value) or ("://" in value and re.search(r"<[^<>]*>", value)),
         f"{_UNFILLED}, or set {env_name(path)}"),
        (_ZEROS.fullmatch(value) or _is_example(name, value), _FILL_IN),
        (any(SECRET_NAME.search(key) and _EXAMPLE.fullmatch(text) for key, text in _query(value)),
         "a key in its query is an example; put your own value in its place"),
        (name in _NAMED and _QUOTES.fullmatch(value), "the quotes are part of it; leave them out"),
        (name == "org_id" and value.startswith(("ATCTT", "ATATT", "ATBB")),
         "it is a key, not an id; write what stands behind /o/ in the address of Atlassian Administration"),
        (name == "username" and ":" in value,
         "it holds a colon, which no such name can; write the name alone, and what is behind it as password"),
    )  # fmt: skip
    return next((fault for is_so, fault in faults if is_so), "")


def _is_example(name: str, value: str) -> bool:
    return name in {*_NAMED, "path"} and value != "-" and bool(_EXAMPLE.fullmatch(value))


def _fault_of_header(name: str, value: str) -> str:
    """Return what is wrong with a header that names a credential; other headers may say anything."""
    text = re.sub(r"^(?:bearer|basic|splunk|apikey|token)\s+", "", value, flags=re.IGNORECASE)
    if SECRET_NAME.search(name) and not re.search(r"\{(?:second_)?token\}", text):
        return _UNFILLED if _TEMPLATE.search(text) else _FILL_IN if _EXAMPLE.fullmatch(text) else ""
    return ""


def _query(value: str) -> list[tuple[str, str]]:
    return parse_qsl(value.partition("?")[2]) if "://" in value else []
