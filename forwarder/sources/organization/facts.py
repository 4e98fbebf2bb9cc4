"""What a part of an event says, `context` or `container`, once it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts import Actor, Change, Thing

if TYPE_CHECKING:
    from forwarder.sources.organization.statements import Statement


class RareFacts(msgspec.Struct, gc=False):
    """What few events say.

    Attributes:
        odd: The part had a shape that the documentation does not give.
        refitted: `raw` is not what the API sent: names or depth would have kept it out of stores.
        cut: There were more people or things than are kept.
        named: The role stands in an entry of its own or as a permission, not beside a user.
        domain: Name of a domain that the event is about.
        changes: Settings with what they are now; the feed does not say what they were.
        statements: What is said of how the act went.
        behalf: For or as whom it was done, where an entry says so.
        users, things, roles, products: Further ones.
        sites: On which entries say they lie that are no sites; in order.
    """

    odd: bool = False
    refitted: bool = False
    cut: bool = False
    named: bool = False
    domain: str | None = None
    changes: list[Change] = []
    statements: list[Statement] = []
    behalf: list[Actor] = []
    users: list[Actor] = []
    things: list[Thing] = []
    roles: list[str] = []
    products: list[str] = []
    sites: dict[Thing, None] = {}


class Facts(msgspec.Struct, gc=False):
    """What one of the two parts says; `raw` is None when it says nothing at all. Not changed once it is returned.

    Of each kind the first entry counts; further ones are in `rare`. Of a place and something in it, the latter is the
    content.

    Attributes:
        raw: The bytes of the API; wrapped as `{"value": …}` when they are neither an object nor an array of objects,
            because no store indexes those as a field.
        product: The product an entry names, when it is one of the API's own.
        organization: Name of the organization.
        rare: What few events say; None when nothing.
    """

    raw: msgspec.Raw | None = None
    user: Actor | None = None
    group: Thing | None = None
    role: str | None = None
    content: Thing | None = None
    space: Thing | None = None
    site: Thing | None = None
    app: Thing | None = None
    product: str | None = None
    organization: str | None = None
    rare: RareFacts | None = None

    def more(self) -> RareFacts:
        """Return what few events say, to be added to."""
        if self.rare is None:
            self.rare = RareFacts()
        return self.rare


NO_RARE = RareFacts()
NOTHING = Facts()
