"""Numbers on the command line."""

from __future__ import annotations

import math

import typer


def finite(number: float) -> float:
    """Refuse what passes every bound: `inf` and `nan` are numbers to Python."""
    if not math.isfinite(number):
        raise typer.BadParameter("not a number that ends; write one such as 30")
    return number
