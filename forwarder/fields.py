"""Field types and shared parts of the configuration; plugins see them through `forwarder.contracts`.

A size is a number of bytes or text such as `2GiB`; a duration is seconds or text such as `30s`, `7d`, `1h30m`.
A secret is text, or a file named by `<field>_file`; a secret from a file is read again when the file changes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictBool,
    StrictInt,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


def parse_size(value: Any) -> int:
    """Return bytes from a number or text such as `2GiB` or `800KB`."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value) if isinstance(value, str) else None
    factor = _UNITS.get(match[2].upper()) if match else None
    if match is None or factor is None:
        raise PydanticCustomError("size", "not a size; write a number of bytes or text such as 512MiB or 2GiB")
    return int(float(match[1]) * factor)


def parse_duration(value: Any) -> float:
    """Return seconds from a number or text such as `30s`, `7d` or `1h30m`."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    if isinstance(value, str):
        text = value.replace(" ", "").lower()
        parts = _DURATION_PART.findall(text)
        if parts and "".join(number + unit for number, unit in parts) == text:
            return sum(float(number) * _SECONDS[unit] for number, unit in parts)
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return float(text)
    raise PydanticCustomError("duration", "not a duration; write seconds or text such as 30s, 15m, 1h30m or 7d")


ByteSize = Annotated[
    int, BeforeValidator(parse_size, json_schema_input_type=Annotated[int | str, Field(examples=["512MiB", "2GiB"])])
]
Duration = Annotated[
    float, BeforeValidator(parse_duration, json_schema_input_type=Annotated[float | str, Field(examples=["30s", "7d"])])
]


def _server_name(name: str) -> str:
    if not re.fullmatch(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*", name) or len(name) > 253:
        raise PydanticCustomError(
            "server_name", "not the name of a host; write it alone, such as es.example.com, without scheme and port"
        )
    return name


ServerName = Annotated[str, AfterValidator(_server_name)]
"""A host name, as TLS asks for it (RFC 6066, section 3: no address, no port, no trailing dot)."""


class Secret:
    """A secret that never prints itself. From a file it follows the file: a rotated secret needs no restart."""

    def __init__(self, value: str | None = None, *, path: Path | None = None) -> None:
        self._value = value
        self._path = path
        self._stamp: tuple[int, int, int] | None = None

    def reveal(self) -> str:
        """Return the secret. Raises OSError when its file cannot be read and ValueError when it is empty."""
        if self._path is not None:
            found = os.stat(self._path)  # noqa: PTH116 -- one system call on the way of every request
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp != self._stamp:
                self._value, self._stamp = self._path.read_text(encoding="utf-8").strip(), stamp
        if not self._value:
            raise ValueError(f"the secret file {self._path} is empty" if self._path else "the secret is empty")
        return self._value

    @property
    def path(self) -> Path | None:
        """The file it comes from, if it does."""
        return self._path

    def __repr__(self) -> str:
        return f"Secret(file={str(self._path)!r})" if self._path else "Secret('**********')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self._value, self._path) == (other._value, other._path)

    def __hash__(self) -> int:
        return hash(self._path)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Accept text or a Secret; print stars."""

        def build(value: Any) -> Secret:
            if isinstance(value, Secret):
                return value
            if not isinstance(value, str) or not value.strip():
                raise PydanticCustomError(
                    "secret", "not a secret; write text, or name a file with the key ending in _file"
                )
            return cls(value.strip())

        return core_schema.no_info_plain_validator_function(
            build, serialization=core_schema.plain_serializer_function_ser_schema(lambda _: "**********")
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe it as a password."""
        return {"type": "string", "format": "password", "writeOnly": True}


class ComponentConfig(BaseModel):
    """Base of every settings model: unknown keys are errors, and each secret may be named as `<field>_file`."""

    # The text of an error would repeat what was given, and with it a secret; `errors()` still has it.
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
    )

    @classmethod
    def secret_fields(cls) -> list[str]:
        """Return the names of the fields that hold a secret."""
        return [name for name, field in cls.model_fields.items() if "Secret" in str(field.annotation)]

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values = dict(values)
        for name in cls.secret_fields():
            path = values.pop(f"{name}_file", None)
            if path is None:
                continue
            if values.get(name) is not None:
                raise PydanticCustomError(
                    "secret_twice", "{name} and {name}_file are both set; keep one", {"name": name}
                )
            values[name] = Secret(path=Path(str(path)).expanduser())
        return values

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Add `<field>_file` beside every secret; a required secret may come either way."""
        described = handler(schema)
        target = handler.resolve_ref_schema(described)
        for name in cls.secret_fields():
            target["properties"][f"{name}_file"] = {
                "type": "string",
                "description": f"File that holds `{name}`; read again when it changes.",
            }
            if name in target.get("required", []):
                target["required"].remove(name)
                target.setdefault("allOf", []).append({"oneOf": [{"required": [name]}, {"required": [f"{name}_file"]}]})
        return described


class TlsConfig(ComponentConfig):
    """TLS, the same for every connection."""

    ca_file: Path | None = None
    """PEM file of the certificate authorities to trust; default: the system's."""
    cert_file: Path | None = None
    """PEM file of our client certificate, for mutual TLS."""
    key_file: Path | None = None
    """PEM file of its private key, when not in `cert_file`."""
    key_password: Secret | None = None
    """Password of the private key."""
    server_name: ServerName | None = None
    """Name to ask the server for and to find in its certificate, when that is not the host that is connected to: behind
    a tunnel, a balancer, or an address."""
    min_version: Literal["1.2", "1.3"] = "1.2"
    """Lowest TLS version to speak."""
    verify: bool = True
    """Check the server's certificate; switch off in a laboratory only."""


class HttpConfig(ComponentConfig):
    """HTTP, the same for every client."""

    connect_timeout: Duration = 5.0
    """Time to connect."""
    read_timeout: Duration = 30.0
    """Longest silence of the other side."""
    total_timeout: Duration = 120.0
    """Longest time for a whole request, however slowly it drips."""
    proxy: str | None = None
    """URL of a proxy; default: the environment's HTTPS_PROXY and NO_PROXY."""
    max_response: ByteSize = 64 * 2**20
    """Largest answer that is read."""


class BatchConfig(ComponentConfig):
    """When a batch is sent: at the first limit it reaches."""

    events: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Most events in a batch."""
    bytes: ByteSize = 1_000_000
    """Most bytes of rendered events in a batch, before compression."""
    wait: Duration = 1.0
    """Longest time an event waits for company."""


class RetryConfig(ComponentConfig):
    """Back-off between tries: full jitter between `base` and `max`, never below what the other side asks for."""

    base: Duration = 0.5
    """First ceiling of the wait."""
    max: Duration = 60.0
    """Highest ceiling of the wait."""


class SourceConfig(ComponentConfig):
    """Settings every source has."""

    type: str
    """Which kind of source this is."""
    budget: str | None = None
    """Name of a request budget to share with other sources of the same key owner; default: one of its own."""
    every: Duration = 30.0
    """How often to ask when it is quiet; after a full page the next is asked for at once."""
    since: Annotated[Duration, Field(le=180 * 86400)] = 7 * 86400.0
    """How much history to fetch on the first start, behind the live events; Atlassian keeps 180 days."""
    overlap: Duration = 86400.0
    """How far before the last good point to read again when the source has lost our cursor."""
    trailing: Duration = 600.0
    """How much of the newest time is read again routinely, for events that became visible behind the cursor."""
    trailing_every: Duration = 300.0
    """How often that is done."""
    heal_every: Duration = 900.0
    """Shortest time between two re-reads after a lost cursor."""
    retry: RetryConfig = RetryConfig(base=1.0, max=60.0)
    """Back-off between tries while the source fails."""


class FilterRule(ComponentConfig):
    """What an event must match: every named field, any of its globs (`*`, `?`), without regard to case."""

    source: list[str] | str | None = None
    """Names of sources."""
    organization: list[str] | str | None = None
    """Organization ids."""
    site: list[str] | str | None = None
    """Site ids, names or hosts."""
    product: list[str] | str | None = None
    """Products, such as `jira` or `confluence`."""
    action: list[str] | str | None = None
    """Actions, such as `*_viewed`."""
    actor: list[str] | str | None = None
    """Account ids, addresses or names."""


class FieldsConfig(ComponentConfig):
    """What is changed in every record after its format has written it.

    Names are those of `docs/reference/formats.md`: dotted paths in JSON; keys, attributes or names elsewhere. It is no
    privacy: other fields may say the same.
    """

    rename: dict[str, str] = {}
    """Fields and their new names, such as `{source.ip: client_ip}`. A new name must not be in use."""
    drop: list[str] = []
    """Fields to leave out. Time, id, action and marks stay."""
    add: dict[str, StrictBool | StrictInt | FiniteFloat | str] = {}
    """Fields with a fixed value, such as `{env: prod}`."""


class SinkConfig(ComponentConfig):
    """Settings every sink has; the lane around it reads them."""

    OWN_DEFAULTS: ClassVar[dict[str, Any]] = {}

    type: str
    """Which kind of sink this is."""
    format: str | None = None
    """How events are written: `ecs`, `ocsf`, `cef`, `leef`, `rfc5424_sd` or `raw`; default: what suits the sink."""
    original: bool = False
    """Let every record also hold the event as the API sent it, as one text: `event.original` in `ecs`, `raw_data` in
    `ocsf`."""
    fields: FieldsConfig = FieldsConfig()
    """What to rename, drop and add in every record."""
    start: str | None = None
    """Where a new sink begins: `oldest` in the spool (default), `now`, a time such as `2026-01-31T00:00:00Z`, or
    `continue` to take over the position of the same name after its target changed."""
    include: Annotated[list[FilterRule], Field(min_length=1)] | None = None
    """Send only events that match one of these rules."""
    exclude: list[FilterRule] | None = None
    """Never send events that match one of these rules."""
    batch: BatchConfig = BatchConfig()
    """When a batch is sent."""
    window: Annotated[int, Field(ge=1, le=64)] = 2
    """Most batches in flight at once."""
    max_pending: Annotated[int, Field(ge=1)] = 1000
    """Most unconfirmed receipts at once."""
    confirm_every: Duration = 10.0
    """How often a sink that confirms late is asked."""
    confirm_within: Duration = 300.0
    """After this time an unconfirmed event is sent again."""
    on_full: Literal["pause", "detach"] = "pause"
    """When the spool is full: `pause` polling until this sink catches up, or `detach` it, with a gap on record."""
    max_dead_letters: Annotated[int, Field(ge=1)] = 10_000
    """Dead letters this sink may have; at the limit the lane holds, so that a broken mapping cannot drain the log."""
    retry: RetryConfig = RetryConfig()
    """Back-off between tries."""
