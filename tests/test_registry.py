"""Components of installed packages: found, imported only when asked for, and broken without harm to others."""

from __future__ import annotations

import re
import subprocess
import sys
from types import MappingProxyType

import pytest

from forwarder.contracts import ConfigError, SinkTraits
from forwarder.registry import (
    FORMATS,
    OWN_DISTRIBUTION,
    SINKS,
    SOURCES,
    BrokenPlugin,
    Registry,
    UnknownType,
    build_format,
    nearest,
)
from tests.packages import SINK, install


def test_our_own_components_are_found_like_a_strangers():
    assert "organization" in SOURCES.names()
    assert {"elasticsearch", "file"} <= set(SINKS.names(distribution=OWN_DISTRIBUTION))
    assert {"ecs", "raw"} <= set(FORMATS.names())
    assert SINKS.names(distribution="somebody-else") == []


@pytest.mark.parametrize("registry", [SOURCES, SINKS, FORMATS], ids=["sources", "sinks", "formats"])
def test_each_of_our_own_components_loads(registry: Registry):
    for name in registry.names(distribution=OWN_DISTRIBUTION):
        assert registry.load(name) is registry.load(name)


def test_unknown_type_names_the_nearest_and_all_known():
    with pytest.raises(UnknownType) as caught:
        SINKS.load("elasticsaerch")
    assert caught.value.nearest == "elasticsearch"
    for name in SINKS.names():
        assert name in str(caught.value)
    with pytest.raises(UnknownType) as caught:
        SINKS.load("qqqqqqqq")
    assert caught.value.nearest is None


@pytest.mark.parametrize(
    ("word", "found"), [("ulr", "url"), ("URL", "url"), ("tzpe", "type"), ("zzzz", None), ("", None)]
)
def test_nearest(word, found):
    assert nearest(word, ["url", "type", "api_key"]) == found


BROKEN = {
    "missing_import": "import surely_not_installed_anywhere",
    "syntax": "class :",
    "exits": "raise SystemExit(3)",
    "fails": "raise RuntimeError('line one\\nline two')",
}


@pytest.mark.parametrize("fault", BROKEN)
def test_broken_package_is_named_with_its_error_and_stops_no_other(tmp_path, monkeypatch, fault):
    module = f"broken_{fault}"
    install(
        tmp_path,
        "brass-band",
        modules={module: BROKEN[fault]},
        points={"sinks": {"tuba": f"{module}:Tuba"}},
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert "tuba" in SINKS.names()
    with pytest.raises(BrokenPlugin) as caught:
        SINKS.load("tuba")
    assert "tuba" in str(caught.value)
    assert "brass-band 1.2" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert SINKS.load("file") is not None


def test_a_class_that_does_not_keep_the_contract_is_broken(tmp_path, monkeypatch):
    install(
        tmp_path,
        "half-done",
        modules={"half_done": "class Half:\n    def send(self): ..."},
        points={"sinks": {"half": "half_done:Half", "gone": "half_done:Nowhere"}},
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BrokenPlugin, match=r"lacks Config, proof, default_format, probe, close"):
        SINKS.load("half")
    with pytest.raises(BrokenPlugin, match="AttributeError"):
        SINKS.load("gone")


DECLARED_BADLY = [
    ("formats", "writes = 'JSON'", "writes"),
    ("formats", "has_timestamp = 'yes'", "has_timestamp"),
    ("formats", "needs_event = None", "needs_event"),
    ("sinks", "max_body = '1MB'", "max_body"),
    ("sinks", "max_body = 0", "max_body"),
    ("sinks", "max_body = True", "max_body"),
    ("sinks", "advice = ['too_large']", "advice"),
    ("sinks", "advice = {'too_large': None}", "advice"),
    ("sinks", "patience = -1", "patience"),
    ("sinks", "unconfirmed = 'they were lost'", "unconfirmed"),
    ("sinks", "wants_event = 1", "wants_event"),
]


@pytest.mark.parametrize(("group", "line", "name"), DECLARED_BADLY, ids=[line for _, line, _ in DECLARED_BADLY])
def test_what_a_component_declares_wrongly_is_named_before_it_is_built(tmp_path, monkeypatch, group, line, name):
    module = "badly_" + re.sub(r"\W", "_", line)
    parts = "\n".join(f"    {part} = None" for part in ("Config", "proof", "default_format", "send", "probe", "close"))
    parts += "\n    def render(self, records): ..."
    install(
        tmp_path,
        "odd-band",
        modules={module: f"class Odd:\n{parts}\n    {line}"},
        points={group: {"odd": f"{module}:Odd"}},
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BrokenPlugin, match=rf"type odd of odd-band 1\.2 declares {name} = .*Traits"):
        (SINKS if group == "sinks" else FORMATS).load("odd")


def test_traits_of_a_class_and_of_what_was_built():
    class Declares:
        max_body = 5
        advice = MappingProxyType({"too_large": "Send less."})

        @property
        def patience(self) -> float:
            return 3

    assert SinkTraits.of(Declares) == SinkTraits(max_body=5, advice={"too_large": "Send less."})
    assert SinkTraits.of(Declares()) == SinkTraits(max_body=5, advice={"too_large": "Send less."}, patience=3.0)
    assert SinkTraits.of(object()) == SinkTraits()


def test_a_type_claimed_twice_is_an_error_that_names_both(tmp_path, monkeypatch):
    for name in ("first-band", "second-band"):
        module = name.replace("-", "_")
        install(tmp_path / name, name, modules={module: SINK}, points={"sinks": {"horn": f"{module}:TrumpetSink"}})
        monkeypatch.syspath_prepend(tmp_path / name)
    with pytest.raises(BrokenPlugin, match=r"first-band 1\.2 and second-band 1\.2"):
        SINKS.load("horn")


def test_names_import_no_component():
    code = (
        "import sys; from forwarder.registry import SINKS, SOURCES; SINKS.names(); SOURCES.names();"
        "bad = [m for m in sys.modules if m.startswith(('sinks', 'forwarder.sources', 'httpx', 'pydantic'))];"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_format_without_a_place_for_the_original_says_so():
    assert build_format("raw") is not None
    with pytest.raises(ConfigError, match="raw has no place for the original"):
        build_format("raw", original=True)
