"""What `doctor` says of an archive."""

from __future__ import annotations

from pathlib import Path

from forwarder.archive.keys import write_new_key
from forwarder.testing.far_end import context
from sinks.archive.settings import ArchiveConfig
from sinks.archive.sink import ArchiveSink
from tests.sinks.archive.archives import MovedClock, archive_sink


async def probed(folder: Path, **settings: object) -> tuple[bool, str, str]:
    """Return what is found of the digests."""
    config = ArchiveConfig.model_validate({"path": str(folder / "archive"), **settings})
    sink = ArchiveSink(config, context("archive", clock=MovedClock(), render="raw"))  # as doctor does, beside a daemon
    place, digests = await sink.probe()
    await sink.close()
    assert place.ok
    return digests.ok, digests.detail, digests.fix


async def test_it_says_whether_digests_are_signed_and_can_be(tmp_path: Path) -> None:
    key, other = write_new_key(tmp_path / "key.pem"), write_new_key(tmp_path / "other.pem")
    ok, detail, fix = await probed(tmp_path)
    assert (ok, "none yet; they are not signed" in detail, "keygen" in fix) == (True, True, True)
    sink = archive_sink(tmp_path, key_file=str(tmp_path / "key.pem"))
    await sink.finish()
    await sink.close()
    assert await probed(tmp_path, key_file=str(tmp_path / "key.pem")) == (
        True,
        f"1 digests until 2026-01-31T12:00:00Z; signed with the key {key.id}",
        "",
    )
    for settings in ({}, {"key_file": str(tmp_path / "other.pem")}, {"old_key_file": str(tmp_path / "key.pem")}):
        ok, detail, fix = await probed(tmp_path, **settings)
        assert (ok, key.id in detail, "old_key_file" in fix) == (False, True, True)
    rolling = {"key_file": str(tmp_path / "other.pem"), "old_key_file": str(tmp_path / "key.pem")}
    assert await probed(tmp_path, **rolling) == (
        True,
        f"1 digests until 2026-01-31T12:00:00Z; signed with the key {other.id}",
        "",
    )


async def test_a_key_or_a_digest_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    ok, detail, _ = await probed(tmp_path, key_file=str(tmp_path / "none.pem"))
    assert (ok, "none.pem" in detail) == (False, True)
    sink = archive_sink(tmp_path)
    await sink.finish()
    await sink.close()
    [digest] = (tmp_path / "archive/digests").rglob("*.json")
    digest.chmod(0o600)
    digest.write_bytes(b"{}")
    ok, detail, fix = await probed(tmp_path)
    assert (ok, "is not a digest" in detail, "archive verify" in fix) == (False, True, True)
