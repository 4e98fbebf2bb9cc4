"""A process that has used a bucket ends as it should, at once, whatever is on its way."""

from __future__ import annotations

import socket
import subprocess
import sys

LAST = """
import asyncio
from obstore.store import MemoryStore
from forwarder.archive.stores.bucket import BucketStore
memory = MemoryStore()
store = BucketStore("s3://x", lambda: memory)
async def main():
    await store.create("a", b"x")
    await store.list("")
asyncio.run(main())
"""
STALLED = """
import asyncio
import sys
from forwarder.archive.stores import open_store
from forwarder.archive.stores.settings import BucketConfig
config = BucketConfig(endpoint=sys.argv[1], access_key_id="a", secret_access_key="b", path_style=True, timeout=3600)
store = open_store("s3://bucket", config)
async def main():
    asking = asyncio.create_task(store.create("a", b"x"))
    await asyncio.sleep(0)
    asking.cancel()
asyncio.run(main())
"""


def ended(program: str, *words: str) -> int:
    return subprocess.run([sys.executable, "-c", program, *words], timeout=100, check=False).returncode


def test_right_after_an_answer() -> None:
    assert {ended(LAST) for _ in range(8)} == {0}


def test_while_a_request_stalls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as never:
        assert ended(STALLED, f"http://127.0.0.1:{never.getsockname()[1]}") == 0
