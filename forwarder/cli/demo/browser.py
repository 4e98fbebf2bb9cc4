"""Opens a page in the browser of whoever sits at this machine, and of nobody else."""

from __future__ import annotations

import os
import sys
import webbrowser


def open_page(address: str) -> bool:
    """Open the page where a person sees it: from a terminal, with a display; tell whether that was done."""
    if not (sys.stdout.isatty() and (sys.platform == "darwin" or has_display())):
        return False
    try:
        return webbrowser.open(address)
    except webbrowser.Error:
        return False


def has_display() -> bool:
    """Tell whether programs started here have a screen, and this is no session from afar."""
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")) and not os.environ.get("SSH_CONNECTION")
