"""Answers a question of the pages under `/investigate`: `python -m forwarder.cli.answer_page DIR`.

The words of the command come by standard input, so that the list of processes does not show what was asked.
"""

from __future__ import annotations

import sys

from forwarder.cli.app import app
from forwarder.investigate import for_page


def main() -> None:
    """Run the command, which leaves its answer in the folder."""
    name, *words = for_page.words()
    at = 1 if name == "investigate" else 0  # the kind of the question
    app([name, *words[:at], f"--for-page={sys.argv[1]}", *words[at:]], prog_name="audit-forwarder")


if __name__ == "__main__":
    main()
