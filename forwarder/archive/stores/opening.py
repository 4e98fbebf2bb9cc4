"""From what a person writes to the place that it names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from forwarder.archive.stores.local import LocalStore
from forwarder.contracts.errors import ConfigError

if TYPE_CHECKING:
    from forwarder.archive.stores.settings import BucketConfig
    from forwarder.archive.stores.store import Store


def open_store(place: str, bucket: BucketConfig | None = None, *, mode: int = 0o440) -> Store:
    """Return the store that a path or URL names; nothing is touched yet. Raises ConfigError.

    Args:
        place: A path, or `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`.
        bucket: How the bucket is reached; by default as the environment says.
        mode: Permissions of new objects in a folder.
    """
    if "://" not in place:
        return LocalStore(Path(place).expanduser().absolute(), mode)
    from forwarder.archive.stores.bucket import (  # noqa: PLC0415 -- clients of HTTP come with it
        BucketStore,
        connector,
        parts_of,
        region_of,
    )
    from forwarder.archive.stores.s3_history import S3History  # noqa: PLC0415 -- so do clients of HTTP
    from forwarder.archive.stores.settings import BucketConfig  # noqa: PLC0415 -- the models of settings take long

    config = bucket or BucketConfig()
    kind, name, prefix = parts_of(place)
    if (misplaced := config.misplaced(kind)) is not None:
        raise ConfigError(f"bucket.{misplaced} is not for {kind}://; leave it out")
    history = S3History(config, name, prefix, region_of(config)) if kind == "s3" else None
    return BucketStore(f"{kind}://{name}/{prefix}".rstrip("/"), connector(kind, name, prefix, config), history)
