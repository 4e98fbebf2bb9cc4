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
MINIMAL = CHART / "ci" / "minimal-values.yaml"
RELEASE, NAMESPACE = "audit-forwarder", "audit"


class RefusedError(Exception):
    """Helm renders nothing; the message is its own."""


class StrictLoader(yaml.SafeLoader):
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
    def manifests(self) -> dict[str, dict[str, Any]]:
        documents = [one for one in yaml.load_all(self.text, StrictLoader) if one]
        found = {document["kind"]: document for document in documents}
        assert len(found) == len(documents)
        return found

    @property
    def pod(self) -> dict[str, Any]:
        pod: dict[str, Any] = self.manifests["StatefulSet"]["spec"]["template"]["spec"]
        return pod

    @property
    def container(self) -> dict[str, Any]:
        (container,) = self.pod["containers"]
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

    def render(self, *values: Path, release: str = RELEASE, **more: Any) -> Rendered:
        """Render with values files and, stronger, the tree `more`. Raises RefusedError."""
        files = list(values) or [MINIMAL]
        if more:
            files.append(self._folder / "more-values.yaml")
            files[-1].write_text(json.dumps(more))
        words = [word for file in files for word in ("--values", str(file))]
        return Rendered(self._run("template", release, str(CHART), "--namespace", NAMESPACE, *words))

    def notes(self) -> str:
        """Return what helm says to someone who installed the chart."""
        words = ["install", RELEASE, str(CHART), "--namespace", NAMESPACE, "--values", str(MINIMAL)]
        return self._run(*words, "--dry-run=client").partition("NOTES:")[2]

    def _run(self, *words: str) -> str:
        env = {"PATH": os.environ["PATH"], "HOME": str(self._folder)}
        done = subprocess.run([self._program, *words], env=env, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RefusedError(done.stderr + done.stdout)
        return done.stdout
