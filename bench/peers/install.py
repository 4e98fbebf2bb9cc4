"""How each peer is had, from the registries that the environment names, into the cache folder outside the repository.

Nothing is installed on the system. What cannot be had raises Unavailable, and is left out of the run, with its reason.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tests.servers import debian
from tests.servers.cache import Cache, Unavailable, run
from tests.servers.golang import Go

GROVE = "2.2.0"
BENTHOS = "4.60.0"
COLLECTOR = "0.160.0"
PROVIDERS = "1.66.0"

BUILD_MINUTES = 20.0
"""A program that takes longer to build is not had."""

_BENTHOS = """package main

import (
	"context"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
)

func main() { service.RunCLI(context.Background()) }
"""

_CONTRIB = "github.com/open-telemetry/opentelemetry-collector-contrib"
_COLLECTOR = f"""package main

import (
	"log"

	"{_CONTRIB}/extension/storage/filestorage"
	"{_CONTRIB}/processor/transformprocessor"
	"{_CONTRIB}/receiver/filelogreceiver"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/envprovider"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
)

func factories() (otelcol.Factories, error) {{
	receivers, err := otelcol.MakeFactoryMap[receiver.Factory](filelogreceiver.NewFactory())
	if err != nil {{
		return otelcol.Factories{{}}, err
	}}
	processors, err := otelcol.MakeFactoryMap[processor.Factory](transformprocessor.NewFactory())
	if err != nil {{
		return otelcol.Factories{{}}, err
	}}
	exporters, err := otelcol.MakeFactoryMap[exporter.Factory](otlphttpexporter.NewFactory())
	if err != nil {{
		return otelcol.Factories{{}}, err
	}}
	extensions, err := otelcol.MakeFactoryMap[extension.Factory](filestorage.NewFactory())
	return otelcol.Factories{{
		Receivers: receivers, Processors: processors, Exporters: exporters, Extensions: extensions,
		Telemetry: otelconftelemetry.NewFactory(),
	}}, err
}}

func main() {{
	files := confmap.ResolverSettings{{
		ProviderFactories: []confmap.ProviderFactory{{fileprovider.NewFactory(), envprovider.NewFactory()}},
		DefaultScheme:     "env",
	}}
	settings := otelcol.CollectorSettings{{
		BuildInfo:              component.BuildInfo{{Command: "collector", Version: "{COLLECTOR}"}},
		Factories:              factories,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{{ResolverSettings: files}},
	}}
	if err := otelcol.NewCommand(settings).Execute(); err != nil {{
		log.Fatal(err)
	}}
}}
"""


def go_floor(cache: Cache) -> Path:
    """Return the floor in Go, built from the folder beside this file."""
    source = Path(__file__).with_name("floor")
    final = cache.folder / f"peer-go-floor-{_digest((source / 'main.go').read_bytes())}"
    return _built(cache, final, lambda go: go.build("floor", ".", module=source)) / "floor"


def grove(cache: Cache) -> Path:
    """Return the Python that has Grove."""
    final = cache.folder / f"peer-grove-{GROVE}"
    if not final.exists():
        run([sys.executable, "-m", "venv", str(final)])
        try:
            pip = [str(final / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            run([*pip, f"grove=={GROVE}"])
        except Unavailable:
            shutil.rmtree(final)
            raise
    return final / "bin" / "python"


def syslog_ng(cache: Cache) -> Path:
    """Return the root of Debian's syslog-ng with its HTTP destination."""
    return debian.unpack(cache, "peer-syslog-ng", ["syslog-ng-core", "syslog-ng-mod-http"])


def rsyslog(cache: Cache) -> Path:
    """Return the root of Debian's rsyslog with its Elasticsearch output."""
    return debian.unpack(cache, "peer-rsyslog", ["rsyslog", "rsyslog-elasticsearch"])


def benthos(cache: Cache) -> Path:
    """Return the core of Benthos, built from its module."""
    wanted = [f"github.com/redpanda-data/benthos/v4/public/service@v{BENTHOS}"]
    return _of_modules(cache, f"peer-benthos-{BENTHOS}", _BENTHOS, wanted)


def collector(cache: Cache) -> Path:
    """Return an OpenTelemetry Collector with what the run needs, built from its modules."""
    parts = ("receiver/filelogreceiver", "processor/transformprocessor", "extension/storage/filestorage")
    wanted = [f"{_CONTRIB}/{part}@v{COLLECTOR}" for part in parts]
    own = ("otelcol", "exporter/otlphttpexporter")
    wanted += [f"go.opentelemetry.io/collector/{part}@v{COLLECTOR}" for part in own]
    wanted += [
        f"go.opentelemetry.io/collector/confmap/provider/{kind}provider@v{PROVIDERS}" for kind in ("env", "file")
    ]
    return _of_modules(cache, f"peer-collector-{COLLECTOR}", _COLLECTOR, wanted)


def _of_modules(cache: Cache, name: str, program: str, wanted: list[str]) -> Path:
    final = cache.folder / f"{name}-{_digest(program.encode())}"

    def build(go: Go) -> None:
        source = go.folder / "source"
        source.mkdir(exist_ok=True)
        (source / "main.go").write_text(program)
        if not (source / "go.mod").exists():
            go.do("mod", "init", "peer", cwd=source)
        go.do("get", *wanted, cwd=source)
        go.do("mod", "tidy", cwd=source)
        go.build("peer", ".", module=source)

    return _built(cache, final, build) / "peer"


def _built(cache: Cache, final: Path, build: Callable[[Go], None]) -> Path:
    with cache.locked(f"-{final.name}"):
        if not final.exists():
            print(f"building {final.name} (once)", flush=True)
            with Go.building(cache, final, minutes=BUILD_MINUTES) as go:
                build(go)
    return final


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
