"""Fits an OCSF event into a number of bytes so that it stays one: what its class requires is never taken away."""

from __future__ import annotations

from typing import Any

from forwarder.formats.kit.json_shortening import Plan, Tree
from forwarder.formats.kit.json_shortening import shorten as shorten_json

SHORTEST = 64
"""Characters that names in required members keep at last; ids there stay whole."""

REQUIRED = ("user", "service", "group", "entity", "web_resources", "api", "finding_info", "privileges")
CLASS = (
    *("activity_id", "activity_name", "category_uid", "class_uid", "type_uid", "severity_id", "status_id", "time"),
    *("account_switch_type_id", "account_switch_type"),
)
METADATA = (
    *("version", "product", "profiles", "tenant_uid", "event_code", "uid", "original_event_uid", "labels"),
    *("is_truncated", "untruncated_size"),
)
_LONGEST_MAIL = 64  # what cutting may leave whole: half an address is none


def _plan(tree: Tree) -> Plan:
    api: tuple[str, ...] = ()
    if "api" in tree:  # this class requires both of them; a user is looked after below
        api = ("src_endpoint",) if "user" in tree.get("actor", {}) else ("src_endpoint", "actor")
    return Plan(
        essential=(
            *((name,) for name in (*CLASS, *REQUIRED, *api)),
            *(("metadata", name) for name in METADATA),
            *(("actor", "user", name) for name in ("uid", "type_id", "type")),
            *(("unmapped", name) for name in ("layer", "instead_of", "late")),
        ),
        # never the address: it is the name again, and a user needs an id or a name
        actor=(("actor", "user", "uid"), ("actor", "user", "name"), ("actor",)),
        least=tuple(("unmapped", name) for name in ("container", "context", "changes")),
    )


def shorten(tree: Tree, size: int, limit: int) -> bytes | None:
    """Return the event in at most `limit` bytes, marked as cut, or None when not even the essentials fit.

    Args:
        tree: The event; changed.
        size: Bytes it has.
        limit: Bytes it may have.
    """
    tree.pop("raw_data", None)  # the whole or nothing: half of it would be no original
    tree.pop("observables", None)  # the same again elsewhere, and what they point at may be cut
    tree["metadata"] |= {"is_truncated": True, "untruncated_size": -(-size // 1024)}
    for person in (tree.get("user"), tree.get("actor", {}).get("user"), tree.get("entity", {}).get("user")):
        if person is not None and len(person.get("email_addr", "")) > _LONGEST_MAIL:
            del person["email_addr"]  # the name is the same, and may be cut
    whole = shorten_json(tree, limit, _plan(tree))
    if whole is not None:
        return whole
    for name in REQUIRED:
        if name in tree:
            tree[name] = _barest(tree[name])
    return shorten_json(tree, limit, _plan(tree))


def _barest(body: Any) -> Any:
    """Return a required member with ids whole and other texts cut, without what it need not have."""
    if isinstance(body, list):
        return [_barest(one) for one in body]
    if isinstance(body, str):
        return body[:SHORTEST]
    if not isinstance(body, dict):
        return body
    kept = {name: value for name, value in body.items() if name not in {"url_string", "email_addr", "display_name"}}
    return {name: value if name == "uid" else _barest(value) for name, value in kept.items()}
