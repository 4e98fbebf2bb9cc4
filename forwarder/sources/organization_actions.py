"""The organization's own list of actions: the body of `event-actions`.

Shape: `{"data": [{"id", "type", "attributes": {"displayName", "groupDisplayName"?, "groupDisplayNames"?: []}}],
"meta": {"next"?}}`; the ids are the `action` values of the events (seen in public code; names are localized).
"""

from __future__ import annotations

import msgspec

from forwarder.contracts import ListedAction, Retryable

MOST_PAGES = 50
MOST_ACTIONS = 10_000
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

    Raises Retryable when the body is no such list.
    """
    try:
        page = msgspec.json.decode(body, type=_List)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise Retryable("the answer is no list of actions") from None
    found = []
    for raw in page.data[:MOST_ACTIONS]:
        try:
            item = msgspec.json.decode(raw, type=_Item)
        except (msgspec.DecodeError, ValueError, RecursionError):
            continue
        if not 0 < len(item.id) <= LONGEST_TEXT:
            continue
        told = item.attributes or _Attributes()
        groups = told.groupDisplayNames or ([told.groupDisplayName] if told.groupDisplayName else [])
        names = tuple(group[:LONGEST_TEXT] for group in groups[:10])
        found.append(ListedAction(item.id, (told.displayName or "")[:LONGEST_TEXT], names))
    following = page.meta.next if page.meta is not None else None
    return found, following or None
