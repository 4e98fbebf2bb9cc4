"""The one JSON schema of the configuration: for editors, for the reference, and for whoever packages the forwarder."""

from __future__ import annotations

from typing import Any

from forwarder.settings import Settings


def json_schema() -> dict[str, Any]:
    """Return the schema of what may be written in YAML; unlike `check` it cannot tell whether a name is borne."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema(mode="validation")}
