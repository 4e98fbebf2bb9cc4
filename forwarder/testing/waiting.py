"""Waiting for a condition: an end of its own, and a failure that says what was awaited and where things stood."""

from __future__ import annotations

import asyncio
import inspect
import linecache
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

LONGEST = 90.0
"""Seconds after which a wait was in vain: many times what anything takes, and less than the time a test has."""


async def until(
    holds: Callable[[], Any],
    *,
    watch: Callable[[], object] = lambda: None,
    shown: Callable[[], str] = str,
    every: float = 0.01,
    within: float = LONGEST,
) -> Any:
    """Wait until `holds` returns something true, which is returned.

    Args:
        holds: The condition, a function or a coroutine function.
        watch: Called before each look again; raises when waiting has no sense any more.
        shown: What the failure shows besides the condition, such as the end of a log.
        every: Seconds between two looks.
        within: Seconds after which it is an AssertionError.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + within
    while True:
        found = holds()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        watch()
        if loop.time() > end:
            raise AssertionError(f"waited {within:g} s in vain for {describe(holds)}\n{shown()[-4000:]}".rstrip())
        await asyncio.sleep(every)


def describe(holds: Callable[..., object]) -> str:
    """Return where a condition is written, how it reads and what it looks at."""
    function = inspect.unwrap(holds)
    if not isinstance(function, FunctionType):
        return repr(holds)
    code = function.__code__
    lines = [linecache.getline(code.co_filename, code.co_firstlineno + more) for more in range(_height(code))]
    text = " ".join(line.strip() for line in lines if line.strip())
    seen = inspect.getclosurevars(function).nonlocals
    looks_at = "".join(f"\n  {name} = {_short(value)}" for name, value in sorted(seen.items()))
    return f"{code.co_filename}:{code.co_firstlineno}: {text}{looks_at}"


def _height(code: CodeType) -> int:
    return max(line for *_, line in code.co_lines() if line is not None) - code.co_firstlineno + 1


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 -- a double may be in any state by now
        text = f"<repr failed: {error!r}>"
    return text if len(text) <= 400 else f"{text[:400]}... ({len(text)} characters)"
