"""What a page of the stream means for the walk that asked for it: its events by their keys, and the state that follows.

Public sources disagree on what `meta.next` is at the tip, so these are normal and silent: `null` (the cursor last used
is asked again), an unchanged cursor without events, and an empty page with a new cursor (followed). The same cursor
with the same events is a loop. A *full* page without a cursor that can be used is no tip: it is read on by time.

State of a cursor, JSON: `cursor` (last given, or None), `from` (epoch ms, used until there is a cursor), `empties`
(empty pages with a new cursor in a row), `trail` (the newest answers, hashed, to see a loop), `loops` (answers of a
loop in a row), `copies` (events without an id, by hash, and how often each came in this walk lately), and what
`organization_steps` explains.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from forwarder.contracts import CursorState, Held, ListedAction, Page
from forwarder.contracts.identity import EventKeys, content_digests
from forwarder.normalize.times import TimeReader
from forwarder.sources.organization import steps
from forwarder.sources.organization.cursors import Onward
from forwarder.sources.organization.heads import Head, has_user_activity, heads_of

EMPTY_PAGES_TO_TIP = 3
"""So many empty pages in a row, each with a new cursor, are taken for the tip; the cursor is followed all the same."""

TRAIL = 8
"""Answers remembered to recognise a loop, also one over several cursors."""

MOST_LOOPS = TRAIL
"""Answers of a loop in a row after which it is read on by time: any loop that can be seen has come round once."""

MOST_COPIES = 100
"""Events without an id whose number is remembered from page to page."""

DISTRUST_MS = 6 * 3_600_000
"""How long no cursor is believed after several were given and then not known."""

_MOST_SKEW_MS = 3_600_000
"""A time further in the future than this is no measure of how far a walk came."""


class Reading:
    """Turns answers into pages.

    Args:
        keys: Of this feed and organization.
        overlap_ms: How much later than it happened an event may be told before it counts as late.
    """

    def __init__(self, keys: EventKeys, overlap_ms: float) -> None:
        self._keys = keys
        self._overlap_ms = overlap_ms
        self._times = TimeReader()
        self._user_actions: frozenset[bytes] = frozenset()

    def learn(self, listed: Iterable[ListedAction]) -> None:
        """Learn which actions the organization itself lists as user activity."""
        self._user_actions = frozenset(
            msgspec.json.encode(action.id)
            for action in listed
            if any("user activity" in group.lower() for group in action.groups)
        )

    def page_of(self, bodies: Sequence[bytes]) -> Page:
        """Return events that no answer of the API brought just now; copies without an id count as one."""
        heads = heads_of(bodies)
        times = [(head.attributes.time or "") if head.attributes else "" for head in heads]
        processed = [(head.attributes.processedAt or "") if head.attributes else "" for head in heads]
        return Page(
            bodies=bodies,
            keys=self._plain_keys(heads, bodies),
            digests=content_digests(bodies),
            minutes=[_minute(time) for time in times],
            derived=frozenset(position for position, head in enumerate(heads) if not head.id),
            next={},
            newest=self._times.read(max(processed, default="") or max(times, default="")),
        )

    def page(self, state: CursorState, bodies: list[bytes], onward: Onward, *, full: bool, now_ms: int) -> Page:
        """Return the page.

        Args:
            state: What was asked.
            bodies: The events of the answer.
            onward: What it says of the next page.
            full: There are as many as were asked for, so more may follow.
            now_ms: The present, epoch milliseconds.

        Raises:
            Held: No cursor can be used, and no bound in time leads on either.
        """
        if not bodies:
            return self._empty(state, onward, now_ms)
        heads = heads_of(bodies)
        times = [(head.attributes.time or "") if head.attributes else "" for head in heads]
        processed = [(head.attributes.processedAt or "") if head.attributes else "" for head in heads]
        given = self._trusted(state, onward, now_ms)
        plain = self._plain_keys(heads, bodies)
        looping, trail = self._loops(state, plain, given)
        derived = frozenset(position for position, head in enumerate(heads) if not head.id)
        copies = {} if looping else dict(state.get("copies", {}))
        keys = self._count_copies(plain, derived, bodies, copies)
        step: steps.Step | None = None
        loops = state.get("loops", 0) + 1 if looping else 0
        full = full or onward.more
        if (given is None and (full or "at" in state)) or loops > MOST_LOOPS:
            try:
                step = self._step(state, [a or b for a, b in zip(processed, times, strict=True)], full, now_ms)
            except steps.Stuck as stuck:
                if onward.cursor is None or looping:
                    raise _held(stuck) from None
                given = onward.cursor  # not believed, but nothing else leads on
        if step is not None:
            after, more = step.state, step.more
            if looping:
                after = {**after, "without": now_ms + DISTRUST_MS}  # else the next answer leads into the loop again
        elif given is None:
            after, more = {**state, "empties": 0}, False  # the tip: the cursor last used is asked again
        else:
            after = {"cursor": given, "from": state.get("base", state["from"]), "trail": trail}
            after |= {"loops": loops} if loops else {}
            moved = given != state.get("cursor")
            after |= {"copies": copies if moved else state.get("copies", {})} if copies else {}
            more = moved and not looping
        newest = max(processed, default="") or max(times, default="")
        return Page(
            bodies=bodies,
            keys=keys,
            digests=content_digests(bodies),
            minutes=[_minute(time) for time in times],
            derived=derived,
            next=after,
            more=more,
            done=given is None and not more,
            newest=self._times.read(newest),
            stands_at=self._stands_at(processed),
            late=self._late(times, processed),
            looping=looping and step is None,
            user_activity=has_user_activity(heads, self._user_actions),
            by_time=step is not None and (full or not onward.ended or state.get("without", 0) > now_ms),
            since=state["from"] if "at" in state else None,
        )

    def _empty(self, state: CursorState, onward: Onward, now_ms: int) -> Page:
        nothing: dict[str, Any] = {"bodies": (), "keys": (), "digests": (), "minutes": ()}
        following = self._trusted(state, onward, now_ms)
        if "at" in state:
            if following is not None:
                after = {"cursor": following, "from": state["base"], "trail": state.get("trail", [])}
                return Page(**nothing, next=after, done=True)
            step = steps.follow(state, None, full=False, widest=int(self._overlap_ms))
            distrusted = state.get("without", 0) > now_ms
            return Page(
                **nothing,
                next=step.state,
                more=step.more,
                done=not step.more,
                by_time=distrusted or not onward.ended,
                since=state["from"],
            )
        if following is None or following == state.get("cursor"):
            return Page(**nothing, next=state, done=True)
        empties = min(state.get("empties", 0) + 1, EMPTY_PAGES_TO_TIP)
        after = {**state, "cursor": following, "empties": empties}
        at_tip = empties >= EMPTY_PAGES_TO_TIP
        return Page(**nothing, next=after, more=not at_tip, done=at_tip)

    @staticmethod
    def _trusted(state: CursorState, onward: Onward, now_ms: int) -> str | None:
        return onward.cursor if state.get("without", 0) <= now_ms else None

    def begin_steps(self, state: CursorState, at_ms: int, now_ms: int) -> CursorState:
        """Return the state that goes on by time and believes no cursor for a while."""
        return {**steps.begin(state, at_ms), "without": now_ms + DISTRUST_MS}

    # ----------------------------------------------------------------------------------------------------- identity

    def _plain_keys(self, heads: Sequence[Head], bodies: Sequence[bytes]) -> list[bytes]:
        """Return the key of each event; without an id, the key of the first of its bytes."""
        keys = self._keys.keys(head.id or "" for head in heads)
        for position, head in enumerate(heads):
            if not head.id:
                keys[position] = self._keys.derived(bodies[position])
        return keys

    def _count_copies(
        self, plain: list[bytes], derived: frozenset[int], bodies: Sequence[bytes], copies: dict[str, int]
    ) -> list[bytes]:
        """Return the keys with equal events without an id told apart, and count these in `copies`.

        Equal bytes have equal times, so in the order of the stream they stand together: whatever begins anew at a time
        meets all of them, and numbers them in the same way. What a page boundary divides is counted on by the state.
        """
        if not derived:
            return plain
        keys = list(plain)
        for position in sorted(derived):
            name = plain[position][:8].hex()
            before = copies.pop(name, 0)
            copies[name] = before + 1
            if before:
                keys[position] = self._keys.derived(bodies[position], before)
        while len(copies) > MOST_COPIES:
            del copies[next(iter(copies))]
        return keys

    @staticmethod
    def _loops(state: CursorState, keys: list[bytes], following: str | None) -> tuple[bool, list[str]]:
        """Tell whether this very answer came lately, and return the answers to remember.

        A loop is followed all the same: one that runs over several cursors may end at any of them.
        """
        trail: list[str] = state.get("trail", [])
        if following is None:
            return False, trail
        used = str(state.get("cursor") or "")
        parts = [used.encode(), b"\0", following.encode(), b"\0", *keys]
        print_of_page = hashlib.blake2b(b"".join(parts), digest_size=8).hexdigest()
        looping = print_of_page in trail
        return looping, trail if looping else [*trail, print_of_page][-TRAIL:]

    # --------------------------------------------------------------------------------------------------------- times

    def _step(self, state: CursorState, texts: list[str], full: bool, now_ms: int) -> steps.Step:
        """Go on by time from the newest one of the page. Raises Stuck."""
        known = [at for at in map(self._times.read, texts) if at is not None and at <= now_ms + _MOST_SKEW_MS]
        if full and not known:
            raise steps.Stuck("its events carry no time")
        if full and known[0] > known[-1]:
            raise steps.Stuck("its events are not in the order that was asked for")
        newest = steps.middle(known[-steps.LAST :])
        if newest is not None and newest <= state.get("at", -1):  # nothing newer but in the last event, if there
            newest = max(known)
        if "at" not in state:
            return steps.Step(steps.begin(state, newest or state["from"]), more=True)
        return steps.follow(state, newest, full=full, widest=int(self._overlap_ms))

    def _stands_at(self, processed: list[str]) -> int | None:
        """Return where the stream has come to by the last events that say so."""
        last = [text for text in processed[-2 * steps.LAST :] if text][-steps.LAST :]
        return steps.middle([at for at in map(self._times.read, last) if at is not None])

    def _late(self, times: list[str], processed: list[str]) -> int:
        """Count the events that were processed later after they happened than a heal would look back."""
        late = 0
        for happened, seen in zip(times, processed, strict=True):
            if happened[:13] != seen[:13]:  # the same hour is the rule, and needs no parsing
                first, second = self._times.read(happened), self._times.read(seen)
                late += first is not None and second is not None and second - first > self._overlap_ms
        return late


def _minute(time: str) -> str:
    return time[:16] if time[10:11] == "T" else ""


def _held(stuck: steps.Stuck) -> Held:
    return Held(
        f"The API gives no cursor that can be used, and {stuck}: no bound in time leads on.",
        fix="Report it with the shape of the answer's meta: the API, or a proxy before it, has changed.",
        kind="no_cursor",
    )
