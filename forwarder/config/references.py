"""What a valid configuration refers to: other parts of itself, and files. Nothing here writes or connects."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from pydantic import BaseModel

from forwarder.config.problems import Problem, dotted
from forwarder.errors import ConfigError
from forwarder.fields import Secret
from forwarder.http import check_url
from forwarder.redaction import SECRET_NAME
from forwarder.registry import FORMATS, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.config.problems import Path as Keys
    from forwarder.settings import Settings

_LONG = 16
"""So long a value in the query of a URL may be a key."""


def cross_references(settings: Settings) -> Iterator[tuple[Keys, str, str]]:
    """Yield (path, what, fix) for names that nothing bears, and for plain HTTP to another machine."""
    for name, source in settings.sources.items():
        if source.budget is not None and source.budget not in settings.budgets:
            guess = nearest(source.budget, settings.budgets)
            fix = f"did you mean {guess}?" if guess else "define it under budgets, or leave this out"
            yield ("sources", name, "budget"), "no request budget has this name", fix
    formats = FORMATS.names()
    for name, sink in settings.sinks.items():
        if sink.format is not None and sink.format not in formats:
            guess = nearest(sink.format, formats)
            fix = f"{f'did you mean {guess}? ' if guess else ''}known formats: {', '.join(formats)}"
            yield ("sinks", name, "format"), "unknown format", fix
    for path, value, owner in _leaves(settings, ()):
        ours = isinstance(value, str) and path[0] in {"sources", "sinks"} and path[-1] != "proxy"
        if ours and value.lower().startswith("http://") and _goes_in_the_clear(value, owner):
            yield path, "http:// to another machine sends secrets in the clear", "use https://, or set insecure: true"


def secrets_of(settings: Settings) -> list[Secret | str]:
    """Return every secret, so that it can be kept out of what is shown.

    Also those that are written as plain text: in a header, in the query of a URL, in the URL of a proxy.
    """
    found: dict[Secret | str, None] = {}
    for path, value, _ in _leaves(settings, ()):
        if isinstance(value, Secret):
            found[value] = None
        elif isinstance(value, str):
            found |= dict.fromkeys(_secrets_in(str(path[-1]), value))
    for proxy in urllib.request.getproxies_environment().values():
        found |= dict.fromkeys(_secrets_in("", proxy))
    return list(found)


def _secrets_in(name: str, value: str) -> Iterator[str]:
    if SECRET_NAME.search(name):
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
    """Return a problem for every secret file and TLS file that is missing, empty or not for us to read."""
    problems = []
    for path, value, _ in _leaves(settings, ()):
        said = ""
        file: Path | None = None
        try:
            if isinstance(value, Secret) and value.path is not None:
                file = value.path
                value.reveal()
            elif isinstance(value, Path) and str(path[-1]).endswith("_file"):
                file = value
                with file.open("rb") as opened:
                    said = "" if opened.read(1) else "it is empty"
        except OSError as error:
            said = error.strerror or type(error).__name__
        except UnicodeDecodeError:
            said = "it is not UTF-8 text"
        except ValueError:
            said = "it is empty"
        if said and file is not None:
            key = dotted(path) if str(path[-1]).endswith("_file") else f"{dotted(path)}_file"
            problems.append(Problem(key, f"{file} cannot be used: {said}", "write it, or let this user read it"))
    return problems


def _goes_in_the_clear(url: str, owner: BaseModel | None) -> bool:
    try:
        check_url(url, insecure=bool(getattr(owner, "insecure", False)))
    except ConfigError:
        return True
    return False


def _leaves(value: Any, path: Keys, owner: BaseModel | None = None) -> Iterator[tuple[Keys, Any, BaseModel | None]]:
    """Yield every leaf with its path and the model it belongs to; a nested model belongs to its component too."""
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _leaves(getattr(value, name), (*path, name), value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key), owner)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index), owner)
    else:
        yield path, value, owner
