"""From an answer to a package of evidence: its faces, and where the lines stand that it counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.archive.package import contents
from forwarder.archive.package.writing import Answer, LinePlace, Packed, write_package
from forwarder.contracts import ConfigError
from forwarder.investigate.faces import heading
from forwarder.investigate.faces.as_csv import as_csv
from forwarder.investigate.faces.as_html import as_html
from forwarder.investigate.faces.as_json import as_dict
from forwarder.investigate.moments import Clock

if TYPE_CHECKING:
    from pathlib import Path

    from forwarder.archive.keys import SigningKey
    from forwarder.investigate.questions.answer import Archive
    from forwarder.investigate.result import Result

_PLACES = "select evidence, line, id from asked where evidence is not null order by t, evidence, line"


def refuse_files(archive: Archive) -> None:
    """Raise ConfigError where there is no archive: files have no digests."""
    if archive.reader is None:
        raise ConfigError("--sign makes a package of an archive; files of events have no digests that prove anything")


def pack(
    archive: Archive, result: Result, file: Path, key: SigningKey, *, with_objects: bool
) -> Packed | None:  # fmt: skip
    """Write the package of an answer; return None where there is nothing to prove: nobody, or several, match.

    Raises ConfigError, Held and Retryable as `write_package`.
    """
    refuse_files(archive)
    assert archive.reader is not None  # noqa: S101 -- for mypy: refused above
    if result.subject.id is None:
        return None
    clock, run = Clock(result.question.zone), result.run
    places = [LinePlace(name, line, ident or "") for name, line, ident in archive.tables.ask(_PLACES).rows]
    answer = Answer(
        faces={
            contents.REPORT: as_html(result).encode(),
            contents.RESULT: msgspec.json.format(msgspec.json.encode(as_dict(result)), indent=2) + b"\n",
            contents.TABLE: as_csv(result).encode(),
        },
        places=places,
        question="; ".join(
            (heading.asked(result), f"{result.question.kind} {result.question.who}", heading.window(result, clock))
        ),
        case=run.case or "",
        reason=run.reason or "",
        made=f"{clock.full(run.at_ms)} by {run.by} on {run.host}, audit-forwarder {run.version}",
    )
    return archive.reader.run(lambda store: write_package(file, store, answer, key, with_objects=with_objects))
