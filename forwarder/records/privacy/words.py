"""What a privacy lets through, in words for people: `check` prints it for every sink."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from forwarder.contracts.privacy import PrivacyConfig

ALWAYS = "ids, times, actions, outcomes, products, sites, countries"
"""What no privacy takes out of an event."""

_KINDS = {
    "name": "names of persons",
    "address": "e-mail addresses",
    "titles": "titles",
    "keys": "keys of issues, projects and spaces",
    "spaces": "names of spaces and projects",
    "groups": "names of groups",
    "changes": "changed values",
    "messages": "sentences",
    "links": "what users wrote in links",
    "unknown": "what is not known to be anything else",
}
_IP = {
    "whole": ("IP addresses and where they are", ""),
    "network": ("networks of IP addresses", "whole IP addresses, cities"),
    "none": ("", "IP addresses, cities"),
}
_MAY_NAME = ("titles", "spaces", "messages", "changes", "links", "unknown")
"""Kinds of text in which users may have written the name of a person."""


class Sight(msgspec.Struct, frozen=True):
    """What a reader sees.

    Attributes:
        sees: What comes as it is.
        never: What does not come.
        pseudonyms: What comes under another name.
        notes: What else to know.
    """

    sees: str
    never: str = ""
    pseudonyms: str = ""
    notes: tuple[str, ...] = ()


def sight_of(config: PrivacyConfig) -> Sight:
    """Return what a reader sees of events under a privacy."""
    if not config.active:
        return Sight("everything that the API sends")
    treatments = config.treatments()
    by_treatment = {
        treatment: ", ".join(words for kind, words in _KINDS.items() if treatments[kind] == treatment)
        for treatment in ("store", "drop", "pseudonymise")
    }
    ip, no_ip = _IP[config.ip]
    notes = [f"{path}: {treatment}, whatever else is set" for path, treatment in config.fields.items()]
    stored = [_KINDS[kind] for kind in _MAY_NAME if treatments[kind] == "store"]
    if stored and treatments["name"] != "store":
        notes.append(f"users may have written names of persons into {_listed(stored)}, which are stored")
    return Sight(
        ", ".join(filter(None, (ALWAYS, by_treatment["store"], ip))),
        ", ".join(filter(None, (by_treatment["drop"], no_ip))),
        by_treatment["pseudonymise"],
        tuple(notes),
    )


def _listed(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if words[1:] else words[0]
