"""Whatever stands in a configuration, an unknown name is an error with its path, and a secret is in no message."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from forwarder.config.json_schema import json_schema
from forwarder.config.problems import SettingsError
from forwarder.config.settings import load
from tests.examples import examples

COMMON = settings(
    deadline=None,
    max_examples=examples(40),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,11}(_[a-z0-9]{1,6})?", fullmatch=True)
PLACES = [
    (),
    ("spool",),
    ("admin",),
    ("log",),
    ("shutdown",),
    ("budgets", "one"),
    ("sources", "acme"),
    ("sinks", "out"),
]
PLACES += [
    ("sinks", "out", "batch"),
    ("sinks", "out", "retry"),
    ("sources", "acme", "tls"),
    ("sources", "acme", "http"),
]


def good() -> dict:
    return {
        "sources": {"acme": {"type": "organization", "org_id": "org-1", "api_key": "placeholder-key"}},
        "sinks": {"out": {"type": "file", "path": "./out.ndjson"}},
        "budgets": {"one": {}},
    }


def at(tree: dict, path: tuple[str, ...]) -> dict:
    for key in path:
        tree = tree.setdefault(key, {})
    return tree


def known(path: tuple[str, ...]) -> set[str]:
    """Every key that the JSON schema knows anywhere; a name outside of it is unknown everywhere."""
    found: set[str] = set()

    def walk(node) -> None:
        if isinstance(node, dict):
            found.update(node.get("properties", {}))
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(SCHEMA)
    return found


SCHEMA = json_schema()
KNOWN = known(())


def text_of(config: Path, env: dict[str, str] | None = None, **places) -> str:
    with pytest.raises(SettingsError) as caught:
        load(config, env or {}, **places)
    return str(caught.value)


@COMMON
@given(place=st.sampled_from(PLACES), name=NAMES, value=st.none() | st.booleans() | st.integers() | st.text(max_size=5))
def test_an_unknown_key_is_an_error_that_names_its_path(tmp_path, place, name, value):
    assume(name not in KNOWN)
    tree = good()
    at(tree, place)[name] = value
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    assert ".".join((*place, name)) in text_of(path)


@COMMON
@given(place=st.sampled_from(PLACES), name=NAMES, upper=st.booleans())
def test_an_unknown_variable_is_an_error_that_names_it(tmp_path, place, name, upper):
    assume(name not in KNOWN)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(good()))
    variable = "__".join(("FORWARDER", *place, name))
    variable = variable.upper() if upper else variable
    text = text_of(path, {variable: "1"})
    assert variable in text
    assert ".".join((*place, name)) in text


SECRET_TEXT = st.text(string.ascii_letters + string.digits + "*&!%@:#'\"{}[]|>-_.,/?= \\", min_size=8, max_size=30)
WHERE = [
    "api_key",
    "unknown_key",
    "in_a_number",
    "in_a_literal",
    "in_a_list",
    "type",
    "url",
    "plain",
    "token",
    "as_map",
]


@settings(COMMON, max_examples=examples(100))
@given(core=SECRET_TEXT, where=st.sampled_from(WHERE), way=st.sampled_from(["yaml", "raw yaml", "env", "dir", "set"]))
@example(core="*undefined_alias", where="api_key", way="raw yaml")
@example(core="!it's_a_tag", where="api_key", way="raw yaml")
@example(core='"abc\\qdefgh', where="api_key", way="raw yaml")
@example(core="!a!handle_of_tag", where="api_key", way="raw yaml")
def test_no_error_shows_a_planted_secret(tmp_path_factory, core, where, way):
    secret = f"{core}Zq7"
    tmp_path = tmp_path_factory.mktemp("planted")
    path = tmp_path / "config.yaml"
    keys = {
        "api_key": ("sources", "acme", "api_key"),
        "unknown_key": ("sources", "acme", "api_kye"),
        "in_a_number": ("sinks", "out", "window"),
        "in_a_literal": ("log", "level"),
        "in_a_list": ("sinks", "out", "include"),
        "type": ("sinks", "out", "type"),
        "url": ("sources", "acme", "base_url"),
        "plain": ("admin", "listen"),
        "token": ("admin", "token"),
        "as_map": ("admin", "token"),
    }[where]
    tree = good()
    tree["broken"] = 1  # so that there is an error in any case
    value = {secret: secret} if where == "as_map" else f"http://user:{secret}@h" if where == "url" else secret
    env, options = {}, {}
    if way in {"yaml", "raw yaml"}:
        at(tree, keys[:-1])[keys[-1]] = value if way == "yaml" else "PLANTED"
    path.write_text(yaml.safe_dump(tree).replace("PLANTED", secret))
    text = value if isinstance(value, str) else json.dumps(value)
    if way == "env":
        env = {"FORWARDER__" + "__".join(keys).upper(): text}
    elif way == "dir":
        (tmp_path / "__".join(keys)).write_text(text)
        options["secrets_dir"] = tmp_path
    elif way == "set":
        options["overrides"] = [f"{'.'.join(keys)}={text}"]
    shown = text_of(path, env, **options)
    assert secret not in shown
    assert "Zq7" not in shown.replace(str(tmp_path), "")
