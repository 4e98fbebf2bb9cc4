"""What of an event is private, as it is configured: for a sink, and for a source whose texts may not reach the disk."""

from __future__ import annotations

import difflib
from typing import Any, Literal

from forwarder.contracts.component import ComponentConfig
from forwarder.contracts.declared import CoreSchema, Field, GetJsonSchemaHandler, PydanticCustomError, model_validator
from forwarder.contracts.secret import Secret

Treatment = Literal["store", "drop", "pseudonymise"]
Preset = Literal["none", "no_content", "no_persons", "strict"]

PRESETS: dict[str, dict[str, Any]] = {
    "none": {},
    "no_content": {"content": "drop"},
    "no_persons": {"names": "drop", "addresses": "drop", "ip": "none"},
    "strict": {"content": "drop", "names": "drop", "addresses": "drop", "ip": "none"},
}
"""What each preset stands for, in the words of the single settings."""

_STRICTNESS: dict[Treatment, int] = {"store": 0, "pseudonymise": 1, "drop": 2}


def strictest(*treatments: Treatment) -> Treatment:
    """Return the treatment that lets through least."""
    return max(treatments, key=_STRICTNESS.__getitem__)


class KindsConfig(ComponentConfig):
    """What is done with single kinds of content, where that is not what `content` says."""

    titles: Treatment | None = None
    """Titles and names of pages, issues, apps, tokens and everything else that has a name of its own."""
    keys: Treatment | None = None
    """Keys of issues, projects and spaces."""
    spaces: Treatment | None = None
    """Names of spaces, projects, repositories, boards and folders."""
    groups: Treatment | None = None
    """Names of groups and teams."""
    changes: Treatment | None = None
    """Changed values, before and after, and values of settings; left out as soon as content or persons are, because
    they may hold either."""
    messages: Treatment | None = None
    """Sentences; left out as soon as content or persons are, because they hold both."""
    links: Treatment | None = None
    """What users wrote in an address: it ends before that, as soon as content or persons are left out."""
    unknown: Treatment | None = None
    """What is not known to be anything else; left out as soon as content or persons are, because it may be either."""


class PrivacyConfig(ComponentConfig):
    """What of every event does not get through. Or one word: `none`, `no_content`, `no_persons`, `strict`.

    Each is `store`, `drop` or `pseudonymise`. Ids of events, accounts, pages and issues stay.
    """

    preset: Preset = "none"
    """Where to begin; what is set beside it counts more."""
    content: Treatment = "store"
    """What users wrote, of every kind that `kinds` does not name."""
    kinds: KindsConfig = KindsConfig()
    """What is done with single kinds of content."""
    names: Treatment = "store"
    """Names of persons."""
    addresses: Treatment = "store"
    """E-mail addresses of persons."""
    ip: Literal["whole", "network", "none"] = "whole"
    """IP addresses: whole, only their network (/24, in IPv6 /48), or none; of the place only the country stays."""
    fields: dict[str, Treatment] = Field(default_factory=dict)
    """Single fields of the API's JSON by their path, such as `{attributes.context.attributes.title: store}`; lists are
    not counted, `*` is any one member, and everything below is meant, too."""
    key: Secret | None = None
    """Key of the pseudonyms: the same key gives the same pseudonyms in every sink. Without it, no one can find out
    from a pseudonym whose it is; docs/privacy.md says what a document id may tell."""
    previous_key: Secret | None = None
    """The key before this one: events no longer use it, `audit-forwarder pseudonym` still knows what it made."""

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, values: Any) -> Any:
        values = {"preset": values} if isinstance(values, str) else values
        if not isinstance(values, dict) or not isinstance(preset := values.get("preset", "none"), str):
            return values
        if preset not in PRESETS:
            near = difflib.get_close_matches(preset.lower(), PRESETS, n=1)
            known = ", ".join(PRESETS)
            fix = f"did you mean {near[0]}? ({known})" if near else f"write one of {known}, or a mapping"
            raise PydanticCustomError("privacy", "no preset has this name; {fix}", {"fix": fix})
        return {**PRESETS[preset], **values}

    @model_validator(mode="after")
    def _has_a_key(self) -> PrivacyConfig:
        wanted = "pseudonymise" in {*self.treatments().values(), *self.fields.values()}
        if wanted and self.key is None:
            raise PydanticCustomError("privacy", "pseudonyms need a key; write the path of its file as key_file")
        for path in self.fields:
            if not path or "" in path.split("."):
                raise PydanticCustomError("privacy", "fields has a path with nothing in it; write name.name")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Add the presets, which may be written as one word."""
        return {"anyOf": [super().__get_pydantic_json_schema__(schema, handler), {"enum": [*PRESETS]}]}

    def treatments(self) -> dict[str, Treatment]:
        """Return what is done with each kind of text that settings decide about."""
        either = strictest(self.content, self.names, self.addresses)
        kinds = self.kinds
        found: dict[str, Treatment] = {
            "name": self.names,
            "address": self.addresses,
            "titles": kinds.titles or self.content,
            "keys": kinds.keys or self.content,
            "spaces": kinds.spaces or self.content,
            "groups": kinds.groups or self.content,
            "changes": kinds.changes or either,
            "unknown": kinds.unknown or either,
        }
        whole = set(found.values()) == {"store"}
        return {
            **found,
            "messages": kinds.messages or ("store" if whole else "drop"),
            "links": kinds.links or ("store" if whole else "drop"),
        }

    @property
    def active(self) -> bool:
        """Whether anything is private."""
        stored = set(self.treatments().values()) | set(self.fields.values())
        return self.ip != "whole" or stored != {"store"}


def preset(name: Preset) -> PrivacyConfig:
    """Return one of the presets."""
    return PrivacyConfig(preset=name)
