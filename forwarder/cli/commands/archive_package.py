"""`archive verify-package`: checks a package of evidence, without the archive that it is of."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from forwarder.archive.package import contents
from forwarder.archive.package.checking import check_package
from forwarder.archive.verdict import KINDS
from forwarder.cli.commands.archive import head_of, key_id, show_verdict
from forwarder.cli.terminal import print_json, print_line, show_rows
from forwarder.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def verify_package(
    file: Path, *, signers: Sequence[str], keys: Sequence[str], heads: Sequence[str], as_json: bool
) -> ExitCode:
    """Check a package; OK when nothing is other than it was packed. Raises ConfigError for what is no package."""
    found = asyncio.run(
        check_package(
            file,
            heads=[head_of(head) for head in heads],
            known_keys={key_id(key, "--key") for key in keys},
            signers={key_id(key, "--signer") for key in signers},
        )
    )
    if as_json:
        shown = {name: getattr(found, name) for name in found.__struct_fields__}
        print_json({"package": str(file), "intact": not found.findings, **shown})
    else:
        rows = [
            ["package", str(file)],
            ["files", str(found.files)],
            ["signed by", found.signer or "no one"],
            ["lines", f"{found.lines}, of which {found.proven_lines} are in objects that a digest names"],
            ["digests", f"{found.digests}, {found.since} to {found.until}" if found.digests else "none"],
            ["keys", ", ".join(found.keys) or "none"],
        ]
        show_rows(rows)
        print_line()
        show_verdict(found.proven, found.not_proven, found.findings, {**KINDS, **contents.KINDS})
    return ExitCode.UNEXPECTED if found.findings else ExitCode.OK
