"""Alerts of Guard Detect, sent to us as a webhook (Guard Detect, Integrations, "SIEM webhook").

An alert is known by its `alertId`: the same bytes again are a repeat, other bytes a revision, whenever they come. There
is nothing to be asked for: an alert that was never sent, or whose sender gave up, is not seen.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from forwarder.contracts import (
    Finding,
    Normalizer,
    Origin,
    Page,
    Received,
    SourceConfig,
    SourceContext,
    WebhookConfig,
)
from forwarder.contracts.declared import BeforeValidator, Field, PydanticCustomError, model_validator
from forwarder.contracts.identity import EventKeys, content_digests
from forwarder.net.json_size import UNREADABLE
from forwarder.normalize.times import TimeReader
from forwarder.sources.guard_detect.normalizer import NO_ALERT, NOT_SOUND, GuardDetectNormalizer, moment
from forwarder.sources.pushes import half_a_text, members_of, read_body

_OF_ONE_THAT_IS_ASKED = ("budget", "every", "heal_every", "overlap", "reconcile", "since", "trailing", "trailing_every")


def _organization_id(value: Any) -> Any:
    if isinstance(value, str) and not re.fullmatch(r"[A-Za-z0-9-]*", value):
        raise PydanticCustomError(
            "org_id", "not the id of an organization; write the letters, digits and dashes behind /o/ in its address"
        )
    return value


class GuardDetectConfig(SourceConfig):
    """Alerts of Guard Detect, sent to us as a webhook. Needs Guard Premium.

    Nothing is asked for, so the settings that say how often and how far back have no place here.
    """

    type: Literal["guard_detect"]
    """Which kind of source this is."""
    org_id: Annotated[str, BeforeValidator(_organization_id), Field(min_length=1, max_length=100)]
    """Organization id; it is in the address bar of Atlassian Administration."""
    webhook: WebhookConfig
    """Where and with which secret alerts are sent to us."""

    @property
    def of_organization(self) -> str:
        """Return the organization of the settings."""
        return self.org_id

    @model_validator(mode="after")
    def _is_not_asked(self) -> GuardDetectConfig:
        odd = [name for name in _OF_ONE_THAT_IS_ASKED if getattr(self, name) != type(self).model_fields[name].default]
        if odd:
            raise PydanticCustomError(
                "pushed",
                "{names}: alerts are sent to us, nothing is asked for; leave this out",
                {"names": ", ".join(odd)},
            )
        return self


class Head(msgspec.Struct, gc=False):
    """What must be known of an alert to store it; the rest tells an alert from anything else."""

    alertId: msgspec.Raw = msgspec.Raw()  # noqa: N815 -- the names of the product, here and below
    detectionTime: msgspec.Raw = msgspec.Raw()  # noqa: N815
    alertTitle: msgspec.Raw = msgspec.Raw()  # noqa: N815
    alertDetailURL: msgspec.Raw = msgspec.Raw()  # noqa: N815
    activity: msgspec.Raw = msgspec.Raw()
    alert: msgspec.Raw = msgspec.Raw()


_NAMES = Head.__struct_fields__
_head = msgspec.json.Decoder(Head)
_id = msgspec.json.Decoder(str | int)
_time = msgspec.json.Decoder(str | int | float)


class GuardDetectSource:
    """Receives the alerts of one organization."""

    Config: ClassVar[type[SourceConfig]] = GuardDetectConfig
    feed: ClassVar[str] = "guard_detect"
    reads: ClassVar[Literal["pushed"]] = "pushed"
    retention_ms: ClassVar[int | None] = None

    def __init__(self, config: GuardDetectConfig, context: SourceContext) -> None:
        self.webhook: WebhookConfig | None = config.webhook
        self.origin = Origin(source=context.name, feed=self.feed, organization=config.org_id)
        self._clock = context.clock
        self._keys = EventKeys(self.feed, self.origin.scope)
        self._times = TimeReader()

    @classmethod
    def normalizer(cls) -> Normalizer:
        """Return what gives alerts their meaning."""
        return GuardDetectNormalizer()

    def receive(self, body: bytes) -> Received:
        """Read the alerts of a body; what is not one is kept as what it is."""
        found = read_body(body, why_no_alert)
        bodies = [event for event, _ in found]
        heads = [_head_of(event) if not reason else None for event, reason in found]
        idents = [_ident(head) for head in heads]
        reasons = [reason for _, reason in found if reason]
        moments = [self._moment(head) for head in heads]
        now = int(self._clock.time() * 1000)
        page = Page(
            bodies=bodies,
            keys=[
                self._keys.key(ident) if ident else self._keys.derived(event)
                for ident, event in zip(idents, bodies, strict=True)
            ],
            digests=content_digests(bodies),
            minutes=[""] * len(bodies),  # an alert is known by its id whatever time it bears
            next={},
            derived=frozenset(at for at, ident in enumerate(idents) if not ident),
            newest=min(max(moments, default=0), now) or None,
        )
        return Received(page, len(reasons), reasons[0] if reasons else "")

    def _moment(self, head: Head | None) -> int:
        if head is None or not bytes(head.detectionTime):
            return 0
        try:
            return max(0, moment(_time.decode(head.detectionTime), self._times) or 0)
        except UNREADABLE:
            return 0

    async def probe(self) -> list[Finding]:
        """Say that there is nothing to be asked."""
        return [Finding("alerts", ok=True, detail="they are sent to us; what never was sent cannot be missed here")]

    async def close(self) -> None:
        """Release nothing."""


def _head_of(event: bytes) -> Head | None:
    try:
        return _head.decode(event)
    except UNREADABLE:
        members = members_of(event)
    if members is None:
        return None
    return Head(*(msgspec.Raw(json.dumps(members[name]).encode() if name in members else b"") for name in _NAMES))


def _ident(head: Head | None) -> str:
    if head is None or not bytes(head.alertId):
        return ""
    try:
        return str(_id.decode(head.alertId)).strip()
    except UNREADABLE:
        found = half_a_text(head.alertId)
        return found.strip() if found is not None else ""


def why_no_alert(event: bytes) -> str | None:
    """Say why a part of a body is no alert, or return None."""
    head = _head_of(event)
    if head is None:
        return NOT_SOUND
    if _ident(head) or any(map(bytes, (head.alertTitle, head.alertDetailURL, head.activity, head.alert))):
        return None
    return NO_ALERT
