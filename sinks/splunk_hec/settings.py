"""Settings of the `splunk_hec` sink, and the templates that choose index, sourcetype, source and host."""

from __future__ import annotations

import re
from string import Formatter
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from forwarder.contracts import BatchConfig, ByteSize, HttpConfig, LateConfig, Secret, SinkConfig, TlsConfig, Within
from forwarder.contracts.declared import AfterValidator, Field, PydanticCustomError, model_validator

PLACEHOLDERS = ("product", "organization", "site", "feed", "source")
"""What a template may hold: all of them have few values, so that Splunk's metadata stays small."""

OTHERS = "*"
"""The key for every product that has none of its own."""

FieldName = Literal[
    "event_id",
    "document_id",
    "organization",
    "site",
    "product",
    "action",
    "outcome",
    "severity",
    "actor",
    "actor_name",
    "actor_email",
    "src_ip",
    "target_user",
    "object_type",
    "object_id",
]
USUAL_FIELDS: list[FieldName] = [
    "event_id",
    "document_id",
    "organization",
    "site",
    "product",
    "action",
    "outcome",
    "severity",
    "actor",
    "actor_email",
    "src_ip",
]
"""What people filter on. Names and objects are in the event itself; as indexed fields they would fill the index."""


def _template(text: str) -> str:
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        raise PydanticCustomError(
            "template", "not a template; a brace that is not part of a placeholder is doubled"
        ) from None
    wrong = [
        name
        for _, name, spec, conversion in parts
        if name is not None and (name not in PLACEHOLDERS or spec or conversion)
    ]
    if wrong or not text.strip() or not text.isprintable():
        known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        raise PydanticCustomError("template", "not a template; write text with any of {known}", {"known": known})
    return text


def _index(choice: str | dict[str, str]) -> str | dict[str, str]:
    for text in choice.values() if isinstance(choice, dict) else [choice]:
        bare = re.sub(r"\{\w+\}", "x", text)
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", bare) or "kvstore" in bare:
            raise PydanticCustomError(
                "index", "not the name of an index; write small letters, digits, underscores and hyphens"
            )
    return choice


def _label(name: str) -> str:
    taken = {*get_args(FieldName), "host", "source", "sourcetype", "index", "time", "event"}
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) or name in taken:
        raise PydanticCustomError(
            "label", "not the name of a label; write letters, digits and underscores, and no name that is taken"
        )
    return name


Template = Annotated[str, AfterValidator(_template)]
Choice = Template | dict[str, Template]


class SplunkHecLateConfig(LateConfig):
    """What becomes of events that did not come as they happened. Or one word: `deliver`, `hold_back`."""

    index: Annotated[Choice, AfterValidator(_index)] | None = None
    """Index for those that are written `elsewhere`: a template, or one by product."""
    sourcetype: Choice | None = None
    """Sourcetype for them."""


class SplunkHecConfig(SinkConfig):
    """Settings of a `splunk_hec` sink. What each mode proves, and what Splunk needs: docs/splunk.md."""

    type: Literal["splunk_hec"] = "splunk_hec"
    """Which kind of sink this is."""
    url: str
    """Address of the HTTP Event Collector, `https://host:8088`, without `/services/collector`."""
    token: Secret
    """Token of the collector."""
    endpoint: Literal["event", "raw"] = "event"
    """`event` sends time, metadata and indexed fields with each event; `raw` sends lines, and Splunk's own
    configuration decides about time and fields."""
    acknowledge: bool = False
    """Count an event as delivered only when an indexer has acknowledged it; the token must have indexer
    acknowledgement. Without it, the collector's answer counts, and an indexer that crashes may lose events."""
    index: Annotated[Choice, AfterValidator(_index)] | None = None
    """Index to write to: a template, or one by product such as `{jira: atlassian_jira, "*": atlassian}`; default:
    the token's. Templates of index, sourcetype, source and host may hold `{product}`, `{organization}`, `{site}`,
    `{feed}` and `{source}`."""
    sourcetype: Choice | None = None
    """Sourcetype, a template or one by product; default: `atlassian:audit` for the format `raw`,
    `atlassian:audit:<format>` for every other."""
    source: Choice | None = "atlassian:{feed}:{organization}"
    """Source, a template or one by product."""
    host: Choice | None = "{site}"
    """Host, a template or one by product; `{site}` is the host of the site, or the organization where there is none."""
    indexed_fields: list[FieldName] = USUAL_FIELDS
    """Indexed fields to send with each event: what people filter on. An absent fact is left out."""
    labels: Annotated[dict[Annotated[str, AfterValidator(_label)], str], Field(default_factory=dict)]
    """Further indexed fields with a fixed value, such as `{environment: production}`."""
    late: SplunkHecLateConfig = SplunkHecLateConfig()
    """What becomes of events that did not come as they happened."""
    max_event: Annotated[ByteSize, Within("1KB", "800MB")] = 5_000_000
    """Longest event; a longer one is shortened by its format, or becomes a dead letter. Splunk's `maxEventSize`."""
    batch: BatchConfig = BatchConfig(events=500)
    """When a batch is sent."""
    compress: bool = True
    """Send gzip."""
    insecure: bool = False
    """Allow `http://` to another machine than this one."""
    tls: TlsConfig = TlsConfig()
    """What to trust, and our client certificate."""
    http: HttpConfig = HttpConfig()
    """Time-outs and proxy."""

    @model_validator(mode="before")
    @classmethod
    def _no_list(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("fields"), list):
            raise PydanticCustomError(
                "fields", "fields: the list of indexed fields is called indexed_fields; rename it"
            )
        return values

    @model_validator(mode="after")
    def _fit_together(self) -> SplunkHecConfig:
        if "/services/collector" in urlsplit(self.url).path:
            raise PydanticCustomError("url", "url: leave out /services/collector and what follows it")
        given = self.model_fields_set & {"indexed_fields", "labels"}
        if self.endpoint == "raw" and given:
            raise PydanticCustomError(
                "raw", "endpoint: raw has no indexed fields; leave out {names}", {"names": " and ".join(sorted(given))}
            )
        return self


def chosen(choice: str | dict[str, str] | None, product: str) -> str | None:
    """Return the template for a product, or None when there is none."""
    if isinstance(choice, dict):
        return choice.get(product, choice.get(OTHERS))
    return choice


def index_label(choice: Any) -> str:
    """Return a choice as one line of text, the same for the same choice."""
    if isinstance(choice, dict):
        return ",".join(f"{key}={value}" for key, value in sorted(choice.items()))
    return choice or "default"
