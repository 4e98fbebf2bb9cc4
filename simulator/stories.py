"""The stories an analyst should find in the history: each is a short list of happenings that belong together.

Times are relative to `night`, an early morning (UTC) inside the history. Every story names what it is about, so that
a test can ask which events belong to it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from simulator.happenings import (
    Happening,
    administered,
    authentication_policy,
    group,
    logged_in,
    looked_at,
    user,
)
from simulator.world import Named, Person, World, uuid

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_MINUTE = 60_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
PAGES_AT_NIGHT = 400
DELETED_ISSUES = 30


def compromised_account(world: World, rng: random.Random, night: int) -> list[Happening]:
    """Tell of a few failed logins from abroad, one that works, and 400 pages viewed before dawn."""
    victim, place = world.people[7], world.abroad(rng)
    story = [logged_in(night + step * 9_000, victim, ok=False, place=place) for step in range(6)]
    story.append(logged_in(night + _MINUTE, victim, place=place))
    now = night + 2 * _MINUTE
    for page in rng.sample(world.pages, PAGES_AT_NIGHT):
        now += rng.randrange(8_000, 20_000)
        story.append(looked_at(now, victim, page, place=place))
    return story


def impersonating_admin(world: World, rng: random.Random, night: int) -> list[Happening]:
    """Tell of an administrator who logs in as someone from finance and reads as that person."""
    admin, victim = world.admins[1], world.people[12]
    start = night + 18 * _HOUR
    message = f"Logged in as {victim.name}"
    story = [
        logged_in(start, admin),
        administered(start + _MINUTE, admin, "user_logged_in_as_user", message, context=[user(victim)]),
    ]
    now = start + 2 * _MINUTE
    for page in rng.sample([page for page in world.pages if page.key == "FIN"], 12):
        now += rng.randrange(10_000, 60_000)
        story.append(looked_at(now, victim, page, place=admin.home, acting_for=admin))
    return story


def mass_export(world: World, rng: random.Random, night: int) -> list[Happening]:
    """Tell of someone who is made organization admin and exports every space within the hour."""
    admin, leaver = world.admins[0], world.people[21]
    start = night + 15 * _HOUR
    story = [
        administered(
            start, admin, "added_org_admin", f"Made {leaver.name} an organization admin", context=[user(leaver)]
        ),
        logged_in(start + 5 * _MINUTE, leaver),
    ]
    now = start + 6 * _MINUTE
    seen: set[str] = set()
    for page in world.pages:
        if page.holder in seen:
            continue
        seen.add(page.holder)
        attributes = {"name": page.holder, "key": page.key}
        space = {"id": page.id, "type": "space", "attributes": attributes, "links": {}}
        for step, words in (("completed", "Completed"), ("downloaded", "Downloaded")):
            now += rng.randrange(60_000, 4 * _MINUTE)
            action, message = f"confluence_space_export_{step}", f"{words} space export of {page.holder}"
            story.append(administered(now, leaver, action, message, context=[space], site=page.site))
    return story


def token_from_abroad(world: World, rng: random.Random, night: int) -> list[Happening]:
    """Tell of an API token that is made from abroad, right after 2SV was switched off, and used at once."""
    victim, place = world.people[30], world.abroad(rng)
    start = night + _DAY
    token = Named(uuid(rng), "backup")
    thing = {"id": token.id, "type": "api-tokens", "attributes": {"name": token.name}, "links": {}}
    story = [
        logged_in(start, victim, place=place),
        administered(
            start + _MINUTE,
            victim,
            "twosv_disabled_for_user",
            "Disabled two-step verification",
            context=[user(victim)],
            place=place,
        ),
        administered(
            start + 2 * _MINUTE,
            victim,
            "api_token_created",
            "Created API token",
            context=[user(victim), thing],
            place=place,
        ),
    ]
    now = start + 4 * _MINUTE
    for issue in rng.sample(world.issues, 60):
        now += rng.randrange(300, 1_500)
        story.append(looked_at(now, victim, issue, place=place, auth="api-token", token=token))
    return story


def quiet_takeover(world: World, rng: random.Random, night: int) -> list[Happening]:
    """Tell of a group that gets admin access and loses its traces: made, granted, filled, deleted."""
    admin: Person = world.admins[2]
    start = night + 22 * _HOUR
    shadow = Named(uuid(rng), "temp-4711")
    steps = ("group_created", "group_granted_admin_access", "user_added_to_group", "group_deleted")
    return [
        administered(
            start + number * 7 * _MINUTE, admin, action, action.replace("_", " ").capitalize(), context=[group(shadow)]
        )
        for number, action in enumerate(steps)
    ]


def covered_tracks(world: World, rng: random.Random, night: int) -> list[Happening]:
    """Tell of an administrator who weakens how people sign in, and of issues deleted at the weekend."""
    admin, leaver = world.admins[0], world.people[40]
    friday = night // _DAY * _DAY
    while datetime.fromtimestamp(friday / 1000, UTC).weekday() != 4:
        friday += _DAY
    start = friday + 16 * _HOUR
    story = [
        authentication_policy(start, admin, world, "passwordOnly"),
        authentication_policy(start + _MINUTE, admin, world, "twoStepOptional"),
        logged_in(start + 22 * _HOUR, leaver),
    ]
    now = start + 22 * _HOUR + _MINUTE
    for issue in [issue for issue in world.issues if issue.holder == "SEC"][:DELETED_ISSUES]:
        now += rng.randrange(3_000, 9_000)
        story.append(looked_at(now, leaver, issue, "deleted"))
    return story


STORIES: tuple[Callable[[World, random.Random, int], list[Happening]], ...] = (
    compromised_account,
    impersonating_admin,
    mass_export,
    token_from_abroad,
    quiet_takeover,
    covered_tracks,
)
"""Every story, in the order they are told."""

EVENTS_NEEDED = 2_000
"""Histories with fewer events have no stories: they would be nothing else."""


def tell(world: World, rng: random.Random, start_ms: int, end_ms: int) -> dict[str, list[Happening]]:
    """Return every story by name, placed inside the window; what would lie outside it is left out."""
    first_night = (start_ms // _DAY + 1) * _DAY + 2 * _HOUR
    nights = max((end_ms - first_night) // _DAY - 1, 1)
    by_story = {}
    for number, story in enumerate(STORIES):
        night = first_night + (number * 2 % nights) * _DAY
        happened = story(world, rng, night)
        by_story[story.__name__] = [one for one in happened if start_ms <= one.time_ms < end_ms]
    return by_story
