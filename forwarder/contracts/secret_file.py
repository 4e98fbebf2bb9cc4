"""Reads the file of a secret: a regular file, small, one line of text or one object of JSON, and within a few seconds.

Invariant: every failure is an OSError or a ValueError whose words are ours, name no content, and hold the fix behind a
semicolon.
"""

from __future__ import annotations

import json
import os
import stat
import threading
from contextlib import suppress
from pathlib import Path

LARGEST = 64 * 2**10
"""Bytes; the longest token that is known has a few kB."""

PATIENCE = 5.0
"""Seconds: a network file system that hangs must not hang us."""

_NOT_FILES = ("/dev/std", "/dev/fd/", "/proc/", "/sys/")
_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_MARKS = {b"\xef\xbb\xbf": "UTF-8", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}

_WRITE_IT = "write it into a file of its own, and name that"


def read_secret(path: Path) -> str:
    """Return the one line that is in the file. Raises as `read_text` does, also when there are more or none."""
    return one_line(read_text(path))


def read_text(path: Path) -> str:
    """Return what is in the file.

    Raises:
        OSError: It cannot be opened or read.
        ValueError: It is no file that can hold a secret, or does not hold text.
    """
    found: list[bytes | BaseException] = []

    def read() -> None:
        try:
            found.append(_content(path))
        except BaseException as error:  # noqa: BLE001 -- raised again by who waits
            found.append(error)

    reader = threading.Thread(target=read, name="secret file", daemon=True)
    reader.start()
    reader.join(PATIENCE)
    if not found:
        raise TimeoutError(0, f"not read within {PATIENCE:g} s")
    if isinstance(found[0], BaseException):
        raise found[0]
    return _text(found[0])


def one_line(text: str) -> str:
    """Return a secret without white space around it. Raises ValueError when it can be none.

    An object of JSON may have several lines, as Google gives the key of a service account, and is written on one.
    """
    text = text.strip()
    if not text:
        raise ValueError("it is empty; write the secret into it")
    if text.startswith("{") and "\n" in text:
        with suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(text))
    if "\n" in text or "\r" in text:
        raise ValueError("it holds more than one line; leave only the secret in it")
    if not text.isprintable():
        raise ValueError("it holds characters that do not print; write the secret again by hand")
    return text


def refuse_odd(mode: int) -> None:
    """Raise ValueError when the mode is not that of a regular file."""
    if not stat.S_ISREG(mode):
        kind = next((name for is_one, name in _KINDS if is_one(mode)), "no regular file")
        raise ValueError(f"it is {kind}; {_WRITE_IT}")


def expanded(path: Path) -> Path:
    """Return the path with `~` replaced. Raises ValueError when it can be no path."""
    if "\0" in str(path):
        raise ValueError("not a path: it holds a zero byte; write the path again by hand")
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("the user behind ~ does not exist here; write the whole path") from None


def _content(path: Path) -> bytes:
    if str(path).startswith(_NOT_FILES) or os.path.realpath(path).startswith(_NOT_FILES):
        raise ValueError(f"it is not a file that can be read again; {_WRITE_IT}")
    # Without O_NONBLOCK a pipe would wait for its writer; a terminal must not become ours.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        refuse_odd(os.fstat(descriptor).st_mode)
        content = b""
        while len(content) <= LARGEST and (piece := os.read(descriptor, LARGEST + 1 - len(content))):
            content += piece
    finally:
        os.close(descriptor)
    if len(content) > LARGEST:
        raise ValueError(f"it is too large for a secret, more than {LARGEST >> 10} KiB; {_WRITE_IT}")
    return content


def _text(content: bytes) -> str:
    for mark, name in _MARKS.items():
        if content.startswith(mark):
            raise ValueError(f"it begins with a byte order mark of {name}; save it as UTF-8 without one")
    if b"\0" in content:
        raise ValueError("it holds zero bytes; save it as UTF-8 text")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text; save it as UTF-8") from None
