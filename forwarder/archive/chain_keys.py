"""The public keys of an archive, and whether they signed: for every check of it, in the same words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.archive import layout
from forwarder.archive.keys import PublicKey
from forwarder.archive.stores import NotStored

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class ChainKeys:
    """Reads each key once, and says of it once what is wrong.

    Args:
        read: Returns what is stored under a name. Raises NotStored.
        find: Is told of a finding: its kind, the name of an object, and how it was seen.
    """

    def __init__(self, read: Callable[[str], Awaitable[bytes]], find: Callable[[str, str, str], None]) -> None:
        self._read = read
        self._find = find
        self._public: dict[str, PublicKey | None] = {}

    async def has_signed(self, key: str, name: str, data: bytes) -> bool:
        """Tell whether the signature beside a digest or record is of its bytes and this key.

        Raises NotStored when there is no signature, and ConfigError without what checks keys.
        """
        signature_name = layout.signature_name(name)
        signature = await self._read(signature_name)
        public = await self.public(key)
        if public is None:
            return False
        if is_right := public.signed(data, signature):
            return is_right
        self._find("signature_wrong", name, f"{signature_name} is not of these bytes and the key {key}")
        return False

    async def public(self, key: str) -> PublicKey | None:
        """Return the key of an id; None when it is not there or is another one. Raises ConfigError as above."""
        if key in self._public:
            return self._public[key]
        self._public[key] = None
        name = layout.key_name(key)
        try:
            public = PublicKey.from_pem(await self._read(name))
        except NotStored:
            self._find("key_missing", name, "nothing that it signed can be checked")
        except ValueError as error:
            self._find("key_wrong", name, str(error))
        else:
            if public.id == key:
                self._public[key] = public
            else:
                self._find("key_wrong", name, f"it is the key {public.id}")
        return self._public[key]
