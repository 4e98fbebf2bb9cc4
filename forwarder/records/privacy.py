"""What must not leave the spool towards a sink, or towards a person who looks at what that sink refused.

There are no privacy settings yet. This is the one place where they will be applied to what is shown and exported of a
dead letter; what is retried goes through `RecordMaker` as every event does, and has it applied there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from forwarder.contracts import SinkConfig


def privacy_of(config: SinkConfig | None) -> Callable[[bytes], bytes]:
    """Return what a sink's privacy makes of a raw event; `config` is None for a sink that is no longer configured."""
    del config
    return bytes
