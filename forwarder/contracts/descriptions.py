"""What a setting means: the text below it in the source of its model.

Read when somebody asks for it (the schema, the reference, a message) and not when the model is made: pydantic's own
reading (`use_attribute_docstrings`) parses every class at every start, 70 ms of the 600 that a command takes.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from itertools import pairwise
from typing import Any

from forwarder.contracts.declared import BaseModel, CoreSchema, GetJsonSchemaHandler


@cache
def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Return the text of each field that has one, inherited fields included; what a field itself says counts more."""
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        if inspect.get_annotations(kind) and hasattr(kind, "model_fields"):
            found |= _texts(kind)
    given = {name: field.description for name, field in model.model_fields.items() if field.description}
    return {name: text for name, text in (found | given).items() if name in model.model_fields}


class Described(BaseModel):
    """A model whose JSON schema says what each field means."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the schema."""
        described = handler(schema)
        properties = handler.resolve_ref_schema(described)["properties"]
        for name, text in descriptions(cls).items():
            if name in properties:
                properties[name].setdefault("description", text)
        return described


def _texts(kind: type) -> dict[str, str]:
    try:
        source = textwrap.dedent(inspect.getsource(kind))
    except OSError:  # pydantic's own classes in an archive, or a class made at run time
        return {}
    [made] = ast.parse(source).body
    return {
        field.target.id: inspect.cleandoc(below.value.value)
        for field, below in pairwise(getattr(made, "body", []))
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }
