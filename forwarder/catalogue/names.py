"""The products and actions that are publicly known: what a rule of a filter can be compared with."""

from __future__ import annotations

from functools import cache

from forwarder.catalogue import read_table
from forwarder.catalogue.known import lines_of

API_PRODUCTS = frozenset({"bitbucket", "confluence", "guard_detect", "jira", "loom"})
"""The products that the organization's API enumerates."""


@cache
def known_products() -> frozenset[str]:
    """Return the products that events may name."""
    named = read_table("vocabulary.toml")["products"].values()
    return frozenset({*API_PRODUCTS, *named, *(line.product for line in lines_of("organization") if line.product)})


@cache
def known_actions() -> frozenset[str]:
    """Return the ids of the organization's actions that are known, in small letters."""
    return frozenset(line.id.lower() for line in lines_of("organization") if line.id)


@cache
def known_acts() -> frozenset[str]:
    """Return the acts that the catalogue's tables give a meaning."""
    words = read_table("vocabulary.toml")
    lines = [(act, line) for kind in read_table("kinds.toml").values() for act, line in kind.items()]
    listed = {act.partition(" ")[0] for act, line in lines if isinstance(line, dict)}
    better = {str(line["act"]) for _, line in lines if isinstance(line, dict) and "act" in line}
    return frozenset({*listed, *better, *words["done"], *words["named"]} - {"*"})


@cache
def known_objects() -> frozenset[str]:
    """Return the kinds of things and the things that the catalogue's tables know."""
    things = read_table("vocabulary.toml")["things"]
    listed = {line.object for name in ("organization", "jira", "confluence") for line in lines_of(name) if line.object}
    return frozenset({*things, *(thing for kind in things.values() for thing in kind), *listed})
