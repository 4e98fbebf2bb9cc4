"""What the page about tamper evidence shows can be done as it stands, and it names every finding."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import msgspec
import yaml

from forwarder.archive.digest import Digest
from forwarder.archive.package import contents
from forwarder.archive.verdict import KINDS
from sinks.archive.settings import ArchiveConfig
from tests.archive.verifiers import build, copy

PAGE = (Path(__file__).parents[2] / "docs" / "tamper-evidence.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


async def test_an_archive_is_checked_by_hand_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    archive = await build(tmp_path / "keys")
    folder = copy(archive.store, tmp_path / "archive")
    by_hand = "".join(blocks("sh")[-4:])

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-e", "-u", "-c", by_hand], cwd=folder, capture_output=True, text=True, check=False
        )

    done = run()
    assert done.returncode == 0, done.stderr
    first, second, verified, key = done.stdout.split("\n")[:4]
    assert first == second
    assert verified == "Signature Verified Successfully"
    assert key == archive.old.id
    [changed, *_] = sorted((folder / "evidence").rglob("*.zst"))
    changed.write_bytes(changed.read_bytes()[:-1] + b"\0")
    assert run().returncode != 0


def test_every_finding_and_every_member_of_a_digest_is_explained() -> None:
    table = PAGE.partition("## What a check finds")[2]
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE)) == {**KINDS, **contents.KINDS}
    for member in msgspec.structs.fields(Digest):
        if member.encode_name != "v":
            assert f"`{member.encode_name}`" in PAGE


def test_the_settings_are_as_they_are_written() -> None:
    [block] = blocks("yaml")
    assert ArchiveConfig.model_validate(yaml.safe_load(block)["sinks"]["evidence"]).retain_months == 24
