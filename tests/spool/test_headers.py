"""Which file is a spool of ours, told by its first bytes and what lies beside it; and a spool that is closed."""

import pytest

from forwarder.spool.contract import Settlement, SpoolError
from forwarder.spool.sqlite import files
from tests.spool.spools import opened


@pytest.mark.parametrize(
    ("size", "valid"),
    [
        (0, False),
        (1, True),
        (2, False),
        (256, False),
        (512, True),
        (513, False),
        (768, False),
        (1024, True),
        (32768, True),
    ],
)
def test_which_page_sizes_there_are(size, valid):
    assert files._page_size_is_valid(bytes(16) + size.to_bytes(2) + bytes(82)) is valid


def header(**changed):
    """Return the first bytes of a spool, some of them changed: `at20=7`."""
    head = bytearray(b"SQLite format 3\x00" + (4096).to_bytes(2) + bytes(3) + b"\x40\x20\x20" + bytes(76))
    head[68:72] = files.APPLICATION_ID.to_bytes(4)
    for at, value in changed.items():
        head[int(at[2:])] = value
    return bytes(head)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (header(), ""),
        (header(at20=7, at24=7), ""),
        (header() + b"more", ""),
        (header()[:99], "header is damaged"),
        (header(at15=1), "not a spool"),
        (header(at21=0), "header is damaged"),
        (header(at23=0), "header is damaged"),
        (header(at17=1), "header is damaged"),
        (header(at68=0), "another program"),
        (header(at71=0), "another program"),
    ],
)
def test_a_file_is_ours_by_its_header(tmp_path, head, words):
    path = tmp_path / "spool.db"
    path.write_bytes(head)
    if words:
        with pytest.raises(SpoolError, match=words):
            files.is_new(path)
    else:
        assert files.is_new(path) is False
    assert path.read_bytes() == head


def test_where_nothing_lies_is_a_new_one_unless_something_says_that_one_is_missing(tmp_path):
    path = tmp_path / "spool.db"
    assert files.is_new(path)
    path.touch()
    assert files.is_new(path)
    log = tmp_path / "spool.db-wal"
    log.touch()
    assert files.is_new(path)
    log.write_bytes(b"x")
    with pytest.raises(SpoolError, match="write-ahead log"):
        files.is_new(path)
    log.unlink()
    files.notice_of(path).touch()
    with pytest.raises(SpoolError, match="moved away"):
        files.judge(path)


@pytest.mark.parametrize("ending", ["", *files.COMPANIONS])
def test_nothing_but_files_may_lie_where_files_of_a_spool_belong(tmp_path, ending):
    path = tmp_path / "spool.db"
    files.beside(path, ending).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SpoolError, match="not a regular file"):
        files.judge(path)


async def test_a_spool_that_is_closed_says_so_to_everyone(tmp_path):
    async with opened(tmp_path) as harness:
        lane = await harness.lane()
        with pytest.raises(SpoolError, match="open already"):
            await harness.spool.open()
        spool = harness.spool
    assert spool.last_turn == 0.0
    await spool.verify()
    await spool.close()
    for asks in (
        spool.status(),
        spool.clean_up(),
        spool.take_again(lane, [(1, 1)]),
        spool.exchange(lane, Settlement(), after=0, events=1),
    ):
        with pytest.raises(SpoolError, match="is not open"):
            await asks
