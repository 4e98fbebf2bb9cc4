"""What administrators do in one product: one deed is one future record, before it has any JSON.

Categories and summaries are those that public documentation and records show. A few deeds have nobody as author, as a
directory sync has, and a few carry text that a stranger could have written. Nothing here knows an API.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import msgspec

from simulator.world import Person, Place, Site, World, uuid

Product = Literal["jira", "confluence"]

HOSTILE = (
    "line\nbreak\r\n2031-01-01 fake=entry",
    "pipe|equals=backslash\\",
    'quote" tab\t del\x7f esc\x1b[31m',
    "<script>alert(1)</script> ${jndi:x}",
    "\u202eright to left",
)


class Target(NamedTuple):
    """Something acted on. `kind` is the product's own word for its type."""

    kind: str
    id: str
    name: str
    holder: tuple[str, str] = ("", "")


class Change(NamedTuple):
    """One value before and after; hidden when the product keeps it to itself."""

    field: str
    before: str
    after: str
    hidden: bool = False


class Deed(msgspec.Struct, gc=False, kw_only=True):
    """An administrator, or the product itself, changed something.

    Attributes:
        person: Who; None when the product names no author.
        place: Where from; None when no address is recorded.
        target: What it is about, if the record names it.
        others: What else it concerns.
    """

    time_ms: int
    category: str
    summary: str
    person: Person | None
    place: Place | None
    target: Target | None = None
    others: tuple[Target, ...] = ()
    changes: tuple[Change, ...] = ()
    description: str = ""


class _What(NamedTuple):
    target: Target | None
    others: tuple[Target, ...] = ()
    changes: tuple[Change, ...] = ()


_Make = Callable[[World, random.Random, Product], _What]


def user_in(product: Product, person: Person) -> Target:
    """Describe a person as a product's record does."""
    return Target("USER" if product == "jira" else "User", person.id, person.name, ("10000", "com.example.directory"))


def group_in(product: Product, ident: str, name: str) -> Target:
    """Describe a group: Jira gives its name as id, Confluence writes the id behind the name."""
    return Target("GROUP", name, name) if product == "jira" else Target("Group", ident, f"{name}:{ident}")


def _user(world: World, rng: random.Random, product: Product) -> _What:
    person = rng.choice(world.people)
    return _What(
        user_in(product, person), (), (Change("Full name", "", person.name), Change("Email", "", person.email))
    )


def _member(world: World, rng: random.Random, product: Product) -> _What:
    person, group = rng.choice(world.people), rng.choice(world.groups)
    return _What(group_in(product, group.id, group.name), (user_in(product, person),))


def _group(world: World, rng: random.Random, product: Product) -> _What:
    group = rng.choice(world.groups)
    return _What(group_in(product, group.id, group.name))


def _project(world: World, rng: random.Random, product: Product) -> _What:
    del product
    issue = rng.choice(world.issues)
    return _What(
        Target("PROJECT", str(10_000 + len(issue.holder)), issue.holder), (), (Change("Key", "", issue.holder),)
    )


def _issue(world: World, rng: random.Random, product: Product) -> _What:
    del product
    issue = rng.choice(world.issues)
    return _What(Target("ISSUE", issue.id, issue.key, ("10001", issue.holder)))


def _scheme(world: World, rng: random.Random, product: Product) -> _What:
    del product
    group = rng.choice(world.groups)
    changes = (Change("Permission", "", "Browse Projects"), Change("Granted to", "", f"Group ({group.name})"))
    return _What(Target("SCHEME", str(rng.randrange(100)), "Default Permission Scheme"), (), changes)


def _workflow(world: World, rng: random.Random, product: Product) -> _What:
    del product, world
    return _What(Target("WORKFLOW", uuid(rng), "Review"), (), (Change("Status", "Open", "In review"),))


def _permission(world: World, rng: random.Random, product: Product) -> _What:
    group = rng.choice(world.groups)
    return _What(None, (group_in(product, group.id, group.name),), (Change("Permission", "", "Administer"),))


def _space(world: World, rng: random.Random, product: Product) -> _What:
    del product
    page = rng.choice(world.pages)
    return _What(Target("Space", page.key, page.holder))


def _page(world: World, rng: random.Random, product: Product) -> _What:
    page = rng.choice(world.pages)
    person = rng.choice(world.people)
    concerned = (Target("Space", page.key, page.holder), user_in(product, person))
    return _What(Target("Page", page.id, page.title), concerned, (Change("Content restriction type", "", "View"),))


def _secret(world: World, rng: random.Random, product: Product) -> _What:
    del world, rng, product
    return _What(None, (), (Change("SMTP password", "", "", hidden=True),))


_JIRA: tuple[tuple[str, str, _Make], ...] = (
    ("user management", "User created", _user),
    ("user management", "User updated", _user),
    ("group management", "User added to group", _member),
    ("group management", "User removed from group", _member),
    ("group management", "Group created", _group),
    ("projects", "Project created", _project),
    ("projects", "Project updated", _project),
    ("projects", "Project deleted", _project),
    ("permissions", "Permission scheme updated", _scheme),
    ("permissions", "Global permission added", _permission),
    ("workflows", "Workflow updated", _workflow),
    ("issues", "Issue deleted", _issue),
)
_CONFLUENCE: tuple[tuple[str, str, _Make], ...] = (
    ("Users and groups", "User added to group", _member),
    ("Users and groups", "User removed from group", _member),
    ("Users and groups", "User created", _user),
    ("Users and groups", "User deactivated", _user),
    ("Permissions", "Space permission added", _space),
    ("Permissions", "Content restriction added", _page),
    ("Permissions", "Content restriction removed", _page),
    ("Permissions", "Global permission added", _permission),
    ("Spaces", "Space created", _space),
    ("Spaces", "Space exported", _space),
    ("Spaces", "Space deleted", _space),
    ("Security", "Mail server updated", _secret),
)
_TABLES = {"jira": _JIRA, "confluence": _CONFLUENCE}


def membership(product: Product, time_ms: int, admin: Person, whom: Person, group: tuple[str, str]) -> Deed:
    """Return the record of one membership, as a product writes it beside the organization's own event."""
    category = "group management" if product == "jira" else "Users and groups"
    return Deed(
        time_ms=time_ms,
        category=category,
        summary="User added to group",
        person=admin,
        place=admin.home,
        target=group_in(product, *group),
        others=(user_in(product, whom),),
    )


class Deeds:
    """Deeds without end in one product of one site.

    Args:
        world: Who and what there is.
        site: Where; people and content of the whole world are used.
        rng: The only source of chance.
        oddities: How often hostile texts appear, as a factor.
    """

    def __init__(self, world: World, site: Site, product: Product, rng: random.Random, *, oddities: float) -> None:
        self.site = site
        self._world = world
        self._product = product
        self._rng = rng
        self._oddities = oddities

    def at(self, time_ms: int) -> Deed:
        """Return the next deed, at a moment."""
        rng = self._rng
        category, summary, make = rng.choice(_TABLES[self._product])
        found = make(self._world, rng, self._product)
        admin = rng.choice(self._world.admins)
        dice = rng.random()
        person = None if dice < 0.08 else admin
        place = (
            None if dice < 0.12 else admin.home if dice < 0.9 else Place(f"10.0.0.{rng.randrange(1, 255)}", *[""] * 4)
        )
        deed = Deed(
            time_ms=time_ms, category=category, summary=summary, person=person, place=place,
            target=found.target, others=found.others, changes=found.changes,
        )  # fmt: skip
        if rng.random() < 0.05 * self._oddities:
            deed.description = rng.choice(HOSTILE)
        return deed

    def over(self, start_ms: int, end_ms: int, count: int) -> Iterator[Deed]:
        """Yield deeds between two moments, in order of time; some share a millisecond with the one before."""
        rng = self._rng
        moments = sorted(rng.randrange(start_ms, max(end_ms, start_ms + 1)) for _ in range(count))
        last = start_ms
        for moment in moments:
            if rng.random() < 0.9:
                last = moment
            yield self.at(last)
