"""Gives a happening its JSON, in the shape the API documents, with the oddities that real events have.

Bodies are bytes from the start: what is served is never built twice. `processedAt` comes right after `time`, so that
`/events`, which does not have it, can cut it out.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from simulator.world import Content, Person, Place, World

if TYPE_CHECKING:
    import random

    from simulator.happenings import Happening

Document = dict[str, Any]

_PROCESSED = re.compile(rb'"processedAt": ?"[^"]*", ?')
_HOSTILE = (
    "line\nbreak\r\n2031-01-01 fake=entry",
    "pipe|equals=backslash\\",
    'quote" tab\t nul\x00 del\x7f esc\x1b[31m',
    "=HYPERLINK(1)",
    "\u202eright to left",
    "emoji 🧪 é combining, \u2028 separator",
    "<script>alert(1)</script> ${jndi:x} {{7*7}}",
)


def iso(ms: int, rng: random.Random | None = None) -> str:
    """Return a UTC time as the API writes it; given dice, now and then without fraction or with nanoseconds."""
    when = datetime.fromtimestamp(ms / 1000, UTC)
    dice = rng.random() if rng is not None else 1.0
    if dice < 0.05:
        return f"{when:%Y-%m-%dT%H:%M:%S}Z"
    if dice < 0.053:
        return f"{when:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}{rng.randrange(10**6) if rng else 0:06d}Z"
    return f"{when:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def without_processed(body: bytes) -> bytes:
    """Return a body as `/events` serves it."""
    return _PROCESSED.sub(b"", body, count=1)


class Renderer:
    """Makes bodies for one organization.

    Args:
        world: The organization.
        rng: Dice for oddities.
        oddities: How often they appear, as a factor.
        stored: Whether user-generated content is stored.
    """

    def __init__(self, world: World, rng: random.Random, *, oddities: float = 1.0, stored: bool = True) -> None:
        self._world = world
        self._rng = rng
        self._oddities = oddities
        self._stored = stored
        self._encode = msgspec.json.Encoder().encode

    def body(self, happening: Happening, ident: str, processed_ms: int, revision: int = 0) -> bytes:
        """Return the JSON of one event. A later revision has the same id and other content."""
        document = self._document(happening, ident, processed_ms)
        if revision:
            document["attributes"]["revision"] = revision
            document["message"] = {"content": f"{happening.action} (corrected {revision})", "format": "simple"}
        rng = self._rng
        if self._oddities and rng.random() < 0.15 * self._oddities:
            _ODDITIES[rng.randrange(len(_ODDITIES))](document, rng)
            if rng.random() < 0.1:
                return json.dumps(document, ensure_ascii=rng.random() < 0.5).encode()  # other blanks, other escapes
        return self._encode(document)

    def _document(self, happening: Happening, ident: str, processed_ms: int) -> Document:
        odd = self._rng if self._oddities else None
        attributes: Document = {
            "time": iso(happening.time_ms, odd),
            "processedAt": iso(processed_ms),
            "action": happening.action,
            "actor": self._actor(happening),
            "context": happening.context,
            "container": self._container(happening),
        }
        if happening.place is not None:
            attributes["location"] = _location(happening.place)
        if happening.extra:
            attributes.update(happening.extra)
        message = happening.message if self._stored or not happening.without_content else happening.without_content
        return {
            "id": ident,
            "type": "events",
            "attributes": attributes,
            "links": {"self": f"https://api.atlassian.com/admin/v1/orgs/{self._world.id}/events/{ident}"},
            "relations": None,
            "message": {"content": message, "format": "simple"},
        }

    def _actor(self, happening: Happening) -> Document:
        person = happening.person
        if happening.place is None:
            return {"id": person.id, "name": person.name, "email": person.email, "picture": None, "links": {}}
        actor: Document = {"id": person.id, "name": person.name, "email": person.email}
        auth: Document = {"authType": happening.auth}
        if happening.token is not None:
            auth["tokenId"], auth["tokenLabel"] = happening.token.id, happening.token.name
        actor["auth"] = auth
        if happening.acting_for is not None:
            actor["onBehalfOf"] = _named(happening.acting_for)
        if happening.app is not None:
            app = happening.app
            actor["app"] = {"id": app.id, "type": "marketplace", "attributes": {"name": app.name}}
        actor["links"] = {
            "self": f"https://api.atlassian.com/users/{person.id}",
            "alt": f"https://admin.atlassian.com/s/{self._world.sites[0].id}/users/{person.id}",
        }
        return actor

    def _container(self, happening: Happening) -> list[Document]:
        site, content = happening.site, happening.content
        if site is None:
            return [{"id": self._world.id, "type": "orgs", "attributes": {"name": self._world.name}, "links": {}}]
        attributes: Document = {"siteName": site.name, "siteHostName": site.url}
        alt = site.url
        if content is not None:
            attributes.update(self._content(content))
            if self._stored:
                alt = content.url
        return [{"id": site.id, "type": "sites", "attributes": attributes, "links": {"alt": alt}}]

    def _content(self, content: Content) -> Document:
        if content.url.endswith(content.key):
            attributes: Document = {"product": "software", "issueId": content.id}
            if self._stored:
                attributes["issueKeyOrId"] = content.key
        else:
            attributes = {"product": "confluence", "pageId": content.id, "key": content.key}
            if self._stored:
                attributes["name"] = content.title
        return attributes


def _named(person: Person) -> Document:
    return {"id": person.id, "name": person.name, "email": person.email}


def _location(place: Place) -> Document:
    return {
        "ip": place.ip,
        "geo": place.geo,
        "countryName": place.country,
        "regionName": place.region,
        "city": place.city,
    }


# ---------------------------------------------------------------------------------------------------------- oddities


def _no_context(document: Document, rng: random.Random) -> None:
    del rng, document["attributes"]["context"]


def _no_container(document: Document, rng: random.Random) -> None:
    del rng, document["attributes"]["container"]


def _no_location(document: Document, rng: random.Random) -> None:
    del rng
    document["attributes"].pop("location", None)


def _only_geo(document: Document, rng: random.Random) -> None:
    del rng
    document["attributes"]["location"] = {"geo": "DE"}


def _empty_location(document: Document, rng: random.Random) -> None:
    del rng
    document["attributes"]["location"] = dict.fromkeys(("ip", "geo", "countryName", "regionName", "city"), "")


def _no_email(document: Document, rng: random.Random) -> None:
    actor = document["attributes"]["actor"]
    if rng.random() < 0.5:
        actor.pop("email", None)
    else:
        actor["email"] = rng.choice(("", "Atlassian app", None))


def _no_message(document: Document, rng: random.Random) -> None:
    if rng.random() < 0.5:
        document.pop("message", None)
    else:
        document["message"]["format"] = "text/plain"


def _extra_fields(document: Document, rng: random.Random) -> None:
    document["schemaVersion"] = 2
    document["attributes"]["traceId"] = f"{rng.getrandbits(64):016x}"
    document["attributes"]["actor"]["sessionRisk"] = {"score": 0.25, "reasons": ["new device", None]}


def _objects(document: Document, rng: random.Random) -> None:
    values = {
        "before": {"enabled": False, "list": [1, 2.5, "3"]},
        "after": {"enabled": True, "big": 2**53 + rng.randrange(9)},
    }
    thing = {"id": "settings", "type": "settings", "attributes": {"settingValues": values}, "links": {}}
    document["attributes"]["context"] = [*document["attributes"]["context"], thing]


def _large(document: Document, rng: random.Random) -> None:
    # Most of the time only long, rarely really large.
    size = rng.randrange(1_000, 4_000) if rng.random() < 0.9 else rng.randrange(40_000, 120_000)
    thing = {"id": "policy", "type": "settings", "attributes": {"settingValues": "rule; " * (size // 6)}, "links": {}}
    document["attributes"]["context"] = [*document["attributes"]["context"], thing]


def _hostile(document: Document, rng: random.Random) -> None:
    text = rng.choice(_HOSTILE)
    document["attributes"]["actor"]["name"] = text
    document["message"]["content"] += f" {text}"


def _bare_actor(document: Document, rng: random.Random) -> None:
    """Give the actor the oldest documented shape."""
    del rng
    actor = document["attributes"]["actor"]
    document["attributes"]["actor"] = {"id": actor["id"], "name": actor["name"], "links": {}}


_ODDITIES = (
    _no_context,
    _no_container,
    _no_location,
    _only_geo,
    _empty_location,
    _no_email,
    _no_message,
    _extra_fields,
    _objects,
    _large,
    _hostile,
    _bare_actor,
)
