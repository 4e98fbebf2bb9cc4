"""Settings of the `archive` sink."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from forwarder.archive.stores import Store, open_store
from forwarder.archive.stores.settings import BucketConfig
from forwarder.contracts import ByteSize, Duration, SinkConfig, Within
from forwarder.contracts.declared import BeforeValidator, Field, PydanticCustomError, model_validator


def _octal(value: Any) -> Any:
    """Give back the digits of an unquoted mode, which YAML reads as an octal number."""
    return format(value, "04o") if isinstance(value, int) and not isinstance(value, bool) else value


class ArchiveConfig(SinkConfig):
    """Settings of an `archive` sink. What it writes, and what that proves: docs/archive.md."""

    type: Literal["archive"] = "archive"
    """Which kind of sink this is."""
    path: Annotated[str, Field(min_length=1)] | None = None
    """Folder of the archive."""
    url: Annotated[str, Field(pattern=r"^(s3|gs|az)://[^/\s]+(/\S*)?$")] | None = None
    """Bucket of the archive instead, and a prefix in it: `s3://bucket/prefix`, `gs://bucket/prefix` or
    `az://container/prefix`."""
    bucket: BucketConfig = BucketConfig()
    """How the bucket is reached. What is left out comes from the environment or the role of the machine."""
    every: Annotated[Duration, Within("10ms", "1h")] = 300.0
    """After this time what was gathered is stored, however little it is: what waits until then is still in the
    spool."""
    size: Annotated[ByteSize, Within("4KB", "256MB")] = 8_000_000
    """Size of an object, compressed, from which on it is stored at once. Each source needs up to twice this memory."""
    mode: Annotated[Literal["0400", "0440", "0444", "0600", "0640"], BeforeValidator(_octal)] = "0440"
    """Permissions of an object in a folder."""
    key_file: Path | None = None
    """File of the Ed25519 key that signs the digests (`audit-forwarder archive keygen`); without one they are chained,
    and not signed."""
    old_key_file: Path | None = None
    """File of the key before, while it is replaced: it signs that the new one follows."""
    take_over: str = ""
    """Id of the spool whose archive this one continues, when that spool is gone for good; the refusal names it."""
    retain_months: Annotated[int, Field(ge=1, le=1200)] | None = None
    """How many whole months are kept besides the one that is not over; what is older is deleted, on a signed record.
    By default all is kept. A file `hold` in the archive stops every deletion."""
    confirm_within: Annotated[Duration, Within("10ms", "1d")] = 900.0
    """After this time an event that is not stored is sent again; at least twice `every`."""

    @model_validator(mode="after")
    def _one_place(self) -> ArchiveConfig:
        if (self.path is None) == (self.url is None):
            raise PydanticCustomError("place", "an archive is in one place; set path, or url")
        if self.path is not None and "://" in self.path:
            raise PydanticCustomError("place", "path is a URL; write it as url")
        if self.path is not None and self.bucket != BucketConfig():
            raise PydanticCustomError("place", "bucket is for an archive with a url; leave it out")
        return self

    def open_store(self) -> Store:
        """Return the store of this archive; nothing is touched yet. Raises ConfigError."""
        return open_store(self.path or self.url or "", self.bucket, mode=int(self.mode, 8))

    @model_validator(mode="after")
    def _time_enough(self) -> ArchiveConfig:
        if self.confirm_within < 2 * self.every:
            raise PydanticCustomError("confirm_within", "confirm_within is shorter than twice every; make it longer")
        return self
