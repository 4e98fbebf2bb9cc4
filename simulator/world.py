"""A made-up organization: people, groups, sites, spaces, pages, projects, apps and tokens, all from one seed.

Names are invented, addresses end in example.com or example.org, IP addresses come from the ranges reserved for
documentation. The same seed builds the same world.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import msgspec

_GIVEN = [
    "Ada",
    "Bela",
    "Cleo",
    "Dara",
    "Edda",
    "Finn",
    "Gwen",
    "Hale",
    "Iris",
    "Jona",
    "Kaya",
    "Levi",
    "Mira",
    "Nilo",
    "Orla",
    "Pax",
    "Quin",
    "Rhea",
    "Sami",
    "Tova",
    "Umi",
    "Vito",
    "Wren",
    "Xenia",
    "Yara",
    "Zeno",
    "Zoë",
    "Łucja",
    "Jürgen",
    "Søren",
    "木子",
    "Дана",
]
_FAMILY = [
    "Alderbrook",
    "Birchfeld",
    "Cedarlund",
    "Duneholm",
    "Elmwater",
    "Fernlow",
    "Glenmoor",
    "Hazelby",
    "Ivyridge",
    "Juniperson",
    "Knollgate",
    "Larkmere",
    "Mossvale",
    "Nettleby",
    "Oakhurst",
    "Pinewick",
    "Quarrylane",
    "Reedmarsh",
    "Stonecrop",
    "Thornby",
    "Umberfield",
    "Valebrook",
    "Willowend",
    "Yarrowby",
    "O'Sedge",
    "Rødkær",
]
_ADJECTIVES = [
    "amber",
    "brisk",
    "calm",
    "dapper",
    "early",
    "fabled",
    "gentle",
    "humble",
    "inner",
    "jolly",
    "keen",
    "lunar",
    "mellow",
    "noble",
]
_NOUNS = [
    "harbour",
    "meadow",
    "lantern",
    "orchard",
    "compass",
    "quarry",
    "beacon",
    "thicket",
    "estuary",
    "granary",
    "ridge",
    "viaduct",
]
_TOPICS = [
    "Onboarding",
    "Release notes",
    "Incident review",
    "Payroll dates",
    "Roadmap",
    "Supplier list",
    "Network plan",
    "Salary bands",
    "Board minutes",
    "Travel policy",
    "Pentest findings",
    "Key rotation",
    "Price list <draft>",
    "Rück- & Ausblick",
    "会议纪要",
]
_SPACES = (("ENG", "Engineering"), ("OPS", "Operations"), ("HR", "People"), ("FIN", "Finance"), ("LEG", "Legal"))
_PROJECTS = ("WEB", "APP", "DATA", "HELP", "SEC")
_GROUPS = ("site-admins", "org-admins", "jira-users", "confluence-users", "contractors", "finance", "security")
_APPS = ("Diagram Forge", "Time Ledger", "Roadmap Lens", "Chat Bridge")


class Place(NamedTuple):
    """Where someone sits."""

    ip: str
    geo: str
    country: str
    region: str
    city: str


_HOME = (
    ("DE", "Germany", "Hessen", "Frankfurt am Main"),
    ("NL", "Netherlands", "Noord-Holland", "Amsterdam"),
    ("IE", "Ireland", "Leinster", "Dublin"),
    ("SE", "Sweden", "Stockholms län", "Stockholm"),
)
_ABROAD = (
    ("BR", "Brazil", "São Paulo", "São Paulo"),
    ("SG", "Singapore", "", "Singapore"),
    ("CA", "Canada", "Ontario", "Toronto"),
    ("NZ", "New Zealand", "Auckland", "Auckland"),
)


class Person(msgspec.Struct, frozen=True, gc=False):
    """An account. `early` shifts the working day by hours."""

    id: str
    name: str
    email: str
    home: Place
    early: int = 0


class Site(msgspec.Struct, frozen=True, gc=False):
    """A cloud site with its host."""

    id: str
    name: str
    url: str


class Content(msgspec.Struct, frozen=True, gc=False):
    """A page or an issue. `title` and `key` are what users wrote; `id` is not."""

    id: str
    title: str
    key: str
    holder: str
    site: Site
    url: str


class Named(msgspec.Struct, frozen=True, gc=False):
    """A group, app, token or anything else with an id and a name."""

    id: str
    name: str


def uuid(rng: random.Random) -> str:
    """Return a version 4 UUID from the given dice."""
    text = f"{rng.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[int(text[16], 16) & 3]}{text[17:20]}-{text[20:]}"


class World:
    """Everybody and everything in one organization.

    Args:
        seed: Same seed, same world.
        people: How many accounts.
    """

    def __init__(self, seed: int | str, people: int = 60) -> None:
        rng = random.Random(f"world {seed}")
        self.id = uuid(rng)
        self.name = f"{rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS)}"
        self.people = [_person(rng, number) for number in range(people)]
        self.admins = self.people[:3]
        self.sites = [_site(rng, rng.choice(_ADJECTIVES), noun) for noun in rng.sample(_NOUNS, 2)]
        self.pages = [_page(rng, self.sites[number % 2], number) for number in range(600)]
        self.issues = [_issue(rng, self.sites[number % 2], number) for number in range(800)]
        self.groups = [Named(uuid(rng), name) for name in _GROUPS]
        self.apps = [Named(uuid(rng), name) for name in _APPS]
        self.tokens = {person.id: Named(uuid(rng), f"token {rng.randrange(1000)}") for person in self.people[::4]}

    def abroad(self, rng: random.Random) -> Place:
        """Return a place no one in this organization works from."""
        return Place(f"203.0.113.{rng.randrange(1, 255)}", *rng.choice(_ABROAD))


def _person(rng: random.Random, number: int) -> Person:
    given, family = rng.choice(_GIVEN), rng.choice(_FAMILY)
    account = (
        f"557058:{uuid(rng)}",
        f"712020:{uuid(rng)}",
        f"{rng.getrandbits(96):024x}",
    )[number % 3]
    letters = "".join(letter for letter in f"{given}.{family}".lower() if letter.isascii() and letter not in "' ")
    address = f"{letters.strip('.')}{number}@{'example.org' if number % 5 == 0 else 'example.com'}"
    ip = f"2001:db8:{number:x}::{rng.randrange(1, 0xFFFF):x}" if number % 7 == 3 else f"192.0.2.{number % 250 + 1}"
    return Person(account, f"{given} {family}", address, Place(ip, *rng.choice(_HOME)), rng.randrange(-2, 3))


def _site(rng: random.Random, adjective: str, noun: str) -> Site:
    return Site(uuid(rng), f"{adjective}-{noun}", f"https://{adjective}-{noun}.example.net")


def _page(rng: random.Random, site: Site, number: int) -> Content:
    key, holder = _SPACES[number % len(_SPACES)]
    ident = str(rng.randrange(10**5, 10**7) * 1000 + number)
    title = f"{rng.choice(_TOPICS)} {number}"
    return Content(ident, title, key, holder, site, f"{site.url}/wiki/spaces/{key}/pages/{ident}")


def _issue(rng: random.Random, site: Site, number: int) -> Content:
    key = f"{_PROJECTS[number % len(_PROJECTS)]}-{number + 1}"
    ident = str(rng.randrange(10, 900) * 1000 + number)
    return Content(
        ident, f"{rng.choice(_TOPICS)} {number}", key, key.partition("-")[0], site, f"{site.url}/browse/{key}"
    )
