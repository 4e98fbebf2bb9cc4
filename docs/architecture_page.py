"""The page of the architecture: the rooms in the order of `pyproject.toml`, and what each of them imports."""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from pathlib import Path

from docs.markdown import code, table

ROOT = Path(__file__).resolve().parent.parent
_IMPORTED = re.compile(r"^\s*(?:from|import) forwarder\.(\w+)", re.MULTILINE)

WAY = """An event goes one way through the rooms; every arrow is a call, nothing comes back but receipts:

```text
Atlassian, or the nodes of a Data Center
   │  sources/<feed>: one request, one page of raw events     │  a webhook: sent to our port, net/listener
   │  and the cursor behind it                                ▼
   ▼                                                       receiving/  whose it is, whether it may be; answered
polling/    decides which cursor asks next,                   │        when it is stored, and not before
   │        and hands the page over                           │
   │  one transaction: page, ids seen, cursor (compare-and-swap), fsync
   ▼                                                          ▼
spool/      keeps what the API sent, byte for byte, numbered without holes
   │  exchange: settle what is done, take what is next
   ▼
delivery/   one lane a sink ⇄ records/: meaning (sources, catalogue) → filter → privacy → formats
   │  sink.send(batch) → accepted · rejected · kept · pending
   ▼
sinks/<type>
```
"""

WHERE = (
    (
        "a new destination",
        "`sinks/<type>.py`, or a folder beside the others; an entry point ([how](write-a-sink.md))",
        "1, and `pyproject.toml`",
    ),
    (
        "a new format",
        "`forwarder/formats/<name>.py`; an entry point ([how](write-a-format.md))",
        "1, and `pyproject.toml`",
    ),
    (
        "a new audit log",
        "`forwarder/sources/<feed>/`: reader and normaliser; an entry point ([how](write-a-source.md))",
        "1 or 2, and `pyproject.toml`",
    ),
    ("a newly known action", "`forwarder/catalogue/known_actions/<product>.tsv`", "1"),
    ("a word of action names", "`forwarder/catalogue/vocabulary.toml`", "1"),
    ("a setting of one sink", "the sink's `Config` model; its docstring becomes the reference", "1"),
    ("a setting of every sink", "`forwarder/contracts/settings.py`, and where it is obeyed", "2"),
    (
        "a metric",
        (
            "`metrics.py` or `source_metrics.py` (the table) and `reports.py` (the number) in `forwarder/observe/`, "
            "and where it is counted"
        ),
        "3; 1 when the number is there",
    ),
    (
        "an alert",
        (
            "`content/prometheus/alerts.yaml`, a firing and a silent case in `content/prometheus/tests/`, "
            "its page in `docs/runbooks/`, and its line in `docs/monitoring.md`"
        ),
        "4",
    ),
    ("a panel of the dashboard", "`docs/dashboard_panels.py`", "1"),
    (
        "what an HTTP status means",
        "`forwarder/net/verdicts.py` (to sinks), `forwarder/sources/refusals.py` (to sources)",
        "1",
    ),
    ("a command", "`forwarder/cli/app.py` (how it is called), `forwarder/cli/commands/<name>.py` (what it does)", "2"),
    (
        "a look at settings before `run`",
        "`forwarder/preflight/<what>.py`, and its line in `forwarder/preflight/__init__.py`",
        "2; 1 beside a look of its kind",
    ),
    ("a check of `doctor`", "the component's `probe`, or `forwarder/doctor.py` when it is about this machine", "1"),
    (
        "a field of ECS",
        (
            "`forwarder/formats/ecs/document.py` (where it stands), `forwarder/formats/ecs/format.py` (from what), "
            "`sinks/elasticsearch/template.py` (its type, when the field is new to it)"
        ),
        "2 or 3",
    ),
    (
        "a fault of the simulated Atlassian",
        "`simulator/faults.py` (its name and parameters), `simulator/effects.py` (what it does)",
        "2",
    ),
)


def architecture() -> str:
    """Return the way of an event, the rooms from top to bottom, and where new things go."""
    rows = []
    for layer in _layers():
        for room in layer:
            below = sorted(_imports(room), key=lambda each: (_order(each), each))
            rows.append([code(room), _first_line(room), ", ".join(map(code, below)) or "-"])
    rooms = table(["Room", "What is in it", "Imports"], rows)
    places = table(["Where do I put …", "Place", "Files"], [list(row) for row in WHERE])
    beside = (
        "\nBesides: a test in the same room of `tests/`; for a sink its far end (`tests/contract/far_ends.py`), for a\n"
        "source its feed (`tests/contract/feeds.py`), with which the clauses of `forwarder/testing` are tried. A\n"
        "source or format of ours has its name in the walls of `pyproject.toml`, too, beside the entry point.\n"
        "`make docs` writes the reference, the schemas and the example, in which a setting without default shows\n"
        "the first of its `examples`.\n"
    )
    walls = (
        "A room imports only rooms that stand below it in this table; rooms of one line do not know each other.\n"
        "`sinks` see `contracts` and `net` only, sources `normalize` and `catalogue` as well; the simulator shares no\n"
        "code with what it tests. `make lint` holds these walls (import-linter, `pyproject.toml`).\n"
    )
    return f"{WAY}\n## Rooms\n\n{walls}\n{rooms}\n## Where do I put …?\n\n{places}{beside}"


@functools.cache
def _layers() -> list[list[str]]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(contract for contract in contracts if contract["type"] == "layers")["layers"]
    return [[name.strip(" ()") for name in layer.replace("|", ":").split(":")] for layer in layers]


def _order(room: str) -> int:
    return next((index for index, layer in enumerate(_layers()) if room in layer), -1)


def _modules(room: str) -> list[Path]:
    folder = ROOT / "forwarder" / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def _first_line(room: str) -> str:
    folder = ROOT / "forwarder" / room
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.splitlines()[0] if text else ""


def _imports(room: str) -> set[str]:
    found: set[str] = set()
    for path in _modules(room):
        found.update(_IMPORTED.findall(path.read_text(encoding="utf-8")))
    return found - {room}
