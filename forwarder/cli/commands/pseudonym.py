"""`pseudonym`: the pseudonyms of texts, and which text has one, for who has the key."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec

from forwarder.assembly import build_pseudonyms
from forwarder.cli.terminal import print_error, print_line
from forwarder.contracts.errors import ConfigError
from forwarder.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from forwarder.cli.invocation import Invocation

_KINDS = ("name", "address", "content")


def of(invocation: Invocation, sink: str, *, as_json: bool) -> ExitCode:
    """Show the pseudonyms of every text on standard input."""
    keys = _keys(invocation, sink)
    for text in _texts():
        made = {setting: {kind: key(kind, text) for kind in _kinds(text)} for setting, key in keys.items()}
        if as_json:
            print_line(msgspec.json.encode({"text": text, "pseudonyms": made}).decode())
            continue
        for setting, found in made.items():
            for pseudonym in found.values():
                print_line(f"{pseudonym}  {text}  ({setting})")
    return ExitCode.OK


def resolve(invocation: Invocation, pseudonyms: Sequence[str], sink: str, *, as_json: bool) -> ExitCode:
    """Show which of the texts on standard input have these pseudonyms."""
    keys = _keys(invocation, sink)
    wanted = dict.fromkeys(pseudonyms)
    found: dict[str, tuple[str, str]] = {}
    count = 0
    for count, text in enumerate(_texts(), 1):  # noqa: B007 - how many there were is told
        for setting, key in keys.items():
            for kind in _kinds(text):
                pseudonym = key(kind, text)
                if pseudonym in wanted and pseudonym != text:
                    found.setdefault(pseudonym, (text, setting))
    for pseudonym in wanted:
        text, setting = found.get(pseudonym, ("", ""))
        if as_json:
            print_line(
                msgspec.json.encode({"pseudonym": pseudonym, "text": text or None, "key": setting or None}).decode()
            )
        elif text:
            print_line(f"{pseudonym}  {text}  ({setting})")
    if missing := [pseudonym for pseudonym in wanted if pseudonym not in found]:
        print_error(
            f"{len(missing)} of {len(wanted)} are of none of the {count} texts under these keys: {', '.join(missing)}"
        )
        return ExitCode.UNEXPECTED
    return ExitCode.OK


def _keys(invocation: Invocation, sink: str) -> Mapping[str, Callable[[str, str], str]]:
    """Return what makes pseudonyms, by the setting that names its key. Raises ConfigError where there is none."""
    settings = invocation.settings()
    if sink and sink not in settings.sinks:
        raise ConfigError(f"sinks.{sink}: no sink has this name; known: {', '.join(settings.sinks)}")
    keys = build_pseudonyms(settings, sink)
    if not keys:
        raise ConfigError("no key for pseudonyms is set here; name its file as key_file below privacy or redact")
    for setting, key in keys.items():
        try:
            key("name", "")
        except (OSError, ValueError) as error:
            raise ConfigError(f"{setting}: the key cannot be read: {error}") from None
    return keys


def _kinds(text: str) -> Sequence[str]:
    return _KINDS if "@" in text else ("name", "content")


def _texts() -> Iterator[str]:
    for line in sys.stdin:
        if text := line.rstrip("\r\n"):
            yield text
