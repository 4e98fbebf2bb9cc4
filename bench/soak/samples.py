"""What is looked at while a soak runs: one short sample each time, from outside and from `/metrics`."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil
from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment: seconds since the start, and what the daemon holds then.

    Attributes:
        memory: Resident set of the daemon, bytes.
        handles, threads, tasks: Open file descriptors, threads and tasks of asyncio.
        spool, ids, wal: Bytes of the spool without ids, of the ids, and of the write-ahead log.
        waiting: Events that the slowest sink has still to get.
        spooled: Events spooled since the start.
        cpu: Seconds that the daemon has used.
        harness: Resident sets of this process, of the source and of the far ends, bytes.
        heap, files: Parts of `memory`: the heap of the C library's main arena, and pages of programs and libraries. The
            rest is Python's arenas, large blocks and stacks.
        heap_used, blocks: What is in use of the heap, bytes, and of Python's arenas, blocks: what a leak raises.
    """

    at: float
    memory: int
    handles: int
    threads: int
    tasks: int
    spool: int
    ids: int
    wal: int
    waiting: int
    spooled: int
    cpu: float
    harness: int
    heap: int = 0
    files: int = 0
    heap_used: int = 0
    blocks: int = 0


class Metrics:
    """One page of `/metrics`."""

    def __init__(self, page: str) -> None:
        self._samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]

    def of(self, name: str, **labels: str) -> list[float]:
        """Return the values of a metric, of those samples that have these labels."""
        return [found.value for found in self._samples if found.name == name and labels.items() <= found.labels.items()]

    def sum(self, name: str, **labels: str) -> int:
        return int(sum(self.of(name, **labels)))


def metrics(port: int) -> Metrics:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        return Metrics(answer.read().decode())


class Sampler:
    """Takes samples of one daemon.

    Args:
        daemon: Its process.
        port: Where its metrics are.
        spool: The file of its spool.
        note: The file in which it notes what is in use.
        others: Processes of the harness beside this one.
    """

    def __init__(self, daemon: int, port: int, spool: Path, note: Path, others: list[int]) -> None:
        self._daemon, self._port = psutil.Process(daemon), port
        self._wal = spool.with_name(spool.name + "-wal")
        self._note = note
        self._others = [psutil.Process(pid) for pid in (os.getpid(), *others)]
        self._began = time.monotonic()

    def take(self) -> Sample:
        page = metrics(self._port)
        heap_used, blocks = json.loads(self._note.read_text())
        with self._daemon.oneshot():
            used = self._daemon.cpu_times()
            parts = {part.path: part.rss for part in self._daemon.memory_maps(grouped=True)}
            return Sample(
                at=time.monotonic() - self._began,
                memory=self._daemon.memory_info().rss,
                handles=self._daemon.num_fds(),
                threads=self._daemon.num_threads(),
                tasks=page.sum("forwarder_loop_tasks"),
                spool=page.sum("forwarder_spool_used_bytes"),
                ids=page.sum("forwarder_spool_id_memory_bytes"),
                wal=self._wal.stat().st_size if self._wal.exists() else 0,
                waiting=int(max(page.of("forwarder_sink_lag_events"), default=0)),
                spooled=page.sum("forwarder_source_spooled_events_total"),
                cpu=used.user + used.system,
                harness=sum(process.memory_info().rss for process in self._others),
                heap=parts.get("[heap]", 0),
                files=sum(size for path, size in parts.items() if not path.startswith("[")),
                heap_used=heap_used,
                blocks=blocks,
            )
