"""From an event to its row: what the columns of the index say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.investigate.columns import CUT, LONGEST, Act, Changed, Milliseconds, More, Named, Row
from forwarder.investigate.repeated import called

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forwarder.contracts import Actor, AuditEvent, Thing
    from forwarder.investigate.repeated import Repeated


def row_of(
    event: AuditEvent, repeated: Repeated, place: int, line: int, keys: tuple[str, ...] = (), instance: str = ""
) -> Row:
    """Return the row of an event. Raises ValueError where a text of it holds half a character.

    Args:
        event: It.
        repeated: Numbers what it shares with others.
        place: Number of where it stands.
        line: On which line.
        keys: What the product calls the actor besides the id.
        instance: Where ids of people are counted, when they are not Atlassian's: the host of a Data Center.
    """
    ident, processed, marks = event.event_id or event.document_id or None, event.processed_ms, event.marks
    by, what, whence = repeated.who(event.actor, keys, instance), repeated.act(event), repeated.whence(event)
    how, site = repeated.how(event.authentication), repeated.site(event.organization, event.site)
    space, content = repeated.space(event.space), repeated.content(event.content)
    if ident is not None and not ident.isascii():
        ident.encode()
    cut = repeated.cut
    if cut and not cut.isdisjoint((by, what, whence, how, site, space, content)):
        marks = (*marks, CUT)
    if ident is not None and len(ident) > LONGEST:
        ident, marks = ident[:LONGEST], marks if CUT in marks else (*marks, CUT)
    return Row(
        by,
        what,
        whence,
        how,
        site,
        space,
        content,
        repeated.more(_more(event, marks, instance)) if marks or _has_more(event) else None,
        place,
        event.time_ms,
        ident,
        None if processed is None else (processed - event.time_ms) // 1000,
        line,
    )


def _says_all(event: AuditEvent) -> bool:
    """Tell whether the columns say what its message does."""
    return bool(event.object and event.act and event.action) and event.content is not None and bool(event.content.id)


def _has_more(event: AuditEvent) -> bool:
    return (
        event.target_user is not None
        or event.target_group is not None
        or event.target_role is not None
        or event.on_behalf_of is not None
        or event.impersonated is not None
        or event.app is not None
        or event.also is not None
        or event.related is not None
        or bool(event.changes)
        or (event.message is not None and not _says_all(event))
    )


def _more(event: AuditEvent, marks: tuple[str, ...], instance: str) -> More:
    """Return what few events say."""
    more = More()
    target, behalf, impersonated = event.target_user, event.on_behalf_of, event.impersonated
    group, app, also = event.target_group, event.app, event.also
    if target is not None:
        more.target = called(target, instance)
        more.target_id, more.target_name, more.target_email = target.id, target.name, target.address
    if behalf is not None:
        more.on_behalf_of = called(behalf, instance)
        more.on_behalf_of_id, more.on_behalf_of_name, more.on_behalf_of_email = behalf.id, behalf.name, behalf.address
    if impersonated is not None:
        more.impersonated = called(impersonated, instance)
        more.impersonated_id, more.impersonated_name = impersonated.id, impersonated.name
        more.impersonated_email = impersonated.address
    if group is not None:
        more.group_id, more.group_name = group.id or group.key, group.name
    if app is not None:
        more.other_app_id, more.other_app_name = app.id or app.key, app.name
    if also is not None or event.target_role:
        roles = also.roles if also is not None else ()
        more.roles = (*((event.target_role,) if event.target_role else ()), *roles) or None
    if also is not None:
        more.also = (*_people(also.users), *_things(also.things)) or None
    if event.changes:
        more.changes = tuple([Changed(one.field, one.before, one.after) for one in event.changes])
    more.marks, more.related = marks or None, event.related
    if not _says_all(event):
        more.message = event.message
    return more


def row_of_problem(
    problem: str, repeated: Repeated, place: int, line: int, *, feed: str | None, time: Milliseconds | None
) -> Row:
    """Return the row of a line that is no event; its time is when it was stored."""
    what = repeated.problem(Act(feed=feed, problem=problem[:LONGEST] or "it cannot be read"))
    return Row(what=what, place=place, time=time, line=line)


def _people(users: Iterable[Actor]) -> Iterable[Named]:
    return (Named("user", one.id, one.address, one.name) for one in users)


def _things(things: Iterable[Thing]) -> Iterable[Named]:
    return (Named(one.kind, one.id, one.key, one.name) for one in things)
