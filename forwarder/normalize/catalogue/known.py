"""The products and actions that are publicly known: what a rule of a filter can be compared with."""

from __future__ import annotations

from functools import cache

from forwarder.normalize.catalogue import read_table
from forwarder.normalize.catalogue.records import lines_of
from forwarder.normalize.things import API_PRODUCTS


@cache
def known_products() -> frozenset[str]:
    """Return the products that events may name."""
    named = read_table("words.toml")["products"].values()
    return frozenset({*API_PRODUCTS, *named, *(line.product for line in lines_of("organization") if line.product)})


@cache
def known_actions() -> frozenset[str]:
    """Return the ids of the organization's actions that are known, in small letters."""
    return frozenset(line.id.lower() for line in lines_of("organization") if line.id)
