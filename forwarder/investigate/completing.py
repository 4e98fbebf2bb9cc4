"""Ids and addresses that begin so, for the completion of a shell: from the index alone, which is quick.

Names are not offered. A shell puts what is completed into the command line, where a name such as `$(…)` would be run:
only ids, addresses and keys of harmless letters are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.investigate import duck
from forwarder.investigate.parts import NAMES, Index

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MOST = 40

_HARMLESS = r"[A-Za-z0-9][A-Za-z0-9._@:+-]*"
_FIND = """
select "value" from read_parquet($files) where entity in (select unnest($entities)) and kind in ('id', 'email', 'key')
  and starts_with(lower("value"), lower($beginning)) and regexp_full_match("value", $harmless)
group by "value" order by max(kind = 'email') desc, sum(events) desc, "value" limit $most
"""


def beginnings(index: Path, entities: Sequence[str], beginning: str) -> list[str]:
    """Return what begins so, addresses first and the most frequent first; nothing without an index."""
    found = Index(index)
    with found.reading():
        parts = found.parts()
        files = [str(path) for path in found.files(parts, NAMES)]
        if not files:
            return []
        with duck.scratch() as scratch, duck.connect(scratch, threads=1) as connection:
            from duckdb import Error  # noqa: PLC0415 - an extra

            values = {
                "files": files,
                "entities": list(entities),
                "beginning": beginning,
                "harmless": _HARMLESS,
                "most": MOST,
            }
            try:
                return [value for (value,) in duck.ask(connection, _FIND, values).rows]
            except Error as error:  # the question itself shows the error; the shell has no place for one
                if not duck.is_damage(error):
                    raise
                return []
