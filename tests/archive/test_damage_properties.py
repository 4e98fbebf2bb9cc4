"""Whatever happens to any byte of an archive is found by both verifiers, who say the same of it and never break."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forwarder.archive import layout
from tests.archive.verifiers import Archive, build, by_command, by_script, of_script
from tests.examples import examples

KNOWN: list[Archive] = []


async def honest() -> Archive:
    """Return an archive that is made once, and put back as it was by whoever damages it."""
    if not KNOWN:
        with tempfile.TemporaryDirectory() as folder:
            KNOWN.append(await build(Path(folder)))
    return KNOWN[0]


DAMAGE = st.tuples(
    st.integers(0, 10**6),  # which file
    st.sampled_from(["flip", "cut", "insert", "delete", "other", "double", "rename"]),
    st.integers(0, 10**6),  # where
    st.integers(0, 255),
)


def damaged(data: bytes, how: str, at: int, value: int) -> bytes:
    at %= max(1, len(data))
    if how == "flip":
        return data[:at] + bytes([data[at] ^ (value or 1)]) + data[at + 1 :]
    if how == "cut":
        return data[:at]
    return data[:at] + bytes([value]) + data[at:] if how == "insert" else data + data


async def tried(damage: tuple[int, str, int, int], *, script: bool) -> None:
    archive = await honest()
    before, head, newest = dict(archive.store.kept), archive.head, layout.signature_name(archive.digests[-1])
    try:
        which, how, at, value = damage
        names = sorted(archive.store.files)
        name = names[which % len(names)]
        data = archive.store.files[name]
        if how in {"delete", "rename"}:
            archive.store.put(name, None)
        if how == "rename":
            archive.store.put(name.replace("2026", "2027").replace("/v1/", "/v1/0"), data)
        elif how == "other":
            archive.store.put(name, archive.store.files[names[at % len(names)]])
        elif how != "delete":
            archive.store.put(name, damaged(data, how, at, value))
        is_changed = archive.store.kept != before
        found = await by_command(archive.store, [head])
        is_unfinished = name == newest and how == "delete"
        assert bool(found) == (is_changed and not is_unfinished) or name.startswith(layout.KEYS)
        if script:
            with tempfile.TemporaryDirectory() as folder:
                others = by_script(archive.store, Path(folder) / "copy", [head])
            assert set(others) == of_script(found) or name.startswith(layout.KEYS)
    finally:
        archive.store.kept.clear()
        archive.store.kept.update(before)


@given(DAMAGE)
@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_damage_is_found(damage: tuple[int, str, int, int]) -> None:
    asyncio.run(tried(damage, script=False))


@given(DAMAGE)
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_by_both_and_named_alike(damage: tuple[int, str, int, int]) -> None:
    asyncio.run(tried(damage, script=True))
