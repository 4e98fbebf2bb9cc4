"""What must not leave the spool towards a sink, or towards a person who looks at what that sink refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.contracts.privacy import preset
from forwarder.normalize.lenient import Unreadable
from forwarder.records.privacy.kinds import may_be_own
from forwarder.records.privacy.policy import Privacy, unreadable
from forwarder.records.privacy.pseudonyms import Pseudonyms
from forwarder.records.privacy.records import PrivateRecords
from forwarder.records.privacy.redaction import Redaction
from forwarder.records.privacy.rules import odd_paths
from forwarder.records.privacy.words import Sight, sight_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from forwarder.contracts import SinkConfig
    from forwarder.contracts.privacy import PrivacyConfig

__all__ = [
    "Privacy",
    "PrivateRecords",
    "Pseudonyms",
    "Redaction",
    "Sight",
    "build_privacy",
    "may_be_own",
    "odd_paths",
    "privacy_of",
    "sight_of",
]


def build_privacy(config: PrivacyConfig, *, often: bool = True) -> Privacy:
    """Return the privacy of a sink; one that is not applied often prepares nothing to be quick."""
    return Privacy(config, Pseudonyms(config.key) if config.key is not None else None, often=often)


def privacy_of(config: SinkConfig | None) -> Callable[[str, bytes], bytes]:
    """Return what a sink's privacy makes of a raw event of a feed that is shown or exported.

    `config` is None for a sink that is no longer configured: nobody knows what it was allowed to see, so it is treated
    as strictly as can be.
    """
    privacy = build_privacy(config.privacy if config is not None else preset("strict"), often=False)

    def shown(feed: str, raw: bytes) -> bytes:
        if not privacy.active:
            return raw
        privacy.look_at_key()
        try:
            return privacy.apply(feed, raw)
        except Unreadable as error:
            return unreadable(error)

    return shown
