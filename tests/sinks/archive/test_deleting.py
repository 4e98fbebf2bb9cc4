"""A sink deletes by itself what is older than it is to keep."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from forwarder.archive.kept import KeepsArchive
from forwarder.archive.verify import verify
from forwarder.testing.waiting import until
from sinks.archive.settings import ArchiveConfig
from tests.sinks.archive.archives import NOON, MovedClock, archive_sink, numbers, objects, send

DAY = 86_400


async def test_months_go_when_so_many_are_over_and_the_archive_stays_provable(tmp_path: Path) -> None:
    clock = MovedClock()
    first = archive_sink(tmp_path, clock)
    await send(first, range(1, 4))
    await first.finish()
    await first.close()
    clock.go_on(65 * DAY)
    sink = archive_sink(tmp_path, clock, retain_months=1)
    await send(sink, range(4, 6), read_ms=int((NOON + 65 * DAY) * 1000))
    await sink.finish()
    await until(lambda: len(objects(tmp_path)) == 1)
    assert set(numbers(tmp_path)) == {4, 5}
    assert isinstance(sink, KeepsArchive)
    found = await verify(sink.kept.store)
    assert found.findings == []
    assert any("2026-01" in text for text in found.not_proven)
    await sink.close()


async def test_under_a_hold_nothing_goes(tmp_path: Path) -> None:
    clock = MovedClock()
    first = archive_sink(tmp_path, clock)
    await send(first, range(1, 4))
    await first.finish()
    await first.close()
    (tmp_path / "archive/hold").write_text("case 4711")
    clock.go_on(65 * DAY)
    sink = archive_sink(tmp_path, clock, retain_months=1)
    looked: list[str] = []
    read = sink.kept.store.read

    async def noted(name: str) -> bytes:
        looked.append(name)
        return await read(name)

    sink.kept.store.read = noted  # type: ignore[method-assign]
    await until(lambda: "hold" in looked)
    await sink.close()
    assert len(objects(tmp_path)) == 1
    assert not (tmp_path / "archive/deletions").exists()


@pytest.mark.parametrize("months", [0, -1, 1201, 1.5, "x"])
def test_it_is_a_number_of_months(months: object) -> None:
    with pytest.raises(ValidationError):
        ArchiveConfig.model_validate({"path": "x", "retain_months": months})
