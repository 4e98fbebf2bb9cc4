"""What people do in a simulated organization: one happening is one future event, before it has any JSON.

`background` is an ordinary week: sessions by hour of day, mostly views, some edits, a little administration, machines
at all hours. Stories are in `stories`. Nothing here knows the API.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from simulator.actions import UNKNOWN
from simulator.world import Content, Named, Person, Place, Site, World, uuid

Thing = dict[str, Any]

_WEEKDAY = (1, 1, 1, 1, 1, 2, 6, 20, 60, 90, 95, 85, 60, 85, 95, 90, 75, 45, 20, 12, 8, 6, 3, 2)
"""How much people do in each hour of a working day; a day off has a tenth of it in the daytime."""
_PEAK = max(_WEEKDAY)
_SYSTEM = Person("confluence", "Confluence", "Atlassian app", Place("", "", "", "", ""))


class Happening(msgspec.Struct, gc=False, kw_only=True):
    """Someone did something.

    Attributes:
        message: What the log says; `without_content` is what it says when user content is not stored.
        content: The page or issue concerned, if any; its title, key and URL are user-generated.
        place: Where from; None when unknown.
        auth: Kind of authentication, with the token if there is one.
    """

    time_ms: int
    action: str
    person: Person
    message: str
    without_content: str = ""
    place: Place | None = None
    content: Content | None = None
    site: Site | None = None
    context: list[Thing] = []
    extra: Thing = {}
    auth: str = "session"
    token: Named | None = None
    app: Named | None = None
    acting_for: Person | None = None


def user(person: Person) -> Thing:
    """Describe a person as something acted on."""
    return {
        "id": person.id,
        "type": "users",
        "attributes": {"name": person.name, "email": person.email, "accountType": "atlassian"},
        "links": {"self": f"https://api.atlassian.com/users/{person.id}", "alt": ""},
    }


def group(found: Named) -> Thing:
    """Describe a group as something acted on."""
    return {"id": found.id, "type": "groups", "attributes": {"groupName": found.name}, "links": {}}


def looked_at(time_ms: int, person: Person, content: Content, verb: str = "viewed", **more: Any) -> Happening:
    """Someone viewed, created, updated or deleted a page or an issue."""
    past = {"viewed": "Viewed", "created": "Created", "updated": "Edited", "deleted": "Deleted"}[verb]
    is_issue = content.url.endswith(f"/browse/{content.key}")
    what, shown = ("Jira issue", content.key) if is_issue else ("Confluence page", content.title)
    more.setdefault("place", person.home)
    return Happening(
        time_ms=time_ms,
        action=f"{'jira_issue' if is_issue else 'confluence_page'}_{verb}",
        person=person,
        message=f"{past} {what} {shown}",
        without_content=f"{past} {what}",
        content=content,
        site=content.site,
        **more,
    )


def logged_in(time_ms: int, person: Person, *, ok: bool = True, place: Place | None = None) -> Happening:
    """Someone logged in, or failed to."""
    return Happening(
        time_ms=time_ms,
        action="user_login" if ok else "user_login_failed",
        person=person,
        message="Logged in to account" if ok else "Failed to log in to account",
        place=place or person.home,
        context=[user(person)],
    )


def administered(time_ms: int, person: Person, action: str, message: str, **more: Any) -> Happening:
    """An administrator changed something."""
    more.setdefault("place", person.home)
    return Happening(time_ms=time_ms, action=action, person=person, message=message, **more)


class Background:
    """Ordinary activity without end.

    Args:
        world: Who and what there is.
        rng: The only source of chance.
    """

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world = world
        self._rng = rng

    def over(self, start_ms: int, end_ms: int, count: int) -> list[Happening]:
        """Return `count` happenings between two moments, in order of time, more of them when people work."""
        found: list[Happening] = []
        while len(found) < count:
            burst = list(self._burst(self._moment(start_ms, end_ms)))
            if burst[0].time_ms < start_ms:
                continue  # someone whose working day is early began before the first moment
            for happening in burst:
                happening.time_ms = min(happening.time_ms, end_ms)
                found.append(happening)
        del found[count:]
        found.sort(key=lambda happening: happening.time_ms)
        return found

    def forever(self) -> Iterator[Happening]:
        """Yield happenings without end; their times are only good for their order."""
        while True:
            yield from self._burst(0)

    def _moment(self, start_ms: int, end_ms: int) -> int:
        while True:
            moment = self._rng.randrange(start_ms, max(end_ms, start_ms + 1))
            when = datetime.fromtimestamp(moment / 1000, UTC)
            weight = _WEEKDAY[when.hour] * (0.1 if when.weekday() > 4 else 1.0)
            if self._rng.random() * _PEAK < weight:
                return moment

    def _burst(self, start: int) -> Iterator[Happening]:
        kind = self._rng.random()
        if kind < 0.80:
            return self._session(start)
        if kind < 0.90:
            return iter([self._administration(start)])
        if kind < 0.97:
            return self._machine(start)
        return iter([self._system(start)])

    def _session(self, start: int) -> Iterator[Happening]:
        rng, world = self._rng, self._world
        person = rng.choice(world.people)
        now = start + person.early * 600_000
        if rng.random() < 0.08:
            yield logged_in(now, person, ok=False)
            now += rng.randrange(3_000, 20_000)
        yield logged_in(now, person)
        for _ in range(rng.randrange(2, 25)):
            now += int(rng.expovariate(1 / 60_000)) + 400
            dice = rng.random()
            content = rng.choice(world.pages if rng.random() < 0.55 else world.issues)
            if dice < 0.02:
                yield self._search(now, person)
            else:
                yield looked_at(
                    now, person, content, "viewed" if dice < 0.8 else "updated" if dice < 0.95 else "created"
                )
        if rng.random() < 0.4:
            yield administered(now + 30_000, person, "user_logout", "Logged out of account", context=[user(person)])

    def _search(self, now: int, person: Person) -> Happening:
        return administered(
            now, person, "rovo_search_performed", "Searched with Rovo", extra={"actionCategory": "search"}
        )

    def _machine(self, start: int) -> Iterator[Happening]:
        """Yield what a token or an app does: quick, regular, at any hour."""
        rng, world = self._rng, self._world
        owner = rng.choice([person for person in world.people if person.id in world.tokens])
        app = rng.choice(world.apps) if rng.random() < 0.3 else None
        now = start - rng.randrange(12 * 3600_000)
        for _ in range(rng.randrange(5, 30)):
            now += rng.randrange(200, 2_000)
            yield looked_at(
                now,
                owner,
                rng.choice(world.issues),
                auth="auth-token-for-3LO" if app else "api-token",
                token=None if app else world.tokens[owner.id],
                app=app,
            )

    def _system(self, now: int) -> Happening:
        page = self._rng.choice(self._world.pages)
        action = "confluence_audit_record_removed_content_restriction"
        if self._rng.random() < 0.1:
            return Happening(time_ms=now, action=UNKNOWN, person=_SYSTEM, message="Board rearranged", site=page.site)
        message = f"Removed restriction from {page.title}"
        without_content = "Removed content restriction"
        return Happening(
            time_ms=now,
            action=action,
            person=_SYSTEM,
            message=message,
            without_content=without_content,
            content=page,
            site=page.site,
        )

    def _administration(self, now: int) -> Happening:
        admin = self._rng.choice(self._world.admins)
        return self._rng.choice(_ADMINISTRATION)(now, admin, self._world, self._rng)


def _set(now: int, admin: Person, world: World, name: str, value: str, message: str) -> Happening:
    attributes = {"settingName": name, "settingValues": value}
    thing = {"id": world.id, "type": "orgs", "attributes": attributes, "links": {}}
    return administered(now, admin, "org_settings_update", message, context=[thing])


def authentication_policy(now: int, admin: Person, world: World, value: str) -> Happening:
    """An administrator changed how people sign in."""
    return _set(now, admin, world, "AuthenticationPolicy", value, "Changed authentication policy")


_Deed = Callable[[int, Person, World, random.Random], Happening]


def _membership(now: int, admin: Person, world: World, rng: random.Random) -> Happening:
    whom, where = rng.choice(world.people), rng.choice(world.groups)
    message = f"Added {whom.name} to group {where.name}"
    return administered(now, admin, "user_added_to_group", message, context=[user(whom), group(where)])


def _role(now: int, admin: Person, world: World, rng: random.Random) -> Happening:
    whom, action = rng.choice(world.people), rng.choice(("user_granted_role", "user_revoked_role"))
    words = "Granted" if "granted" in action else "Revoked"
    role = rng.choice(("product/admin", "product/user"))
    context = [{**user(whom), "attributes": {**user(whom)["attributes"], "role": role}}]
    return administered(now, admin, action, f"{words} role {role}", context=context)


def _invitation(now: int, admin: Person, world: World, rng: random.Random) -> Happening:
    del world
    address = f"guest{rng.randrange(1000)}@example.org"
    thing = {"id": address, "type": "invited-user", "attributes": {"email": address}, "links": {}}
    return administered(now, admin, "user_invitation_sent", f"Invited {address}", context=[thing])


def _setting(now: int, admin: Person, world: World, rng: random.Random) -> Happening:
    if rng.random() < 0.5:
        return authentication_policy(now, admin, world, rng.choice(("samlEnabled", "twoStepEnforced")))
    who = rng.choice(("anyone", "approvedDomains"))
    return _set(now, admin, world, "InviteSettings", who, "Changed who may invite")


def _permission(now: int, admin: Person, world: World, rng: random.Random) -> Happening:
    page, whom = rng.choice(world.pages), rng.choice(world.groups)
    attributes = {"name": page.holder, "key": page.key, "permissionName": "VIEWSPACE"}
    space = {"id": page.id, "type": "space", "attributes": attributes, "links": {}}
    message = f"Added space permission in {page.holder}"
    context = [space, group(whom)]
    return administered(now, admin, "confluence_added_space_permission", message, context=context, site=page.site)


def _app(now: int, admin: Person, world: World, rng: random.Random) -> Happening:
    app = rng.choice(world.apps)
    thing = {"id": app.id, "type": "apps", "attributes": {"name": app.name, "vendor": "Example Works"}, "links": {}}
    return administered(now, admin, "marketplace_app_installed", f"Installed {app.name}", context=[thing])


def _token(now: int, admin: Person, world: World, rng: random.Random) -> Happening:
    del admin
    whom, token = rng.choice(world.people), Named(uuid(rng), "build")
    thing = {"id": token.id, "type": "api-tokens", "attributes": {"name": token.name}, "links": {}}
    return administered(now, whom, "api_token_created", "Created API token", context=[user(whom), thing])


def _users(now: int, admin: Person, world: World, rng: random.Random) -> Happening:
    del world, rng
    return administered(now, admin, "organization_users_viewed", "Viewed the list of users")


_ADMINISTRATION: tuple[_Deed, ...] = (_membership, _role, _invitation, _setting, _permission, _app, _token, _users)
