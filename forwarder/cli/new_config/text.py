"""The text of a new configuration: every value quoted, every section with what a person wants to know of it.

Invariant: what is read back from the text are the answers, whatever they hold; tests try that on any text.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.cli.new_config.answers import Answers
    from forwarder.cli.new_config.choices import Choice, Kind

_WIDTH = 100
_ESCAPED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}

_HEAD = """\
# Written by `audit-forwarder init`, and yours from now on.
#
#   audit-forwarder check            is this file sound? after every change
#   audit-forwarder doctor           does everything work from here?
#   audit-forwarder schema           every setting, for an editor

# Where events wait until every sink has them. On a local disk, never on a network file system.
spool:
  path: {spool}
  max_bytes: 2GiB    # when it is full nothing is lost: reading pauses

# Audit logs to read. The names are yours; they are shown everywhere, and stay as they are once the daemon has run.
sources:
"""
_SINKS = """
# Where the events go. Each sink has its own position: one that is down keeps no other waiting.
sinks:
"""
_TAIL = """
# A page that says how it goes, metrics, probes and status, on this machine only. Beyond it, and to act on the
# page, a token is needed: token_file names a file that holds any secret of yours.
admin:
  listen: {listen}
"""


def secret_file(kind: Kind, choice: Choice, setting: str) -> str:
    """Return the name of the file of a secret: that of its setting, so that a secrets directory may hold it, too."""
    return f"{kind}__{choice.name}__{setting}"


def secrets_of(answers: Answers) -> dict[str, bytes]:
    """Return the content of each file of the secrets folder, by name."""
    return {
        secret_file(kind, choice, question.setting): f"{answers.values[kind][question.setting]}\n".encode()
        for kind, choice in answers.choices.items()
        for question in choice.questions
        if question.secret and question.setting in answers.values[kind]
    }


def config_text(answers: Answers, *, state: Path, secrets: Path, listen: str) -> str:
    """Return the YAML.

    Args:
        answers: What to write.
        state: Folder of the spool; absolute.
        secrets: Folder of the secrets; absolute.
        listen: Address of the admin port.
    """
    return "".join(
        [
            _HEAD.format(spool=quoted(str(state / "spool.db"))),
            *_component("sources", answers, secrets),
            _SINKS,
            *_component("sinks", answers, secrets),
            _TAIL.format(listen=quoted(listen)),
        ]
    )


def _component(kind: Kind, answers: Answers, secrets: Path) -> Iterator[str]:
    choice, values = answers.choices[kind], answers.values[kind]
    yield f"  {choice.name}:\n"
    yield f"    type: {choice.type}\n"
    for question in choice.questions:
        if question.setting not in values:
            continue
        for line in textwrap.wrap(question.comment, _WIDTH):
            yield f"    # {line}\n"
        if question.secret:
            yield f"    {question.setting}_file: {quoted(str(secrets / secret_file(kind, choice, question.setting)))}\n"
        else:
            yield f"    {question.setting}: {quoted(values[question.setting])}\n"
    yield from (f"    {line}\n" for line in choice.fixed)
    yield from (f"    # {line}\n" for line in choice.more)


def quoted(text: str) -> str:
    """Write a text as YAML reads it back."""
    return f'"{"".join(map(_char, text))}"'


def _char(char: str) -> str:
    if char in _ESCAPED:
        return _ESCAPED[char]
    return char if char.isprintable() else f"\\U{ord(char):08x}"
