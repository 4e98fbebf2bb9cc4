"""What a sink's `fields` may do to an OCSF event of ours: whatever it is, the event stays one of its class.

So what a class requires stays, and new names lie under `unmapped`, where the schema lets anything be.
"""

from __future__ import annotations

import re

from forwarder.contracts import ConfigError, FieldsConfig, Format, UnexpectedPayload
from forwarder.formats.kit.fields import Rules
from forwarder.formats.kit.json_fields import JsonTemplate
from forwarder.formats.kit.json_paths import Hidden, paths_of
from forwarder.formats.ocsf.document import Endpoint, Event, Location, Metadata, SourcePlace, Unmapped, User
from forwarder.formats.ocsf.shortening import CLASS, METADATA, REQUIRED

_HIDDEN = Hidden(
    neighbours={
        (Event, "activity_id"): (
            *("activity_id", "activity_name", "category_uid", "category_name", "class_uid", "class_name", "type_uid"),
            *("type_name", "severity_id", "severity", "status_id", "status", "status_detail"),
        ),
        (Event, "account_switch_type_id"): ("account_switch_type_id", "account_switch_type"),
        (Metadata, "version"): (
            *("version", "product", "product.vendor_name", "product.name", "profiles", "log_name", "log_provider"),
            *("loggers", "tenant_uid", "event_code"),
        ),
        (Unmapped, "layer"): (
            *("layer", "act", "object", "action_name", "severity", "outcome", "organization_name", "instead_of"),
        ),
        (User, "type_id"): ("type_id", "type"),
    },
    inside={(Event, "dst_endpoint"): Endpoint, (Endpoint, "location"): Location, (Unmapped, "source"): SourcePlace},
)


_OF_API = {"actor", "src_endpoint"}
"""What API Activity requires and other classes do not; what every class of ours requires cannot be named at all."""


_NAMED_BY = (
    ("src_endpoint", {"ip", "name"}, {"location"}),
    ("actor.user", {"uid", "name"}, {"display_name", "email_addr", "type", "type_id"}),
)
"""Objects that must have one of some members, and what else they may have."""


class OcsfTemplate(JsonTemplate):
    """A template that leaves alone what only the class of an event requires.

    Raises ConfigError for what `check` refuses, and for what would leave an object without what names it.
    """

    def __init__(self, inner: Format, changes: FieldsConfig) -> None:
        super().__init__(inner, changes, rules())
        taken = {*changes.rename, *changes.drop}
        for whole, names, others in _NAMED_BY:
            named = sorted(name for name in names if f"{whole}.{name}" in taken)
            left = sorted(name for name in others if f"{whole}.{name}" not in taken)
            if named and left and whole not in taken:
                raise ConfigError(
                    f"fields: OCSF allows no {whole}.{left[0]} without {whole}.{named[0]}; "
                    f"rename or drop {', '.join(f'{whole}.{name}' for name in left)}, too"
                )
        self._of_api = JsonTemplate(
            inner,
            FieldsConfig(
                rename={old: new for old, new in changes.rename.items() if old.partition(".")[0] not in _OF_API},
                drop=[name for name in changes.drop if name.partition(".")[0] not in _OF_API],
                add=changes.add,
            ),
            rules(),
        )

    def apply(self, body: bytes) -> bytes | UnexpectedPayload:
        """Change a body."""
        if b'"class_uid":6003,' in body:  # no text of an event holds a bare quote
            return self._of_api.apply(body)
        return super().apply(body)


def known_fields() -> frozenset[str]:
    """Return the dotted path of every member and of every object."""
    return paths_of(Event, _HIDDEN)


def rules() -> Rules:
    """Return what may be done to OCSF."""
    return Rules(
        known_fields(),
        frozenset({*CLASS, *REQUIRED, *(f"metadata.{name}" for name in METADATA)}),
        re.compile(r"unmapped(\.[a-z_][a-z0-9_]{0,62}){1,7}"),
        "unmapped.env",
        dotted=True,
    )
