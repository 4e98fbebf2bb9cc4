"""Writes docs/reference, examples/full.yaml, the JSON schema, that of the chart and the rules of `hunt`.

With `--check` it says what is out of date and writes nothing.

What people read about a setting, an option, a metric or an exit code stands once, beside the code that does it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from docs.actions_page import actions
from docs.architecture_page import architecture
from docs.chart_readme import readme
from docs.chart_schema import values_page, values_schema
from docs.commands_page import commands
from docs.dashboard import dashboard
from docs.formats_page import formats
from docs.full_example import full_example
from docs.markdown import table
from docs.settings_page import configuration
from docs.troubleshooting_page import troubleshooting
from forwarder.config.json_schema import json_schema
from forwarder.exit_codes import ExitCode
from forwarder.investigate.hunt.shipped import made
from forwarder.observe.metrics import METRICS

ROOT = Path(__file__).resolve().parent.parent
ALERTS = ROOT / "content" / "prometheus" / "alerts.yaml"
NOTE = "<!-- Written by `make docs` from the code; change it there. -->"


def outputs() -> dict[str, str]:
    """Return every generated file, by its path below the project's root."""
    return {
        "docs/architecture.md": page("Architecture", architecture()),
        "docs/reference/configuration.md": page("Configuration", configuration()),
        "docs/reference/actions.md": page("Actions", actions()),
        "docs/reference/commands.md": page("Commands", commands()),
        "docs/reference/formats.md": page("Formats", formats()),
        "docs/reference/metrics.md": page("Metrics", metrics()),
        "docs/reference/exit-codes.md": page("Exit codes", exit_codes()),
        "docs/reference/troubleshooting.md": page("Troubleshooting", troubleshooting()),
        "docs/reference/chart-values.md": page("Values of the chart", values_page()),
        "content/grafana/audit-forwarder.json": dashboard(),
        **copies(),
        "helm/audit-forwarder/README.md": page("The chart audit-forwarder", readme()),
        "examples/full.yaml": full_example(),
        "forwarder/investigate/hunt/shipped.json": made(),
        "schema/audit-forwarder.schema.json": json.dumps(json_schema(), indent=2) + "\n",
        "helm/audit-forwarder/values.schema.json": json.dumps(values_schema(), indent=2) + "\n",
    }


def copies() -> dict[str, str]:
    """Return the files that the chart has a copy of: it can read only what lies in its own folder."""
    files = "helm/audit-forwarder/files"
    return {
        f"{files}/alerts.yaml": ALERTS.read_text(encoding="utf-8"),
        f"{files}/dashboard.json": dashboard(),
    }


def page(title: str, body: str) -> str:
    """Return a page with its title and the note that it is generated."""
    return f"{NOTE}\n\n# {title}\n\n{body.strip()}\n"


def metrics() -> str:
    """Return the table of metrics."""
    intro = (
        "Served as `/metrics` on `admin.listen`. Label values come from the configuration or from closed sets, never\n"
        "from events. Beside these stand the usual `process_…` and `python_…` metrics.\n"
    )
    rows = [
        [f"`{metric.name}`", metric.type, ", ".join(f"`{label}`" for label in metric.labels) or "-", metric.help]
        for metric in sorted(METRICS, key=lambda metric: metric.name)
    ]
    return f"{intro}\n{table(['Metric', 'Type', 'Labels', 'Meaning'], rows)}"


def exit_codes() -> str:
    """Return the table of exit codes."""
    rows = [[str(int(code)), code.meaning, code.advice] for code in ExitCode]
    return f"The same for every command.\n\n{table(['Code', 'Meaning', 'What to do'], rows)}"


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` compare them; return 1 when one is out of date."""
    stale = []
    for name, content in outputs().items():
        path = ROOT / name
        if path.is_file() and path.read_text(encoding="utf-8") == content:
            continue
        stale.append(name)
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    for name in stale:
        sys.stdout.write(f"{name} {'is out of date; run make docs' if '--check' in arguments else 'written'}\n")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
