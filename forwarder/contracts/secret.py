"""A secret, as text or from a file that is read again when it changes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from forwarder.contracts.declared import (
    CoreSchema,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PydanticCustomError,
    core_schema,
)
from forwarder.contracts.errors import AuthFailed
from forwarder.contracts.secret_file import one_line, read_secret


class Secret:
    """A secret that never prints itself. From a file it follows the file: a rotated secret needs no restart."""

    def __init__(self, value: str | None = None, *, path: Path | None = None) -> None:
        self._value = value
        self._path = path
        self._stamp: tuple[int, int, int] | None = None

    def reveal(self) -> str:
        """Return the secret. Raises OSError when its file cannot be read and ValueError when it holds none."""
        if self._path is not None:
            found = os.stat(self._path)  # noqa: PTH116 -- one system call on the way of every request
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp != self._stamp:
                self._value, self._stamp = read_secret(self._path), stamp
        if not self._value:
            raise ValueError("it is empty; write the secret into it")
        return self._value

    def present(self, setting: str) -> str:
        """Return the secret, to show it to the other side.

        Args:
            setting: Its name, for the message.

        Raises:
            AuthFailed: Its file cannot be read, or holds none.
        """
        file = f"file that {setting}_file names"
        try:
            return self.reveal()
        except OSError as error:
            reason = f"The {file} cannot be read: {error.strerror or type(error).__name__}."
            raise AuthFailed(reason, fix=f"Fix the {file}; it is read again without a restart.") from None
        except ValueError as error:
            problem, _, fix = str(error).partition("; ")
            raise AuthFailed(f"The {file} cannot be used: {problem}.", fix=f"Fix the {file}: {fix}.") from None

    @property
    def path(self) -> Path | None:
        """The file it comes from, if it does."""
        return self._path

    def __repr__(self) -> str:
        return f"Secret(file={str(self._path)!r})" if self._path else f"Secret('{self.as_json()}')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self._value, self._path) == (other._value, other._path)

    def __hash__(self) -> int:
        return hash(self._path)

    def as_json(self) -> str:
        """Return what stands for it where settings are shown."""
        return "**********"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Accept text or a Secret; print stars."""

        def build(value: Any) -> Secret:
            if isinstance(value, Secret):
                return value
            if not isinstance(value, str) or not value.strip():
                raise PydanticCustomError(
                    "secret", "not a secret; write text, or name a file with the key ending in _file"
                )
            try:
                return cls(one_line(value))
            except ValueError as error:
                problem = str(error).removeprefix("it ")
                raise PydanticCustomError("secret", "{problem}", {"problem": problem}) from None

        return core_schema.no_info_plain_validator_function(
            build, serialization=core_schema.plain_serializer_function_ser_schema(cls.as_json)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe it as a password."""
        return {"type": "string", "format": "password", "writeOnly": True}
