"""Installs a small package into a folder, the way pip leaves it: modules and a dist-info with entry points."""

from __future__ import annotations

from pathlib import Path

SINK = '''
from typing import ClassVar
from forwarder.contracts import Delivery, Secret, SinkConfig

class TrumpetConfig(SinkConfig):
    """Blows a trumpet."""

    type: str
    tune: str
    """What to play."""
    note: Secret | None = None
    """A secret note."""

class TrumpetSink:
    Config: ClassVar = TrumpetConfig
    proof = "none"
    default_format = "raw"
    target = "trumpet"

    def __init__(self, config, context):
        if config.tune == "explode":
            raise RuntimeError(f"cannot play {config.note.reveal() if config.note else ''}")

    async def send(self, batch):
        return Delivery.all_accepted(batch)

    async def probe(self):
        return []

    async def close(self):
        pass
'''


def install(folder: Path, name: str, *, modules: dict[str, str], points: dict[str, dict[str, str]]) -> Path:
    """Write the package and return the folder to put on the path."""
    folder.mkdir(parents=True, exist_ok=True)
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
    info = folder / f"{name.replace('-', '_')}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    lines = [
        f"[audit_forwarder.{group}]\n" + "\n".join(f"{k} = {v}" for k, v in of.items()) for group, of in points.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder
