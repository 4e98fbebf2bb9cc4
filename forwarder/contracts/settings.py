"""Shared parts of the configuration and its field types; plugins see them through `forwarder.contracts`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from forwarder.contracts.component import ComponentConfig
from forwarder.contracts.credentials import Credential, end_of
from forwarder.contracts.declared import (
    AfterValidator,
    BeforeValidator,
    CoreSchema,
    Field,
    FiniteFloat,
    GetJsonSchemaHandler,
    PydanticCustomError,
    StrictBool,
    StrictInt,
    model_validator,
)
from forwarder.contracts.privacy import PrivacyConfig
from forwarder.contracts.secret import Secret
from forwarder.contracts.units import ByteSize, Duration, Within

__all__ = [
    "BatchConfig",
    "ByteSize",
    "ComponentConfig",
    "Duration",
    "FieldsConfig",
    "FilterRule",
    "HttpConfig",
    "LateConfig",
    "PrivacyConfig",
    "ReconcileConfig",
    "RetryConfig",
    "Secret",
    "SinkConfig",
    "SourceConfig",
    "TlsConfig",
    "WebhookConfig",
    "Within",
]


def _server_name(name: str) -> str:
    if not re.fullmatch(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*", name) or len(name) > 253:
        raise PydanticCustomError(
            "server_name", "not the name of a host; write it alone, such as es.example.com, without scheme and port"
        )
    return name


def _start(text: str) -> str:
    if text not in {"oldest", "now", "continue"}:
        try:
            datetime.fromisoformat(text)
        except ValueError:
            raise PydanticCustomError(
                "start", "not a place to begin; write oldest, now, continue, or a time such as 2026-01-31T00:00:00Z"
            ) from None
    return text


ServerName = Annotated[str, AfterValidator(_server_name)]
"""A host name, as TLS asks for it (RFC 6066, section 3: no address, no port, no trailing dot)."""


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

    connect_timeout: Annotated[Duration, Within("10ms", "10m")] = 5.0
    """Time to connect."""
    read_timeout: Annotated[Duration, Within("10ms", "1h")] = 30.0
    """Longest silence of the other side."""
    total_timeout: Annotated[Duration, Within("10ms", "6h")] = 120.0
    """Longest time for a whole request, however slowly it drips."""
    proxy: str | None = None
    """URL of a proxy; default: HTTPS_PROXY, HTTP_PROXY or ALL_PROXY of the environment, but for NO_PROXY."""
    max_response: Annotated[ByteSize, Within("1KB", "1GiB")] = 64 * 2**20
    """Largest answer that is read."""


class WebhookConfig(ComponentConfig):
    """Where events are sent to us, and the secret they come with; `receiver` says on which port."""

    path: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)+$", max_length=200)] | None = None
    """Path of the URL; default: `/webhook/` and the name of the source."""
    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$", max_length=100)] = "Authorization"
    """Header that holds the secret, alone or behind a word such as `Bearer`."""
    secret: Secret
    """What every request must bring; 16 characters at least."""
    previous_secret: Secret | None = None
    """A second one that is taken as well, while the secret is replaced on the other side."""

    def path_of(self, source: str) -> str:
        """Return the path at which a source of this name receives."""
        return self.path or f"/webhook/{source}"


class BatchConfig(ComponentConfig):
    """When a batch is sent: at the first limit it reaches."""

    events: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Most events in a batch."""
    bytes: Annotated[ByteSize, Within("1B", "100MB")] = 1_000_000
    """Most bytes of rendered events in a batch, before compression."""
    wait: Annotated[Duration, Within("1ms", "1h", zero=True)] = 1.0
    """Longest time an event waits for the batch to fill; 0 sends at once."""


class RetryConfig(ComponentConfig):
    """Back-off between tries: full jitter between `base` and `max`, never below what the other side asks for."""

    base: Annotated[Duration, Within("1ms", "1h")] = 0.5
    """First ceiling of the wait."""
    max: Annotated[Duration, Within("1ms", "1d")] = 60.0
    """Highest ceiling of the wait."""

    @model_validator(mode="after")
    def _grows(self) -> RetryConfig:
        if self.base > self.max:
            raise PydanticCustomError("retry", "base is longer than max; write the longer of the two as max")
        return self


class ReconcileConfig(ComponentConfig):
    """When every closed hour of a log is read again, to see whether all of it is there; `off`: never."""

    after: Annotated[Duration, Within("10m", "150d", zero=True)] = 7200.0
    """How long after the hour: by then late events have come. 0 reads nothing again."""
    again: Annotated[Duration, Within("10m", "150d", zero=True)] = 86_400.0
    """When it is done once more; 0: not. From two days on, a pass reads days instead of hours."""
    last: Annotated[Duration, Within("10m", "150d", zero=True)] = 7 * 86_400.0
    """When it is done for the last time; 0: not. Of what no ids are remembered any more (`spool.id_retention`) nothing
    can be compared: it is left out."""

    @model_validator(mode="after")
    def _later(self) -> Self:
        delays = [self.after, *filter(None, (self.again, self.last))]
        if delays != sorted(set(delays)):
            problem = "each of after, again and last is to be later than the one before; or 0"
            raise PydanticCustomError("reconcile", problem)
        return self

    @property
    def delays(self) -> tuple[float, ...]:
        """Return how long after a window each pass reads it, seconds; none when it is off."""
        return tuple(filter(None, (self.after, self.again, self.last))) if self.after else ()


def _reconcile(value: Any) -> Any:
    return {"after": 0} if value == "off" or value is False else value


_ABOUT_A_CREDENTIAL = ("_expires", "_expires_at", "_next", "_next_expires_at")


class SourceConfig(ComponentConfig):
    """Settings every source has."""

    CREDENTIALS: ClassVar[tuple[str, ...]] = ()
    """Fields with a credential. Beside `<field>` there are `<field>_expires_at`, and `<field>_next` for the one that
    follows it, with `<field>_next_expires_at`."""

    type: str
    """Which kind of source this is."""
    budget: str | None = None
    """Name of a request budget to share with other sources of the same key owner; default: one of its own."""
    every: Annotated[Duration, Within("10ms", "1d")] = 30.0
    """How often to ask when it is quiet. While there are new events it is a sixth of that, a second at least, as far as
    the request budget allows; after a full page the next is asked for at once."""
    since: Annotated[Duration, Within("1s", "180d", zero=True)] = 7 * 86400.0
    """How much history to fetch on the first start, behind the live events; 0 fetches none. Atlassian keeps 180
    days."""
    overlap: Annotated[Duration, Within("1s", "180d")] = 86400.0
    """How far before the last good point to read again when the source has lost our cursor."""
    trailing: Annotated[Duration, Within("1s", "7d", zero=True)] = 600.0
    """How much of the newest time is read again routinely, for events that became visible behind the cursor; 0 reads
    nothing again."""
    trailing_every: Annotated[Duration, Within("10ms", "30d")] = 300.0
    """How often that is done."""
    heal_every: Annotated[Duration, Within("10ms", "30d")] = 900.0
    """Shortest time between two re-reads after a lost cursor."""
    reconcile: Annotated[
        ReconcileConfig, BeforeValidator(_reconcile, json_schema_input_type=ReconcileConfig | Literal["off"])
    ] = ReconcileConfig()
    """When every closed hour is read again, to see whether all of it is there; `off`: never."""
    retry: RetryConfig = RetryConfig(base=1.0, max=60.0)
    """Back-off between tries while the source fails."""
    redact: PrivacyConfig = PrivacyConfig()
    """What of every event must not touch the disk: it is taken out before the event is spooled, and no sink gets it."""

    def readers(self) -> Mapping[str, SourceConfig]:
        """Return the settings of each log that this entry names, by what follows its own name; "" for its own name."""
        return {"": self}

    @property
    def credentials(self) -> tuple[Credential, ...]:
        """Return the credentials that are set, the one that is presented first in front."""
        found: list[Credential] = []
        for setting in (name for base in self.CREDENTIALS for name in (base, f"{base}_next")):
            secret = getattr(self, setting, None)
            if secret is not None:
                fields = (f"{setting}_expires_at", f"{setting}_expires")
                written = next((field for field in fields if getattr(self, field, None) is not None), None)
                ends = None if written is None else end_of(getattr(self, written))
                found.append(Credential(setting, secret, ends, written or fields[0]))
        return tuple(found)

    @model_validator(mode="after")
    def _credentials_agree(self) -> Self:
        for base in self.CREDENTIALS:
            has = {end for end in ("", *_ABOUT_A_CREDENTIAL) if getattr(self, f"{base}{end}", None) is not None}
            fault = ""
            if {"_expires", "_expires_at"} <= has:
                fault = "{name}_expires and {name}_expires_at are both set; keep one"
            elif "_next" in has and "" not in has:
                fault = "{name}_next follows {name}, which is not set; write it as {name}"
            elif "_next_expires_at" in has and "_next" not in has:
                fault = "{name}_next_expires_at is set, and {name}_next is not; write both, or neither"
            if fault:
                raise PydanticCustomError("credentials", fault, {"name": base})
        return self

    @property
    def of_organization(self) -> str | None:
        """Id of the organization whose events it reads; None where the settings do not say it."""
        return None


class FilterRule(ComponentConfig):
    """What an event must match: every named field, any of its globs (`*`, `?`), without regard to case."""

    source: list[str] | str | None = None
    """Names of sources; that of one with several sites stands for all of these, `<source>/<site>` for one."""
    organization: list[str] | str | None = None
    """Organization ids."""
    site: list[str] | str | None = None
    """Site ids, names or hosts."""
    place: list[str] | str | None = None
    """Names of `places`, in which the event's sites lie; `other` for a site that is in none of them, `unknown` for an
    event that names no site."""
    product: list[str] | str | None = None
    """Products, such as `jira` or `confluence`."""
    action: list[str] | str | None = None
    """Actions, such as `*_viewed`."""
    actor: list[str] | str | None = None
    """Account ids, addresses or names."""

    def source_globs(self) -> list[str] | None:
        """Return the globs of `source`; the name of an entry stands for each of its sites as well."""
        globs = [self.source] if isinstance(self.source, str) else self.source
        return None if globs is None else [each for glob in globs for each in (glob, f"{glob}/*")]


class FieldsConfig(ComponentConfig):
    """What is changed in every record after its format has written it.

    Names are those of `docs/reference/formats.md`: dotted paths in JSON; keys, attributes or names elsewhere. It is not
    privacy: other fields may say the same.
    """

    rename: dict[str, str] = Field(default_factory=dict)
    """Fields and their new names, such as `{source.ip: client_ip}`. A new name must not be in use."""
    drop: list[str] = Field(default_factory=list)
    """Fields to leave out. Time, id, action and marks stay."""
    add: dict[str, StrictBool | StrictInt | FiniteFloat | str] = Field(default_factory=dict)
    """Fields with a fixed value, such as `{env: prod}`."""


class DuplicatesConfig(ComponentConfig):
    """What becomes of a change that several sources record: the organization's log, and those of Jira and Confluence.

    Such events share an id (`related`), and all are sent. `link`, the default, does no more.
    """

    drop_from: str | None = None
    """Leave out the events of this source that are a change of which this sink got the event of another source before:
    one for one, counted as filtered; also where the sink then refuses that one, which is a dead letter.
    `<source>/<site>` is one site of a source with several."""


class LateConfig(ComponentConfig):
    """What becomes of events that did not come as they happened. Or one word: `deliver`, `hold_back`.

    They were read late, found by looking again, or are history that was asked for. Every format marks them.

    A sink with another place for them has a model of its own with further settings that name it; its `elsewhere` needs
    one of these.
    """

    events: Literal["deliver", "elsewhere", "hold_back"] = "deliver"
    """`deliver` them like others. Or, what of them is older than `after`: write it `elsewhere`, where the sink has
    another place, or `hold_back`, so that this sink never gets it and it counts as filtered."""
    after: Annotated[Duration, Within("1s", "180d")] = 300.0
    """How old an event must be when it is read to be `late`, and to be written elsewhere or held back; until Atlassian
    shows an event, some minutes may pass."""

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, values: Any) -> Any:
        return {"events": values} if isinstance(values, str) else values

    @model_validator(mode="after")
    def _has_a_place(self) -> Self:
        names = [name for name in type(self).model_fields if name not in LateConfig.model_fields]
        places = [name for name in names if getattr(self, name) is not None]
        words = " or ".join(names)
        if self.events == "elsewhere" and not names:
            raise PydanticCustomError("late", "this sink has one place only; write events: deliver or hold_back")
        if self.events == "elsewhere" and not places:
            raise PydanticCustomError("late", "events: elsewhere needs to know where; write {words}", {"words": words})
        if self.events != "elsewhere" and places:
            raise PydanticCustomError("late", "{words} is for events: elsewhere; write that too", {"words": places[0]})
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Add the words that may stand for a mapping."""
        return {"anyOf": [super().__get_pydantic_json_schema__(schema, handler), {"enum": ["deliver", "hold_back"]}]}


def _duplicates(value: Any) -> Any:
    return {} if value == "link" else value


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
    privacy: PrivacyConfig = PrivacyConfig()
    """What of every event this sink does not get to see."""
    start: Annotated[str, AfterValidator(_start)] | None = None
    """Where a new sink begins: `oldest` in the spool (default), `now`, a time such as `2026-01-31T00:00:00Z`, or
    `continue` to take over the position of the same name after its target changed."""
    include: Annotated[list[FilterRule], Field(min_length=1)] | None = None
    """Send only events that match one of these rules."""
    exclude: list[FilterRule] | None = None
    """Never send events that match one of these rules."""
    duplicates: Annotated[DuplicatesConfig, BeforeValidator(_duplicates)] = DuplicatesConfig()
    """What becomes of a change that several sources record: `link`, or one of them is left out (`drop_from`)."""
    late: LateConfig = LateConfig()
    """What becomes of events that did not come as they happened."""
    batch: BatchConfig = BatchConfig()
    """When a batch is sent."""
    window: Annotated[int, Field(ge=1, le=64)] = 2
    """Most batches in flight at once."""
    max_pending: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Most unconfirmed receipts at once."""
    confirm_every: Annotated[Duration, Within("10ms", "1h")] = 10.0
    """How often a sink that confirms late is asked."""
    confirm_within: Annotated[Duration, Within("10ms", "1d")] = 300.0
    """After this time an unconfirmed event is sent again."""
    on_full: Literal["pause", "detach"] = "pause"
    """When the spool is full: `pause` polling until this sink catches up, or `detach` it, with a gap on record."""
    max_dead_letters: Annotated[int, Field(ge=1, le=10_000_000)] = 10_000
    """Dead letters this sink may have; at the limit the lane holds, so that a broken mapping cannot drain the log."""
    patience: Annotated[Duration, Within("10ms", "30d", zero=True)] = 900.0
    """How long an event that fails alone, again and again, while the sink takes others, waits apart from them before it
    becomes a dead letter; 0 makes it one as soon as it failed three times alone. While everything fails, none does."""
    retry: RetryConfig = RetryConfig()
    """Back-off between tries."""
