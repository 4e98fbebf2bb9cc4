"""Imports libraries without the parts of them that are of no use here."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_one_at_a_time = threading.RLock()
"""Two threads in such a block would take what the other hid for what was there before."""


@contextmanager
def without(*optional: str) -> Iterator[None]:
    """Import a library as it is imported where optional modules are not installed, which it can do without.

    This holds for what is first imported in the block; afterwards the optional modules can be imported as before.

    Args:
        optional: Names of modules, each of which the library tries to import, with another way on ImportError.
    """
    with _one_at_a_time:
        before = {name: sys.modules[name] for name in optional if name in sys.modules}
        hidden: dict[str, Any] = dict.fromkeys(optional)  # None: the import fails (Language Reference, 5.3.1)
        sys.modules.update(hidden)
        try:
            yield
        finally:
            for name in optional:
                del sys.modules[name]
            sys.modules.update(before)
