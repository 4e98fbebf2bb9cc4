"""The chart as helm sees it: linted, rendered, refused."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.helm.tools import PROJECT, Tools

CHART = PROJECT / "helm" / "audit-forwarder"
CI_VALUES = sorted((CHART / "ci").glob("*-values.yaml"))
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
MINIMAL = CHART / "ci" / "minimal-values.yaml"
RELEASE, NAMESPACE = "audit-forwarder", "audit"


class RefusedError(Exception):
    """Helm renders nothing; the message is its own."""


class StrictLoader(yaml.CSafeLoader):
    """Refuses a key that comes twice: of two values for one field, no one knows which one a cluster takes."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key) for key, _ in node.value]  # type: ignore[no-untyped-call]
        twice = {key for key in keys if keys.count(key) > 1}
        assert not twice, f"twice in one mapping: {twice}, {node.start_mark}"
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


@dataclass(frozen=True)
class Rendered:
    """What helm made of the chart; `text` as it is, `manifests` by kind."""

    text: str

    @property
    def documents(self) -> list[dict[str, Any]]:
        found = [one for one in yaml.load_all(self.text, StrictLoader) if one]
        names = [(one["kind"], one["metadata"]["name"]) for one in found]
        assert len(set(names)) == len(names)
        return found

    @property
    def manifests(self) -> dict[str, dict[str, Any]]:
        """Return the object of each kind that bears the name of the release; the others have something behind it."""
        documents = sorted(self.documents, key=lambda one: len(one["metadata"]["name"]), reverse=True)
        return {one["kind"]: one for one in documents}

    def named(self, kind: str, end: str) -> dict[str, Any]:
        """Return the object of a kind whose name ends so."""
        (found,) = [one for one in self.documents if one["kind"] == kind and one["metadata"]["name"].endswith(end)]
        return found

    @property
    def pods(self) -> list[dict[str, Any]]:
        """Return what every pod is made of: of the StatefulSet, of the Job and of the test."""
        specs = [one["spec"] for one in self.documents if one["kind"] in {"StatefulSet", "Job", "Pod"}]
        return [spec["template"]["spec"] if "template" in spec else spec for spec in specs]

    @property
    def pod(self) -> dict[str, Any]:
        pod: dict[str, Any] = self.manifests["StatefulSet"]["spec"]["template"]["spec"]
        return pod

    @property
    def container(self) -> dict[str, Any]:
        container = self.pod["containers"][0]
        assert container["name"] == "audit-forwarder"
        assert isinstance(container, dict)
        return container

    @property
    def config(self) -> str:
        config: str = self.manifests["ConfigMap"]["data"]["config.yaml"]
        return config


class Helm:
    """Runs helm without the settings of whoever runs the tests."""

    def __init__(self, tools: Tools, folder: Path) -> None:
        self._program = str(tools.helm)
        self._folder = folder

    def lint(self, values: Path) -> str:
        return self._run("lint", "--strict", str(CHART), "--values", str(values))

    def package(self, folder: Path) -> Path:
        """Pack the chart as a registry gets it."""
        self._run("package", str(CHART), "--destination", str(folder))
        (packed,) = folder.glob("*.tgz")
        return packed

    def render(self, *values: Path, release: str = RELEASE, **more: Any) -> Rendered:
        """Render with values files and, stronger, the tree `more`. Raises RefusedError."""
        files = list(values) or [MINIMAL]
        if more:
            files.append(self._folder / "more-values.yaml")
            files[-1].write_text(json.dumps(more))
        words = [word for file in files for word in ("--values", str(file))]
        return Rendered(self._run("template", release, str(CHART), "--namespace", NAMESPACE, *words))

    def notes(self, *values: Path) -> str:
        """Return what helm says to someone who installed the chart."""
        files = [word for file in values or (MINIMAL,) for word in ("--values", str(file))]
        words = ["install", RELEASE, str(CHART), "--namespace", NAMESPACE, *files]
        return self._run(*words, "--dry-run=client").partition("NOTES:")[2]

    def _run(self, *words: str) -> str:
        env = {"PATH": os.environ["PATH"], "HOME": str(self._folder)}
        done = subprocess.run([self._program, *words], env=env, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RefusedError(done.stderr + done.stdout)
        return done.stdout
