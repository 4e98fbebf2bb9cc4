"""Fits a JSON object of any shape into a number of bytes: what is needed least goes first, what is essential stays.

In turns, until it fits: long texts are cut where least is needed; those members go, the biggest first; long texts are
cut elsewhere; all that is not essential goes, the biggest first. Texts are cut before they are encoded, so that no
character and no escape is ever halved. Nothing recurses: the shape comes from outside.
"""

from __future__ import annotations

from bisect import bisect_right
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LENGTHS = (4096, 1024, 256, 64)
"""Characters that texts are cut to, one after the other."""

SHORTEST_ACTOR = 16

_HOLDS_TEXT = (str, dict, list)

Path = tuple[str, ...]
Tree = dict[str, Any]

decode = msgspec.json.Decoder(float_hook=Decimal).decode
"""Decodes without changing a number: `1.10` stays what it is."""

_encode = msgspec.json.Encoder(decimal_format="number").encode


class Plan(NamedTuple):
    """What of an object matters.

    Attributes:
        essential: Members that stay as they are, where they are there.
        actor: Members that say who acted, the strongest first: the first that is there stays; when all else is gone it
            may be cut, unless it is essential besides.
        least: Members that are needed least.
    """

    essential: Sequence[Path]
    actor: Sequence[Path]
    least: Sequence[Path]


def shorten(tree: Tree, limit: int, plan: Plan) -> bytes | None:
    """Return the object in at most `limit` bytes, or None when not even the essentials fit. `tree` is changed.

    Raises RecursionError for what is nested too deeply to be encoded.
    """
    actor = next((path for path in plan.actor if type(words := _at(tree, path)) is str and words), None)
    kept = {path for path in (*plan.essential, *([actor] if actor else [])) if _at(tree, path) is not None}
    body = _encode(tree)
    for some in ([path for path in plan.least if _holds(tree, path)], None):
        members = _others(tree, kept) if some is None else some
        texts = _long_texts(tree, members) if len(body) > limit else []
        for most in LENGTHS:
            if len(body) <= limit:
                return body
            if _cut(texts, most):
                body = _encode(tree)
        if len(body) <= limit:
            return body
        _remove(tree, members, limit)
        if len(body := _encode(tree)) <= limit:
            return body
    return _with_short_actor(tree, actor, limit) if actor is not None and actor not in plan.essential else None


def _at(tree: Any, path: Path) -> Any:
    for name in path:
        tree = tree.get(name) if type(tree) is dict else None
    return tree


def _holds(tree: Tree, path: Path) -> bool:
    parent = _at(tree, path[:-1])
    return type(parent) is dict and path[-1] in parent


def _others(tree: Tree, kept: Iterable[Path]) -> list[Path]:
    """Return every member that neither is kept nor holds one that is, as high up as possible."""
    ways = {path[:depth] for path in kept for depth in range(len(path))} | {()}
    stay = ways.union(kept)
    return [(*way, name) for way in sorted(ways) for name in _at(tree, way) if (*way, name) not in stay]


Place = tuple[Any, Any]
"""An object or array, and the name or number of a value in it."""


def _long_texts(tree: Tree, members: Iterable[Path]) -> list[Place]:
    """Return where every text is that is a member or lies in one, and could be cut; each value is looked at once."""
    stack: list[Place] = [(_at(tree, path[:-1]), path[-1]) for path in members]
    found: list[Place] = []
    while stack:
        place = stack.pop()
        value = place[0][place[1]]
        if type(value) is str:
            if len(value) > LENGTHS[-1]:
                found.append(place)
        elif type(value) is dict:
            stack += [(value, name) for name, inner in value.items() if type(inner) in _HOLDS_TEXT]
        elif type(value) is list:
            stack += [(value, number) for number, inner in enumerate(value) if type(inner) in _HOLDS_TEXT]
    return found


def _cut(texts: Iterable[Place], most: int) -> bool:
    """Cut texts to so many characters; say whether any was longer."""
    cut = False
    for holder, name in texts:
        if len(holder[name]) > most:
            holder[name] = holder[name][:most]
            cut = True
    return cut


def _remove(tree: Tree, paths: Iterable[Path], limit: int) -> None:
    """Remove members, the biggest first, until the object fits."""
    length = len(_encode(tree))
    sized = sorted(((len(_encode({path[-1]: _at(tree, path)})) - 1, path) for path in paths), reverse=True)
    for size, path in sized:
        if length <= limit and (length := len(_encode(tree))) <= limit:  # sizes count a comma too much now and then
            return
        del _at(tree, path[:-1])[path[-1]]
        length -= size


def _with_short_actor(tree: Tree, actor: Path, limit: int) -> bytes | None:
    """Cut who acted to as many characters as fit; too few to recognise anybody are refused."""
    holder, name = _at(tree, actor[:-1]), actor[-1]
    whole: str = holder[name]

    def size(most: int) -> int:
        holder[name] = whole[:most]
        return len(_encode(tree))

    lengths = range(SHORTEST_ACTOR, len(whole))
    fitting = bisect_right(lengths, limit, key=size)
    if fitting == 0:
        return None
    holder[name] = whole[: lengths[fitting - 1]]
    return _encode(tree)
