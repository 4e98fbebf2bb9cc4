"""What a valid configuration refers to: other parts of itself, and files. Nothing here writes or connects."""

from __future__ import annotations

import urllib.request
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from forwarder.config.leaves import leaves
from forwarder.config.problems import Problem, dotted
from forwarder.contracts.secret_file import expanded, refuse_odd
from forwarder.contracts.settings import Secret, WebhookConfig
from forwarder.net.addresses import is_loopback
from forwarder.net.urls import goes_in_the_clear
from forwarder.observe.redaction import ABOUT_A_SECRET, SECRET_NAME
from forwarder.registry import FORMATS, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from forwarder.config.problems import Path as Keys
    from forwarder.config.settings import Settings

_LONG = 16
"""So long a value in the query of a URL may be a key."""


def cross_references(settings: Settings) -> Iterator[tuple[Keys, str, str]]:
    """Yield (path, what, fix) for names that nothing bears, and for plain HTTP to another machine."""
    for name, source in settings.sources.items():
        if source.budget is not None and source.budget not in settings.budgets:
            guess = nearest(source.budget, settings.budgets)
            fix = f"did you mean {guess}?" if guess else "define it under budgets, or leave this out"
            yield ("sources", name, "budget"), "no request budget has this name", fix
    yield from _receiver(settings)
    formats = FORMATS.names()
    for name, sink in settings.sinks.items():
        if sink.format is not None and sink.format not in formats:
            guess = nearest(sink.format, formats)
            fix = f"{f'did you mean {guess}? ' if guess else ''}known formats: {', '.join(formats)}"
            yield ("sinks", name, "format"), "unknown format", fix
    for path, value, owner in leaves(settings, ()):
        ours = isinstance(value, str) and path[0] in {"sources", "sinks"} and path[-1] != "proxy"
        if ours and goes_in_the_clear(value) and not getattr(owner, "insecure", False):
            yield path, "http:// to another machine sends secrets in the clear", "use https://, or set insecure: true"


def webhooks_of(settings: Settings) -> dict[str, WebhookConfig]:
    """Return the webhook of each source that receives events, by its name."""
    found = {name: getattr(source, "webhook", None) for name, source in settings.sources.items()}
    return {name: webhook for name, webhook in found.items() if isinstance(webhook, WebhookConfig)}


def _receiver(settings: Settings) -> Iterator[tuple[Keys, str, str]]:
    """Yield what is wrong with the port of the sources that receive, and with their paths."""
    webhooks = webhooks_of(settings)
    first: dict[str, str] = {}
    for name, webhook in webhooks.items():
        path = webhook.path_of(name)
        other = first.setdefault(path, name)
        if other != name:
            yield ("sources", name, "webhook", "path"), f"{other} receives at {path} already", "give each its own path"
    if not webhooks:
        return
    receiver, admin = settings.receiver, settings.admin
    if not (is_loopback(receiver.address[0]) or receiver.cert_file or receiver.insecure):
        fix = "set cert_file, listen on 127.0.0.1 behind a proxy, or set insecure: true when a proxy ends TLS before it"
        yield ("receiver", "listen"), "beyond loopback without TLS the secrets come in the clear", fix
    if receiver.address[1] and receiver.address[1] == admin.address[1]:
        yield ("receiver", "listen"), "the port of admin.listen", "write another port, such as 127.0.0.1:9465"


def secrets_of(settings: Settings) -> list[Secret | str]:
    """Return every secret, so that it can be kept out of what is shown.

    Also those that are written as plain text: in a header, in the query of a URL, in the URL of a proxy.
    """
    found: dict[Secret | str, None] = {}
    for path, value, _ in leaves(settings, ()):
        if isinstance(value, Secret):
            found[value] = None
        elif isinstance(value, str):
            found |= dict.fromkeys(_secrets_in(str(path[-1]), value))
    for proxy in urllib.request.getproxies_environment().values():
        found |= dict.fromkeys(_secrets_in("", proxy))
    return list(found)


def _secrets_in(name: str, value: str) -> Iterator[str]:
    if SECRET_NAME.search(name) and not ABOUT_A_SECRET.search(name):
        yield value
        yield value.rpartition(" ")[2]  # behind `Bearer`
    userinfo, at, _ = value.partition("://")[2].partition("/")[0].rpartition("@")
    if at:
        yield userinfo
        yield unquote(userinfo.partition(":")[2])
    for key, given in parse_qsl(value.partition("?")[2]) if "://" in value else ():
        if SECRET_NAME.search(key) or len(given) >= _LONG:
            yield given


def unreadable_files(settings: Settings) -> list[Problem]:
    """Return a problem for every secret file and TLS file that is missing, odd, empty or not for us to read."""
    problems = []
    for path, value, _ in leaves(settings, ()):
        name = str(path[-1])
        if isinstance(value, Secret) and value.path is not None:
            file, key = value.path, f"{dotted(path)}_file"
            read: Callable[[], Any] = value.reveal
        elif isinstance(value, Path) and name.endswith("_file"):
            file, key = expanded(value), dotted(path)
            read = partial(_look_into, file)
        else:
            continue
        try:
            read()
        except OSError as error:
            problems.append(_unreadable(key, file, error))
        except ValueError as error:
            what, _, fix = str(error).partition("; ")
            problems.append(Problem(key, f"{file} cannot be used: {what}", fix))
    return problems


def _look_into(file: Path) -> None:
    refuse_odd(file.stat().st_mode)
    with file.open("rb") as opened:
        if not opened.read(1):
            raise ValueError("it is empty; write it again")


def _unreadable(key: str, file: Path, error: OSError) -> Problem:
    if _looks_like_a_secret(file):
        instead = key.rpartition(".")[2].removesuffix("_file")
        return Problem(key, "not a path, it looks like the secret itself", f"write it as {instead}, or name its file")
    reason = error.strerror or type(error).__name__
    fix = "write it, or correct the path" if isinstance(error, FileNotFoundError) else "let this user read it"
    return Problem(key, f"{file} cannot be used: {reason}", fix)


def _looks_like_a_secret(file: Path) -> bool:
    text = file.name
    if len(file.parts) != 1 or "." in text[-6:]:
        return False
    return text.startswith(("ATATT", "ATCTT")) or (len(text) >= _LONG and any(map(str.isdigit, text)))
