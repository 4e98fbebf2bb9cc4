"""Values that cannot be meant: examples left as they were, templates that nothing fills in, the wrong kind of key.

They are named before anything is asked. No message repeats a value, since it may be a secret all the same.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from forwarder.config.leaves import leaves
from forwarder.config.problems import Problem, dotted, env_name
from forwarder.contracts.settings import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.config.problems import Path as Keys
    from forwarder.config.settings import Settings

_FREE_TEXT = {"fields", "labels", "include", "exclude"}
"""Below these any text may be meant."""

_TEMPLATE = re.compile(
    r"\$\{[^}]*\}|\$\([^)]*\)|\{\{.*?\}\}|\{%.*?%\}|<%.*?%>|^\$[A-Za-z_]\w*$|^%\w+%$|^<[^<>]+>$|^\[[^\[\]]+\]$|^@\w+@$"
    r"|^__\w+__$|^#\{.*\}#?$"
)
_ELSEWHERE = re.compile(
    r"(?:env|vault|sops|bao|ssm|awssm|azkv|gcpsm|arn|keyvault):|(?:op|ref\+\w+)://|!(?:vault|env|secret)\b"
    r"|\$ANSIBLE_VAULT|ENC\[|\$env:",
    re.IGNORECASE,
)
_EXAMPLE = re.compile(
    r"(?:change|replace|insert|enter|put|fill|set|paste|add)[-_ ]?(?:me|this|it|in|here|your|the|with|by)\b.*"
    r"|(?:change|replace|enter|paste)(?:me|it|this|your).*"
    r"|your[-_ ]?(?:own[-_ ]?)?(?:api|org|admin|splunk|hec|elastic|secret|token|key|pass).*"
    r"|(?:(?:my|the|an?|own|atlassian|org(?:anization)?|api|admin|access|auth|splunk|hec|elastic(?:search)?|secret|bearer"
    r"|token|key|password|value|goes|here|insert|put|enter|replace|change|me|with|it)(?:[-_. ]|$)){2,}"
    r"|(?:todo|tbd|fixme|placeholder|dummy|example|sample|redacted|hidden|removed|none|null|nil|undefined|n/?a|foo|bar)"
    r"|x{3,}|\*{3,}|\.{3,}|\u2026|-+|_+|\?+|(?P<one>[0-9a-f])(?P=one){7,}|secret[-_ ]?here"
    r"|(?:api[-_ ]?key|token|password|secret)[-_ ]?(?:goes[-_ ]?)?here"
    r"|12345678-1234-1234-1234-123456789012|vuacfgcbcdbkqm-e5aox:ui2lp2axtnmsyakw9tvnnw",
    re.IGNORECASE | re.DOTALL,
)
_MASKED = re.compile(r"\.{3}|\u2026|\*{3}|x{6}|(?:replace|change)[-_ ]?me\b", re.IGNORECASE)
_ASSIGNED = re.compile(r"(?:export\s+)?(?:[a-z]{2,12}[-_])*(?:key|token|secret|password)\s*=\s*\S", re.IGNORECASE)
_TEMPLATE_OF_PASSWORDS = re.compile(
    r"\$\{[^}]+\}|\$\([^)]+\)|\{\{.+?\}\}|\{%.+?%\}|<%.+?%>|\$[A-Z][A-Z0-9_]+|%[A-Z][A-Z0-9_]+%"
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


def placeholders(settings: Settings) -> list[Problem]:
    """Return a problem for each value that cannot be meant; a secret file that cannot be read is not looked at."""
    problems = []
    for path, value, _ in leaves(settings, ()):
        if isinstance(value, Secret):
            said = _fault_of(value, path, settings)
            key = dotted(path) if value.path is None else f"{dotted(path)}_file"
        elif isinstance(value, str) and path[0] in {"sources", "sinks"} and not _FREE_TEXT & set(map(str, path[2:])):
            said = _fault_of_text(value, path)
            key = dotted(path)
        else:
            continue
        if said:
            what, _, fix = said.partition("; ")
            problems.append(Problem(key, what, fix))
    return problems


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
    return next((said for looks_so, said in _NO_SECRETS if looks_so(value)), "")


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
    if path[0] == "sources" and name == "api_key" and _type_of(settings, path) == "organization":
        return _fault_of_organization_key(value)
    return fault_of_secret(value)


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
    return fault_of_secret(value) or next((said for looks_so, said in _NO_KEYS if looks_so(value)), "")


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
    return getattr(getattr(settings, str(path[0]))[str(path[1])], "type", "")


def _fault_of_text(value: str, path: Keys) -> str:
    name = str(path[-1])
    if _TEMPLATE.search(value) or ("://" in value and re.search(r"<[^<>]*>", value)):
        return f"{_UNFILLED}, or set {env_name(path)}"
    if _ZEROS.fullmatch(value):
        return _FILL_IN
    if name in _NAMED and _QUOTES.fullmatch(value):
        return "the quotes are part of it; leave them out"
    if name == "org_id" and value.startswith(("ATCTT", "ATATT", "ATBB")):
        return "it is a key, not an id; write what stands behind /o/ in the address of Atlassian Administration"
    if (
        name in {"org_id", "url", "address", "base_url", "username", "path"}
        and _EXAMPLE.fullmatch(value)
        and value != "-"
    ):
        return _FILL_IN
    return ""
