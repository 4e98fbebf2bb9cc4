"""What `docs/install/container.md` and `helm.md` tell people to write is what helm and the forwarder take."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from forwarder.config.settings import load
from tests.helm.chart import Helm
from tests.helm.tools import PROJECT

PAGE = "".join(
    (PROJECT / "docs" / "install" / name).read_text(encoding="utf-8") for name in ("container.md", "helm.md")
)
CONFIG, VALUES = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)


def test_the_values_render(helm: Helm, tmp_path: Path):
    (tmp_path / "values.yaml").write_text(VALUES)
    rendered = helm.render(tmp_path / "values.yaml")
    assert f"secret generic {yaml.safe_load(VALUES)['existingSecret']} " in PAGE
    name = rendered.manifests["StatefulSet"]["metadata"]["name"]
    assert f"exec {name}-0 -- audit-forwarder status" in PAGE


def test_the_named_secrets_complete_either_configuration(helm: Helm, tmp_path: Path):
    (tmp_path / "values.yaml").write_text(VALUES)
    for config in (CONFIG, helm.render(tmp_path / "values.yaml").config):
        (tmp_path / "config.yaml").write_text(config)
        secrets = tmp_path / "secrets"
        secrets.mkdir(exist_ok=True)
        keys = set(re.findall(r"--from-file=(\w+)=", PAGE))
        assert all(f"`{key}`" in PAGE for key in keys)
        for key in keys:
            (secrets / key).write_text("x")
        settings = load(tmp_path / "config.yaml", {}, secrets)
        assert settings.admin.address == ("0.0.0.0", 9464)
        assert settings.admin.token is not None


def test_every_value_the_page_speaks_of_exists():
    schema = yaml.safe_load((PROJECT / "helm/audit-forwarder/values.schema.json").read_text())["properties"]
    for name in re.findall(r"`(extra\w+|env|podSecurityContext|existingSecret|image)[.:`]", PAGE):
        assert name in schema
