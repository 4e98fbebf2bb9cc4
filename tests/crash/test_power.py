"""The power fails: nothing that was accepted, exported or opened is gone with the memory of the machine."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forwarder.catalogue.state_files import read_state, write_state
from forwarder.cli.commands import dead_letters
from forwarder.spool.contract import SpoolLost
from forwarder.spool.sqlite.database import Database
from sinks.file import lines as linefile
from sinks.file.lines import Durability, LineFile, Rotation
from tests.clocks import FakeClock
from tests.examples import examples
from tests.spool.power import Killed, Power
from tests.spool.spools import Harness, names, opened

Acts = list[tuple[str, int]]


@contextlib.contextmanager
def powered(root: Path) -> Iterator[Power]:
    with pytest.MonkeyPatch.context() as patch:
        power = Power(root, patch)
        patch.setattr(linefile, "_sync_content", os.fdatasync)
        try:
            yield power
        finally:
            power.close()


def lines_in(folder: Path) -> list[bytes]:
    return [line for file in folder.rglob("*.ndjson") for line in file.read_bytes().splitlines()]


class Writer:
    """A file of lines in lives that follow each other, as the file sink's thread writes it."""

    def __init__(self, folder: Path, durability: Durability, clock: FakeClock) -> None:
        self.path, self._durability, self._clock = folder / "out" / "new" / "events.ndjson", durability, clock
        self.accepted: list[bytes] = []
        self._number = 0
        self.file = self._open()

    def _open(self) -> LineFile:
        return LineFile(self.path, self._durability, Rotation(bytes=300, every=3600), self._clock, "out")

    def append(self, count: int) -> None:
        lines = [b"%06d" % (self._number + more) for more in range(count)]
        self._number += count
        self.file.append(b"".join(line + b"\n" for line in lines))
        self.accepted += lines

    def die(self) -> None:
        """End without a word; the next life begins with what the machine still has."""
        self.file._drop()
        self.file = self._open()

    def finish(self) -> None:
        self.file.close()
        self.file = self._open()


@settings(max_examples=examples(150), suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    acts=st.lists(
        st.tuples(st.sampled_from(["append", "append", "append", "later", "die", "finish"]), st.integers(1, 30)),
        min_size=1,
        max_size=12,
    ),
    killed_at=st.none() | st.integers(1, 12),
)
def test_no_accepted_line_is_lost_with_the_power(
    tmp_path_factory: pytest.TempPathFactory, acts: Acts, killed_at: int | None
) -> None:
    folder = tmp_path_factory.mktemp("power")
    (folder / "live").mkdir()
    clock = FakeClock()
    with powered(folder / "live") as power:
        power.killed_at = killed_at
        writer = Writer(folder / "live", Durability(), clock)
        for act, size in acts:
            try:
                if act == "append":
                    writer.append(size)
                elif act == "later":
                    clock.advance(size * 300)
                else:
                    getattr(writer, act)()
            except Killed:
                writer.die()
        left = lines_in(power.cut(folder / "left"))
        writer.file._drop()
    assert set(writer.accepted) - set(left) == set()


@pytest.mark.parametrize("end", ["close", "rotate", "interval"])
def test_what_is_forced_later_is_forced_before_it_is_out_of_sight(tmp_path: Path, end: str) -> None:
    """With an interval, what was set aside or closed is durable; what is still open is so after the interval."""
    (tmp_path / "live").mkdir()
    clock = FakeClock()
    with powered(tmp_path / "live") as power:
        writer = Writer(tmp_path / "live", Durability("interval", 60), clock)
        writer.append(3)  # the first is forced, as the last time is unknown
        writer.append(3)
        wanted = set(writer.accepted)
        if end == "close":
            writer.finish()
        elif end == "rotate":
            clock.advance(30)
            writer.append(40)
        else:
            clock.advance(60)
            writer.append(1)
        left = set(lines_in(power.cut(tmp_path / "left")))
        writer.file._drop()
    assert wanted - left == set()


def test_an_interval_that_is_not_over_leaves_lines_to_the_power(tmp_path: Path) -> None:
    """The model can lose: without this the others prove nothing."""
    (tmp_path / "live").mkdir()
    clock = FakeClock()
    with powered(tmp_path / "live") as power:
        writer = Writer(tmp_path / "live", Durability("interval", 60), clock)
        writer.append(3)
        writer.append(3)
        left = lines_in(power.cut(tmp_path / "left"))
        writer.file._drop()
    assert left == writer.accepted[:3]


def test_an_export_that_ended_well_is_durable_by_name_and_content(tmp_path: Path) -> None:
    """What was exported may be discarded next."""
    (tmp_path / "live").mkdir()
    with powered(tmp_path / "live") as power:
        with dead_letters._Output(tmp_path / "live" / "letters.ndjson") as export:
            export.write(b'{"id":"1"}\n')
        left = power.cut(tmp_path / "left")
    assert lines_in(left) == [b'{"id":"1"}']


def test_a_state_file_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    live = tmp_path / "live"
    live.mkdir()
    path = live / "learned.json"
    with powered(live) as power:
        write_state(path, ["old"])
        power._note_all(live)
        for killed_at in range(1, 4):
            power.killed_at = power.forced + killed_at
            with contextlib.suppress(Killed):
                write_state(path, ["new"] * 1000)
            left = power.cut(tmp_path / f"left-{killed_at}")
            assert read_state(left / path.name, list[str]) in (["old"], ["new"] * 1000)


async def test_a_new_spool_has_its_name_before_anything_is_in_it(tmp_path: Path) -> None:
    """SQLite forces its own bytes, which is its setting `synchronous`; the names are ours."""
    live = tmp_path / "live"
    live.mkdir()
    with powered(live) as power:
        async with opened(live / "state" / "of" / "it") as harness:
            left = power.cut(tmp_path / "left")
            assert (left / "state" / "of" / "it" / "spool.db").exists()
            await harness.put(*names("a", 5))
            con = harness.spool._parts.database.con
            found = await harness.spool._run(
                lambda _: [con.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")]
            )
            assert found == [2, "wal"], "2 is FULL: each commit is forced to the disk before it is reported"


def test_what_the_last_life_did_not_come_to_force_is_forced_by_the_next(tmp_path: Path) -> None:
    """A spool that was opened is still there after the power failed, wherever an earlier start was killed."""

    def start(live: Path) -> None:
        path = live / "state" / "of" / "it" / "spool.db"
        Database(path, create=True, named=path).close()

    killed_at, ended = 0, False
    while not ended:
        killed_at += 1
        live = tmp_path / f"live-{killed_at}"
        live.mkdir()
        with powered(live) as power:
            power.killed_at = killed_at
            with contextlib.suppress(Killed):
                start(live)
                ended = True
            power.killed_at = None
            start(live)
            left = power.cut(tmp_path / f"left-{killed_at}")
        assert (left / "state" / "of" / "it" / "spool.db").exists(), f"killed at {killed_at}"


@pytest.mark.parametrize(
    "what", ["deleted", "deleted with its folder", "another file is there", "written over", "the folder was moved"]
)
async def test_what_is_kept_of_a_lost_spool_is_kept_for_good(tmp_path: Path, what: str) -> None:
    """The program ends now, and the next start relies on it."""
    live = tmp_path / "live"
    live.mkdir()
    with powered(live) as power:
        harness = await Harness(live / "state").open()
        await harness.put(*names("a", 5))
        path = harness.config.path
        if what == "deleted":
            path.unlink()
        elif what == "deleted with its folder":
            shutil.rmtree(path.parent)
        elif what == "another file is there":
            path.unlink()
            path.write_bytes(b"of another program")
        elif what == "written over":
            path.write_bytes(b"x" * 8192)
        else:
            path.parent.rename(live / "moved")
        with pytest.raises(SpoolLost):
            await harness.put("b")
        await harness.spool.close()
        kept = path.stat().st_ino if path.exists() else 0
        left = power.cut(tmp_path / "left") / "state"
        if what.startswith("deleted"):
            folder = path.parent.stat().st_ino
            assert power._names[live.stat().st_ino]["state"] == (folder, True)
            assert power._names[folder]["spool.db"] == (kept, False), "the copy, and not what was there before"
    found = {name.name.partition("-")[0] for name in left.iterdir()}
    notice = left / "spool.db.missing"
    if what.startswith("deleted"):
        assert "spool.db" in found
    elif what == "another file is there":
        assert "spool.db.lost" in found
    else:
        assert notice.read_text().startswith(f"The spool {path} ")
    assert ("spool.db.lost" in found) is (what in {"another file is there", "written over"})
