"""Who and what an event names besides the first of each kind, in both of its parts together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forwarder.contracts import Also, Thing
from forwarder.sources.organization.facts import NO_RARE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forwarder.contracts import Actor, Change
    from forwarder.sources.organization.facts import Facts

_THINGS = ("group", "content", "space", "app")


def changes_in(*parts: Facts) -> tuple[Change, ...]:
    """Return the settings that both parts say changed."""
    return tuple(dict.fromkeys(_all("changes", *parts)))


def domain_in(*parts: Facts) -> str | None:
    """Return the domain that an event is about."""
    return next(iter(_domains(*parts)), None)


def _domains(*parts: Facts) -> list[str]:
    return [part.rare.domain for part in parts if part.rare is not None and part.rare.domain is not None]


def names_in(*parts: Facts) -> Iterable[str]:
    """Return the names of all groups and roles that parts name."""
    things = (*(part.group for part in parts), *_all("things", *parts))
    groups = (thing.name for thing in things if thing is not None and thing.kind == "group")
    return filter(None, (*groups, *(part.role for part in parts), *_all("roles", *parts)))


def behalf_in(*parts: Facts) -> Iterable[Actor]:
    """Return for or as whom entries say it was done."""
    return _all("behalf", *parts)


def also_of(context: Facts, container: Facts, people: Iterable[Actor | None] = ()) -> Also | None:
    """Return it, or None when there is nothing more. Of two sites, the one that the container names is the site.

    `people` are those whom the event names elsewhere and who have no place of their own.
    """
    first_user = context.user or container.user
    users = _others(first_user, context.user, container.user, *_all("users", context, container), *people)
    things: dict[Any, Any] = {}
    for name in _THINGS:
        first = getattr(context, name) or getattr(container, name)
        rest = _others(first, getattr(context, name), getattr(container, name))
        things |= dict.fromkeys(one for one in rest if one.id is None or (one.kind, one.id) != (first.kind, first.id))
    things |= dict.fromkeys(_others(container.site or context.site, container.site, context.site))
    things |= dict.fromkeys((*_all("things", context, container), *_further_sites(context, container)))
    named_so = {thing.name for thing in (context.content, container.content, *things) if thing is not None}
    domains = [one for one in _domains(context, container)[1:] if one not in named_so and one != domain_in(context)]
    things |= dict.fromkeys(Thing("domain", None, None, one) for one in domains)
    roles = _roles(context, container)
    products = dict.fromkeys(filter(None, (container.product, context.product, *_all("products", container, context))))
    named = tuple(products) if len(products) > 1 else ()
    if not (users or things or roles or named):
        return None
    return Also(tuple(users), tuple(things), tuple(roles), named)


def _further_sites(*parts: Facts) -> Iterable[Thing]:
    """Return the sites on which other entries lie, without those that have an entry of their own."""
    own = [part.site for part in parts if part.site is not None]
    for site in _all("sites", *parts):
        if not any(site.name in {None, one.name} and site.url in {None, one.url} for one in own):
            yield site


def _roles(context: Facts, container: Facts) -> list[str]:
    here, there = context.rare or NO_RARE, container.rare or NO_RARE
    if context.role is None:
        return there.roles
    other = [container.role] if here.named and there.named else []
    return _others(context.role, *here.roles, *other, *there.roles)


def _all(name: str, *parts: Facts) -> Iterable[Any]:
    return (one for part in parts if part.rare is not None for one in getattr(part.rare, name))


def _others(first: Any, *rest: Any) -> list[Any]:
    """Return all but the first, each once."""
    return [one for one in dict.fromkeys(rest) if one is not None and one != first]
