"""The way from a product's record to an `AuditEvent`, the same for every product: strict decode, else lenient; meaning.

What a product adds is the structure of its records and one function that says what such a structure states (`Facts`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from forwarder.catalogue import Catalogue, Described, Meaning, load_catalogue
from forwarder.contracts import Actor, AuditEvent, Change, Origin, UnexpectedPayload
from forwarder.net.json_size import QUICK, TOO_MUCH, is_beyond_reading
from forwarder.normalize.addresses import valid_ip
from forwarder.normalize.conclusions import conclude
from forwarder.normalize.lenient import Unreadable, read_tree
from forwarder.normalize.objects import Named, Parts, parts_of, site_of
from forwarder.normalize.secret_values import is_secret, readable
from forwarder.normalize.shapes import Shapes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from forwarder.contracts import Record


class Facts(msgspec.Struct, gc=False):
    """What a record states.

    Attributes:
        described: What happened.
        product: Whose log it is.
        time_ms: When, epoch milliseconds; None when there is no readable time.
        time_text: The time as it is written, None when there is none.
        event_id: The record's own id.
        address: Where from.
        objects: Everything it names, what it is about first.
        context: The objects as JSON.
        container: Anything else worth keeping as JSON.
    """

    described: Described
    product: str
    time_ms: int | None
    time_text: str | None
    event_id: str | None = None
    actor: Actor | None = None
    address: str | None = None
    message: str | None = None
    objects: Sequence[Named] = ()
    changes: tuple[Change, ...] = ()
    context: msgspec.Raw | None = None
    container: msgspec.Raw | None = None


def read_each(
    records: Sequence[Record], read: Callable[[Record], AuditEvent], read_leniently: Callable[[Record], AuditEvent]
) -> list[AuditEvent | UnexpectedPayload]:
    """Return one result per record, in order.

    Args:
        records: Events as they came; what is beyond reading is not read at all.
        read: The strict way, which takes most.
        read_leniently: What is tried where that fails; why it fails as well is the result.
    """
    results: list[AuditEvent | UnexpectedPayload] = []
    for record in records:
        raw = record.raw
        if len(raw) > QUICK and is_beyond_reading(raw):
            results.append(UnexpectedPayload(TOO_MUCH, "too_large"))
            continue
        try:
            results.append(read(record))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            results.append(_again(record, read_leniently))
    return results


def _again(record: Record, read_leniently: Callable[[Record], AuditEvent]) -> AuditEvent | UnexpectedPayload:
    try:
        return read_leniently(record)
    except Unreadable as error:
        return UnexpectedPayload(str(error))
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        return UnexpectedPayload(f"the event cannot be read: {str(error)[:120]}")


def lenient_marks(record: Record, *, repaired: bool, odd: bool) -> tuple[str, ...]:
    """Return the marks of an event that was read leniently."""
    return (*record.marks, *(("repaired",) if repaired else ()), *(("odd_shape",) if odd else ()))


class RecordNormalizer:
    """Gives records of one product their meaning. Not for use by several threads at once.

    Args:
        known: The list of known actions: `jira`, `confluence` or `datacenter`.
        shape: The structure of a record; every member has a default.
        facts: Says what such a structure states.
        catalogue: What actions mean; default: the catalogue of the package.
    """

    def __init__(
        self,
        known: str,
        shape: type[msgspec.Struct],
        facts: Callable[[Any, Origin], Facts],
        catalogue: Catalogue | None = None,
    ) -> None:
        self._known = known
        self._facts = facts
        self._decode = msgspec.json.Decoder(shape).decode
        self._shapes = Shapes(shape)
        self._catalogue = catalogue or load_catalogue()

    def use(self, catalogue: Catalogue) -> None:
        """Take another catalogue from now on."""
        self._catalogue = catalogue

    def normalize(self, records: Sequence[Record]) -> list[AuditEvent | UnexpectedPayload]:
        """Return one result per record, in order."""
        return read_each(records, self._read, self._read_leniently)

    def _read(self, record: Record) -> AuditEvent:
        return self._event(record, self._decode(record.raw), record.marks)

    def _read_leniently(self, record: Record) -> AuditEvent:
        tree, repaired = read_tree(record.raw)
        decoded, odd = self._shapes.fit(tree)
        return self._event(record, decoded, lenient_marks(record, repaired=repaired, odd=odd))

    def _event(self, record: Record, decoded: Any, marks: tuple[str, ...]) -> AuditEvent:
        origin = record.origin
        facts = self._facts(decoded, origin)
        parts = parts_of(facts.objects)
        meaning = self._meaning(facts, parts)
        ip = facts.address if facts.address and valid_ip(facts.address) else None
        time_ms = facts.time_ms if facts.time_ms is not None and facts.time_ms >= 0 else record.read_ms
        event = AuditEvent(
            document_id=record.id,
            feed=origin.feed,
            organization=origin.organization,
            action=facts.described.action,
            time_ms=time_ms,
            read_ms=record.read_ms,
            event_id=facts.event_id,
            product=meaning.product,
            action_name=meaning.name,
            act=meaning.act,
            layer=meaning.layer,
            category=meaning.category,
            types=meaning.types,
            outcome=meaning.outcome,
            reason=meaning.failure,
            severity=meaning.severity,
            object=meaning.object,
            ocsf_class=meaning.ocsf_class,
            ocsf_activity=meaning.ocsf_activity,
            actor=facts.actor,
            target_user=parts.user,
            target_group=parts.group,
            target_role=parts.role,
            content=parts.content,
            space=parts.space,
            site=site_of(origin.site),
            app=parts.app,
            ip=ip,
            source_address=facts.address if facts.address and ip is None else None,
            message=facts.message or facts.described.summary or None,
            changes=facts.changes,
            marks=(*marks, *_marks(facts, parts)),
            time_text=facts.time_text,
            context=facts.context,
            container=facts.container,
            also=parts.also,
        )
        return conclude(event)

    def _meaning(self, facts: Facts, parts: Parts) -> Meaning:
        meaning = self._catalogue.meaning_of_record(self._known, facts.product, facts.described)
        if not meaning.admin:
            return meaning
        also = parts.also.things if parts.also is not None else ()
        groups = [thing.name for thing in (parts.group, *also) if thing is not None and thing.kind == "group"]
        roles = (parts.role, *(parts.also.roles if parts.also is not None else ()))
        return self._catalogue.with_power(meaning, filter(None, (*groups, *roles)))


def _marks(facts: Facts, parts: Parts) -> tuple[str, ...]:
    if facts.time_ms is not None and facts.time_ms >= 0 and facts.described.action and not parts.cut:
        return ()
    found = {
        "action_missing": not facts.described.action,
        "time_missing": facts.time_text is None,
        "time_unreadable": facts.time_text is not None and facts.time_ms is None,
        "time_before_1970": facts.time_ms is not None and facts.time_ms < 0,
        "time_of_reading": facts.time_ms is None or facts.time_ms < 0,
        "truncated": parts.cut,
    }
    return tuple(mark for mark, holds in found.items() if holds)


def change(value_before: str | None, value_after: str | None, *names: str | None) -> Change | None:
    """Return what changed, or None without the name of a field; a secret keeps its name only.

    Args:
        value_before: The value as it was.
        value_after: The value as it is.
        names: The names that the field has, the one to show first.
    """
    known = [name for name in names if name]
    if not known:
        return None
    secret = any(map(is_secret, known))
    return Change(known[0], readable(value_before, secret=secret), readable(value_after, secret=secret))


def changes_of(found: Iterable[Change | None]) -> tuple[Change, ...]:
    """Return the changes that have a name."""
    return tuple(filter(None, found))


def as_json(objects: Sequence[Any] | dict[str, Any]) -> msgspec.Raw | None:
    """Return objects as JSON, or None when there are none."""
    return msgspec.Raw(msgspec.json.encode(objects)) if objects else None
