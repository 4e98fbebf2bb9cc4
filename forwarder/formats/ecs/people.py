"""`user.*` of ECS: who acted, whom it was done to, what changed of that one, and as whom it was done.

`user.target` is a user as before the act: a role that is taken away stands there, one that is given stands under
`user.changes`, as every new value does (ECS 9.4, "User fields usage"). Where no user is named it was done to, both
would speak of whoever acted: then a role stands under `atlassian.audit.roles` only, where every role does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from forwarder.formats.ecs.document import Group, User

if TYPE_CHECKING:
    from forwarder.contracts import Actor, AuditEvent

GIVEN = {"grant", "assign", "add"}
"""Acts after which a user has a role."""

_NOBODY = User()


def person(actor: Actor) -> User:
    """Return a user; an address is a name as well."""
    return User(actor.id, actor.name, actor.address, actor.address)


def names_of(actor: Actor) -> tuple[str, ...]:
    """Return every identifier of a user, each once."""
    ident, address, name = actor.id, actor.address, actor.name
    if ident and address and name and ident != address != name != ident:
        return (ident, address, name)
    return names(actor)


def names(*actors: Actor | None) -> tuple[str, ...]:
    """Return every identifier of these people, each once."""
    found = dict.fromkeys(name for actor in actors if actor for name in (actor.id, actor.address, actor.name) if name)
    return tuple(found)


def user_with_others(event: AuditEvent) -> tuple[User, tuple[str, ...]]:
    """Return `user.*` with whom it was done to, for or as, and everybody's identifiers."""
    user = person(event.actor) if event.actor is not None else User()
    if event.target_user is not None:
        roles, is_given = roles_of(event), event.act in GIVEN
        target = user.target = person(event.target_user)
        if not is_given:
            target.roles = roles
        if event.target_group is not None:
            target.group = Group(event.target_group.id, event.target_group.name)
        if event.outcome != "failure":
            user.changes = _changes(event, roles if is_given else ())
    effective = event.impersonated or event.on_behalf_of
    if effective is not None:
        user.effective = person(effective)
    changed = () if user.changes is None else (user.changes.email, user.changes.full_name, user.changes.name)
    involved = names(event.actor, event.target_user, event.impersonated, event.on_behalf_of)
    return user, tuple(dict.fromkeys([*involved, *filter(None, changed)]))


def roles_of(event: AuditEvent) -> tuple[str, ...]:
    """Return every role that is spoken of."""
    if event.target_role is None:
        return ()
    return (event.target_role, *(event.also.roles if event.also is not None else ()))


def _changes(event: AuditEvent, roles: tuple[str, ...]) -> User | None:
    """Return what a user has now and had not before, or None when nothing is said.

    The fields of an account are named as product audit logs name them.
    """
    if roles:
        return User(roles=roles)
    if event.object != "user":
        return None
    new_values = {change.field.lower(): change.after for change in event.changes if change.after}
    new = User(full_name=new_values.get("full name"), name=new_values.get("username"), email=new_values.get("email"))
    return new if new != _NOBODY else None
