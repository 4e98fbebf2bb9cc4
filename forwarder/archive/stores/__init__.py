"""Where an archive lies: a folder or a bucket, by one protocol."""

from __future__ import annotations

from forwarder.archive.stores.opening import open_store as open_store
from forwarder.archive.stores.store import AlreadyStored as AlreadyStored
from forwarder.archive.stores.store import NotStored as NotStored
from forwarder.archive.stores.store import Readable as Readable
from forwarder.archive.stores.store import Store as Store
from forwarder.archive.stores.store import StoredObject as StoredObject
