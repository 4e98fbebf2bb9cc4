"""Pseudonyms: the same text always gets the same one under one key, and without the key nothing leads back.

HMAC-SHA256 (RFC 2104) over the kind of text and the text, the first 100 bits in base 32. Whoever has no key can neither
resolve a pseudonym nor try names against it. Of the document id beside it that is not true where it is a hash of the
whole event: its feed gives no id, and nothing secret goes into it, as it is the same in every lane.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from forwarder.contracts import Secret

LENGTH = 20
REMEMBERED = 16_384
LONGEST_REMEMBERED = 512
"""Characters of a text whose pseudonym is remembered."""

DOMAIN = "pseudonym.invalid"
"""Where pseudonyms of e-mail addresses live: nowhere (RFC 2606), and every reader still takes them for addresses."""


_is_one = re.compile(rf"(?:name|content)-[a-z2-7]{{{LENGTH}}}|[a-z2-7]{{{LENGTH}}}@pseudonym\.invalid").fullmatch


class Pseudonyms:
    """Makes pseudonyms. Not for use by several threads at once.

    Args:
        key: Its file is looked at when the first pseudonym is wanted, and after `look_again`. When it has changed,
            every text has another pseudonym from then on.
    """

    def __init__(self, key: Secret) -> None:
        self._secret = key
        self._key = ""
        self._looked = False
        self._known: dict[tuple[str, str], str] = {}

    def look_again(self) -> None:
        """Look at the file of the key before the next pseudonym; that takes longer than to look one up."""
        self._looked = False

    def of(self, kind: str, text: str) -> str:
        """Return the pseudonym of a text. `address` ignores case, as people write addresses.

        A pseudonym stays what it is: what a source made private keeps its pseudonyms in every sink. Raises OSError or
        ValueError when the key cannot be read.
        """
        if not self._looked:
            self._look()
        found = self._known.get((kind, text))
        if found is None:
            if _is_one(text):
                return text
            found = self._make(kind, text.casefold() if kind == "address" else text)
            if len(text) <= LONGEST_REMEMBERED:
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                self._known[kind, text] = found
        return found

    def _look(self) -> None:
        key = self._secret.reveal()
        if key != self._key:
            self._key = key
            self._known.clear()
        self._looked = True

    def _make(self, kind: str, text: str) -> str:
        message = f"{kind}\0{text}".encode("utf-8", "surrogatepass")
        digest = hmac.new(self._key.encode(), message, hashlib.sha256).digest()
        letters = base64.b32encode(digest).decode().lower()[:LENGTH]
        return f"{letters}@{DOMAIN}" if kind == "address" else f"{kind}-{letters}"
