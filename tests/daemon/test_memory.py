"""Memory that is freed leaves the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LOOK = """
import sys
from pathlib import Path
from forwarder.daemon.memory import give_large_blocks_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

if sys.argv[1] == "yes":
    assert give_large_blocks_back()
bytes(30 << 20)  # the first large block that is freed moves glibc's bound
before = resident()
blocks = [bytes(b"x" * (4 << 20)) for _ in range(20)]
kept = [bytearray(100_000) for _ in range(10)]
first, blocks = blocks[::2], blocks[1::2]
del first
print(before, resident())
"""


@pytest.mark.skipif(sys.platform != "linux" or not Path("/proc/self/statm").exists(), reason="glibc and /proc only")
def test_holes_between_large_blocks_do_not_stay() -> None:
    kept = {}
    for answer in ("yes", "no"):
        done = subprocess.run([sys.executable, "-c", LOOK, answer], capture_output=True, text=True, check=True)
        before, after = map(int, done.stdout.split())
        kept[answer] = after - before
    assert kept["yes"] < 50 << 20
    assert kept["yes"] < kept["no"]


END = """
import resource
import sys
from forwarder.daemon.memory import give_large_blocks_back

if sys.argv[1] == "yes":
    assert give_large_blocks_back()
else:
    import ctypes
    ctypes.CDLL(None).mallopt(-3, 2**20)

def a_page():
    return [bytes(100_000) for _ in range(40)]

a_page()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    a_page()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux" or not Path("/proc/self/statm").exists(), reason="glibc and /proc only")
def test_what_a_page_needs_is_not_given_back_after_each_page() -> None:
    faults = {}
    for answer in ("yes", "no"):
        done = subprocess.run([sys.executable, "-c", END, answer], capture_output=True, text=True, check=True)
        faults[answer] = int(done.stdout)
    assert faults["yes"] < 1000 < faults["no"]  # a page takes some 980 pages of memory


HOLES = """
from pathlib import Path
from forwarder.daemon.memory import give_holes_back

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

blocks = [bytes(b"x" * 100_000) for _ in range(400)]
blocks = blocks[::2]  # what is freed lies between what is kept, and never at the end
before = resident()
give_holes_back()
print(before - resident())
"""


@pytest.mark.skipif(sys.platform != "linux" or not Path("/proc/self/statm").exists(), reason="glibc and /proc only")
def test_holes_between_small_blocks_are_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 15 << 20  # of the 20 MB that are freed
