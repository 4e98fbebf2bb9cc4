"""What a command asks before it does what cannot be undone."""

from __future__ import annotations

import sys

from forwarder.cli.terminal import print_line


def agreed(question: str, done: str) -> bool:
    """Ask a person; False when nobody can answer, or the answer is no: then it is said that nothing `done`."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print_line(f"nothing {done}; run again with --yes to do it")
        return False
    answer = input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
    if not answer:
        print_line(f"nothing {done}")
    return answer
