"""The organization's own list of actions: the body of `event-actions`.

Shape: `{"data": [{"id", "type", "attributes": {"displayName", "groupDisplayName"?, "groupDisplayNames"?: []}}],
"meta": {"next"?}}`; the ids are the `action` values of the events (seen in public code; names are localized).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from forwarder.contracts import ListedAction, Retryable
from forwarder.net.http import UNREADABLE
from forwarder.net.json_size import is_beyond_reading

MOST_PAGES = 500
MOST_ACTIONS = 10_000
"""Actions of a whole list; organizations were seen to have some 1 500."""
LONGEST_PAGE = 4 * 2**20
"""Bytes of one page."""
LONGEST_TEXT = 200


class _Attributes(msgspec.Struct):
    displayName: str | None = None  # noqa: N815 - the API's own names
    groupDisplayName: str | None = None  # noqa: N815
    groupDisplayNames: list[str] | None = None  # noqa: N815


class _Item(msgspec.Struct):
    id: str
    attributes: _Attributes | None = None


class _Meta(msgspec.Struct):
    next: str | None = None


class _List(msgspec.Struct):
    data: list[msgspec.Raw]
    meta: _Meta | None = None


def actions_of(body: bytes) -> tuple[list[ListedAction], str | None]:
    """Return the actions of a page and the cursor of the next; an item with another shape is left out.

    Raises Retryable when the body is not such a list, or is longer than any could be.
    """
    if len(body) > LONGEST_PAGE or is_beyond_reading(body):
        raise Retryable("a page of the list of actions is longer than any list could be", kind="too_large")
    try:
        page = msgspec.json.decode(body, type=_List)
    except UNREADABLE:
        raise Retryable("the answer is not a list of actions", kind="not_json") from None
    if len(page.data) > MOST_ACTIONS:
        raise _too_many()
    found = []
    for raw in page.data:
        try:
            item = msgspec.json.decode(raw, type=_Item)
        except UNREADABLE:
            continue
        if not 0 < len(item.id) <= LONGEST_TEXT:
            continue
        attributes = item.attributes or _Attributes()
        groups = attributes.groupDisplayNames or ([attributes.groupDisplayName] if attributes.groupDisplayName else [])
        names = tuple(group[:LONGEST_TEXT] for group in groups[:10])
        found.append(ListedAction(item.id, (attributes.displayName or "")[:LONGEST_TEXT], names))
    following = page.meta.next if page.meta is not None else None
    return found, following or None


async def read_list(ask: Callable[[str | None], Awaitable[bytes]]) -> list[ListedAction]:
    """Read the list page by page.

    Args:
        ask: Returns the page at a cursor, or the first one.

    Raises:
        Retryable: A page is not one, or the list does not end where any list would.
    """
    cursor: str | None = None
    found: list[ListedAction] = []
    for _ in range(MOST_PAGES):
        page, following = actions_of(await ask(cursor))
        found += page
        if len(found) > MOST_ACTIONS:
            raise _too_many()
        if following is None or following == cursor:
            return found
        cursor = following
    raise _too_many()


def _too_many() -> Retryable:
    """Return the error for a list that does not end: the first of them alone would hide that there is more."""
    return Retryable(f"the list names more than {MOST_ACTIONS} actions, more than any list could", kind="too_large")
