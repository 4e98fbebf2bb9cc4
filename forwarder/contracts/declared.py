"""What settings models are declared with: pydantic where they are judged, and `plain_models` where they arrive judged.

An option says which when the interpreter is started (`forwarder.cli.handover`), for all models of a process have
to be of one kind. Models of other packages are declared with pydantic itself, and where one is in use so are all.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

__all__ = [
    "ARRIVE_JUDGED",
    "OPTION",
    "AfterValidator",
    "BaseModel",
    "BeforeValidator",
    "ConfigDict",
    "CoreSchema",
    "Field",
    "FiniteFloat",
    "GetCoreSchemaHandler",
    "GetJsonSchemaHandler",
    "PrivateAttr",
    "PydanticCustomError",
    "StrictBool",
    "StrictInt",
    "ValidationError",
    "ValidationInfo",
    "core_schema",
    "field_validator",
    "model_validator",
]

OPTION = "audit_forwarder_settings"
"""Option (`-X`) of an interpreter that runs the daemon with settings that arrive judged; see `forwarder.__main__`."""

ARRIVE_JUDGED = OPTION in sys._xoptions  # noqa: SLF001 -- documented so (`python -X`)

if TYPE_CHECKING or not ARRIVE_JUDGED:
    from pydantic import (
        AfterValidator,
        BaseModel,
        BeforeValidator,
        ConfigDict,
        Field,
        FiniteFloat,
        GetCoreSchemaHandler,
        GetJsonSchemaHandler,
        PrivateAttr,
        StrictBool,
        StrictInt,
        ValidationError,
        ValidationInfo,
        field_validator,
        model_validator,
    )
    from pydantic_core import CoreSchema, PydanticCustomError, core_schema
else:
    from forwarder.contracts.plain_models import BaseModel, ConfigDict, Field, PrivateAttr, unjudged

    FiniteFloat, StrictBool, StrictInt = float, bool, int
    AfterValidator = BeforeValidator = field_validator = model_validator = unjudged
    PydanticCustomError = ValidationError = ValueError
    core_schema = CoreSchema = GetCoreSchemaHandler = GetJsonSchemaHandler = ValidationInfo = None
