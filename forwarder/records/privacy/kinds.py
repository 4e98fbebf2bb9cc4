"""What becomes of a value by the kind of text it is (`tables`), under the settings of one sink.

The API's own kinds stay as far as they can be what the table says; what cannot is unknown, whatever stands in its
place. The others are stored, left out, or given a pseudonym. What is stored loses the addresses that stand in it, of
mail and of machines, where those are private.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address, ip_network
from types import NoneType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from forwarder.contracts.privacy import strictest
from forwarder.normalize.addresses import valid_ip, valid_mail

if TYPE_CHECKING:
    from forwarder.contracts.privacy import PrivacyConfig, Treatment
    from forwarder.records.privacy.pseudonyms import Pseudonyms

LOST: Any = object()
"""Stands for what is left out."""

UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
ACCOUNT = rf"(?:[0-9]{{1,10}}:|ug:|qm:)?{UUID}(?::[0-9]{{1,10}})?|[0-9a-f]{{12,64}}|5[0-9a-f]{{5}}[0-9a-z]{{18}}"
ID = (
    rf"{ACCOUNT}|[0-9]{{1,20}}|-[0-9]{{1,3}}|\{{{UUID}\}}|JIRAUSER[0-9]{{1,12}}"
    rf"|ari:cloud:[a-z-]{{1,40}}:[0-9a-f-]{{0,36}}:[a-z/-]{{1,60}}/(?:{ACCOUNT}|[0-9]{{1,20}})"
)
"""Ids in which nobody can write anything; the sources of patterns here match no quote and no backslash."""

WORD = r"[A-Za-z0-9_.:+-]{1,100}(?:/[A-Za-z0-9_.:+-]{1,100}){0,4}"
TIME = r"[0-9]{4}-[0-9]{2}[0-9TtZz:.,+ -]{0,48}"
SITE = r"[A-Za-z0-9][A-Za-z0-9-]{0,62}"

_opaque = re.compile(ID, re.ASCII).fullmatch
_word = re.compile(WORD, re.ASCII).fullmatch
_time = re.compile(TIME, re.ASCII).fullmatch
_site = re.compile(SITE, re.ASCII).fullmatch
_phrase = re.compile(r"(?!.*(?:://|%40))[^@\uff20\x00-\x1f\x7f]{0,200}").fullmatch
_host = re.compile(rf"{SITE}(?:\.{SITE}){{1,10}}", re.ASCII).fullmatch
_with_port = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):[0-9]{1,5}", re.ASCII).fullmatch
_OF_MAIL = r"[^\s@\uff20<>(),;:\"\[\]\\]"
_MAIL = re.compile(
    rf"(?:(?<!{_OF_MAIL}){_OF_MAIL}+|\"[^\"\n]{{1,64}}\")[@\uff20](?:(?!'){_OF_MAIL})+"
    r"|(?<![\w.+'%-])[\w.+'%-]+%40[\w.-]+"
)
"""An address of mail in a text; what comes before its sign is looked at once only, however long it is."""

_V4 = re.compile(r"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9]|\.[0-9])", re.ASCII)
_IP = re.compile(r"(?<![0-9A-Fa-f:.])[0-9A-Fa-f:.]*[0-9A-Fa-f:](?![0-9A-Fa-f:])")
_ADDRESSES = re.compile(r"https?", re.IGNORECASE).fullmatch
_MEMBERS_OF_TIME = {"epochSecond", "nano"}

NOT_PEOPLE = frozenset({"anonymous", "unidentified", "system", "atlassian support", "jira", "confluence", "bitbucket"})
"""Ids and names of actors that are no account."""

ROLES = frozenset(
    (
        *("admin", "administrator", "administrators", "basic", "user", "users", "member", "members", "owner", "viewer"),
        *("editor", "guest", "contributor", "manager", "product", "site", "org", "organization", "billing", "trusted"),
        *("support", "agent", "customer", "reader", "writer", "read", "write", "none"),
    )
)
"""Parts of the names of roles that are the product's own; people make roles, too."""

SEGMENTS = frozenset(
    (
        *("admin", "v1", "orgs", "org", "o", "s", "events", "users", "groups", "wiki", "spaces", "pages", "browse"),
        *("jira", "projects", "repositories", "rest", "api", "settings", "people", "issues", "boards", "software"),
    )
)
"""Parts of an address that its product has written."""

_HEX = "[0-9a-f]"
LOWER_ID = rf"(?:[0-9]{{1,10}}:)?{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}"
LOWER_HOST = r"[a-z0-9][a-z0-9-]{0,62}(?:\.[a-z0-9][a-z0-9-]{0,62}){1,4}"
kept_of = re.compile(
    rf"https://{LOWER_HOST}(?:/(?:{'|'.join(sorted(SEGMENTS))}|{LOWER_ID}|[0-9]{{1,20}})(?=/|$))*(?=$|[/?#])", re.ASCII
).match
"""Finds what stays of an ordinary address."""

CONTENT = ("titles", "keys", "spaces", "groups", "changes", "messages", "unknown")
_ITSELF = {"name", "address", "account", "id", "either", "either_id", "ip", "place"}
Change = Callable[[Any], Any]


def may_be_own(text: str, feed: str = "") -> bool:
    """Say whether a text can be the name of an action that the API gave: it may then be shown to anybody.

    The organization's are words, the others' may be phrases.
    """
    return not text or (_word if feed == "organization" else _phrase)(text) is not None


def _is_time(tree: dict[str, Any]) -> bool:
    return tree.keys() <= _MEMBERS_OF_TIME and all(type(number) is int for number in tree.values())


class Kinds:
    """Changes values of every kind of text.

    Args:
        config: What is stored, left out, or given a pseudonym.
        pseudonyms: Makes them; None where nothing wants any.
    """

    def __init__(self, config: PrivacyConfig, pseudonyms: Pseudonyms | None) -> None:
        self.treatments = config.treatments()
        self._pseudonyms = pseudonyms
        self.ip = config.ip
        own: dict[str, Change] = {
            "word": partial(self._own, _word),
            "phrase": self._own_phrase,
            "time": partial(self._own, _time),
            "number": partial(self._own, re.compile(r"[0-9]{1,20}|true|false", re.ASCII).fullmatch),
            "site": self._site,
            "role": self._role,
            "id": self._id,
            "account": self._account,
            "ip": self._address,
            "place": self._place,
            "host": self._host,
            "links": self._link,
            "api": lambda text: self._masked(text) if self.treatments["links"] == "store" else LOST,
            "name": self._name,
            "address": partial(self._treated, "address"),
            "either": partial(self._treated, "either"),
            "either_id": self._either_id,
            "hidden": lambda _: LOST,
        }
        self._of_text = own | {kind: partial(self._treated, kind) for kind in CONTENT} | {"groups": self._group}
        self.treatments["either"] = strictest(self.treatments["titles"], self.treatments["name"])
        self.treatments["handle"] = strictest(
            *(self.treatments[kind] for kind in ("titles", "keys", "spaces", "groups"))
        )

    def change(self, kind: str) -> Change:
        """Return what becomes of a value of a kind, of whatever shape it is."""
        of_text = self._of_text[kind]
        whole = kind if kind in CONTENT else "unknown"
        where_from = kind in {"ip", "place"}
        numbers_stay = kind not in {*CONTENT, "ip", "place", "name", "address", "either"}

        def change(value: Any) -> Any:
            if type(value) is str or value is None:
                return of_text(value) if value else value
            if where_from and self.ip != "whole":
                return LOST
            if type(value) is list:
                return [found for each in value if (found := change(each)) is not LOST]
            if type(value) is dict:
                return value if kind == "time" and _is_time(value) else self.treat(whole, value)
            return value if numbers_stay and (type(value) is bool or abs(value) < 10**18) else self.treat(whole, value)

        return change

    def treat(self, kind: str, value: Any, treatment: Treatment | None = None) -> Any:
        """Treat a value of any shape, with the names of its members, as the settings want it for a kind of text."""
        treatment = treatment or self.treatments[kind]
        if value is None or value == "":
            return value
        if treatment == "drop":
            return LOST
        if type(value) is dict:
            return {
                self.treat(kind, member, treatment): self.treat(kind, inner, treatment)
                for member, inner in value.items()
            }
        if type(value) is list:
            return [self.treat(kind, inner, treatment) for inner in value]
        if treatment == "store":
            return self._masked(value) if type(value) is str else value
        return self._pseudonym(kind, str(value))

    def by_rule(self, kind: str, treatment: Treatment) -> Change:
        """Return what becomes of a value of which a rule says what is done with it.

        What is itself a name or an address is stored whole; a text that is stored loses the addresses in it as ever.
        """
        of_person = kind in {"name", "account", "address"}

        def change(value: Any) -> Any:
            if treatment == "store":
                whole = kind in _ITSELF and type(value) in {str, int, bool, NoneType}
                return value if whole else self.treat("unknown", value, treatment)
            if of_person:
                is_mail = kind == "address" or (type(value) is str and valid_mail(value))
                return self.treat("address" if is_mail else "name", value, treatment)
            return self.treat("unknown", value, treatment)

        return change

    # ------------------------------------------------------------------------------------------------ what is decided

    def _pseudonym(self, kind: str, text: str) -> str:
        if self._pseudonyms is None:
            raise ValueError("there is no key for pseudonyms")
        return self._pseudonyms.of(kind if kind in {"name", "address"} else "content", text)

    def _treated(self, kind: str, text: str) -> Any:
        if text == "Atlassian app":  # what the API puts where a person's address would be
            return text
        return self.treat(kind, text)

    def _masked(self, text: str) -> str:
        """Return a text that is stored without what is private in any text."""
        if self.treatments["address"] != "store" and ("@" in text or "\uff20" in text or "%40" in text):
            text = _MAIL.sub(self._mail_in_text, text)
        if self.ip != "whole" and ("." in text or ":" in text):
            text = _IP.sub(self._ip_in_text, text)
        return text

    def _mail_in_text(self, found: re.Match[str]) -> str:
        whole = found[0].lstrip("'")
        text = whole.rstrip(".!?")
        made = self.treat("address", text.replace("\uff20", "@").replace("%40", "@"))
        shown = "[address]" if made is LOST else str(made)
        return f"{found[0][: -len(whole)]}{shown}{whole[len(text) :]}"

    def _ip_in_text(self, found: re.Match[str]) -> str:
        """Return what stands for an address, or for those in what is none as a whole: it may have a port, say."""
        whole = found[0]
        text = whole.rstrip(".:")
        before = ""
        if text[:1] == ":" and text[:2] != "::":
            before, text = ":", text[1:]
        if len(text) < 3 or not valid_ip(text):
            return _V4.sub(self._v4_in_text, whole)
        return f"{before}{self._ip_made(text)}{whole[len(before) + len(text) :]}"

    def _v4_in_text(self, found: re.Match[str]) -> str:
        numbers = [*map(int, found[0].split("."))]
        return self._ip_made(".".join(map(str, numbers))) if max(numbers) < 256 else found[0]

    def _ip_made(self, text: str) -> str:
        made = self._address(text)
        return "[ip]" if made is LOST else str(made)

    def _name(self, text: str) -> Any:
        if text.casefold() in NOT_PEOPLE:
            return text
        both = self.treatments["name"] == self.treatments["address"] == "pseudonymise"
        return self.treat("address" if both and valid_mail(text) else "name", text)  # one pseudonym, wherever it stands

    # -------------------------------------------------------------------------------------------------- the API's own

    def _own(self, fits: Callable[[str], object], text: str) -> Any:
        return text if fits(text) else self.treat("unknown", text)

    def _own_phrase(self, text: str) -> Any:
        return self._masked(text) if _phrase(text) else self.treat("unknown", text)

    def _site(self, text: str) -> Any:
        return text if _site(text) or _host(text) else self.treat("spaces", text)

    def _group(self, text: str) -> Any:
        """Treat the name of a group, behind which Confluence writes its id."""
        name, _, ident = text.rpartition(":")
        if not name or not _opaque(ident):
            return self.treat("groups", text)
        made = self.treat("groups", name)
        return ident if made is LOST else f"{made}:{ident}"

    def _role(self, text: str) -> Any:
        known = all(part in ROLES for part in re.split(r"[/_ -]", text.lower()))
        return text if known else self.treat("titles", text)

    def _id(self, text: str) -> Any:
        if _opaque(text):
            return text
        return self.treat("address" if valid_mail(text) else "handle", text)

    def _either_id(self, text: str) -> Any:
        """Treat the id of what may be a person as an id, and like the name of one where it is none."""
        if _opaque(text) or valid_mail(text):
            return self._id(text)
        return self.treat("handle" if self.treatments["either"] == "store" else "either", text)

    def _account(self, text: str) -> Any:
        if _opaque(text) or text.casefold() in NOT_PEOPLE:
            return text
        return self.treat("address" if valid_mail(text) else "name", text)

    def _address(self, text: str) -> Any:
        if not valid_ip(text):
            with_port = _with_port(text)
            if self.ip != "whole":
                return LOST
            stays = with_port is not None and valid_ip(with_port[1] or with_port[2])
            return text if stays else self.treat("unknown", text)
        if self.ip == "whole":
            return text
        if self.ip == "none":
            return LOST
        found = ip_address(text)
        mapped = getattr(found, "ipv4_mapped", None)
        found = found if mapped is None else mapped
        return str(ip_network(f"{found}/{24 if found.version == 4 else 48}", strict=False).network_address)

    def _place(self, text: str) -> Any:
        return self._own(_phrase, text) if self.ip == "whole" else LOST

    def _host(self, text: str) -> Any:
        if self.treatments["links"] == "store" or _host(text):
            return text
        return self._link(text)

    def _link(self, text: str) -> Any:
        """Return an address up to what users wrote in it."""
        treatment = self.treatments["links"]
        if treatment == "store":
            return self._masked(text)
        if treatment == "drop" and (found := kept_of(text)) is not None:
            return found[0]
        try:
            parts = urlsplit(text)
            host = parts.hostname if _ADDRESSES(parts.scheme) else None
            port = parts.port
        except ValueError:
            return LOST
        if not host or not (_host(host) or _site(host) or valid_ip(host)):
            return LOST
        segments = parts.path.split("/")[1:]
        own = next((n for n, part in enumerate(segments) if not (part in SEGMENTS or _opaque(part))), len(segments))
        stays = f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
        stays += "".join(f"/{part}" for part in segments[:own])
        rest = "/".join(segments[own:]) + (f"?{parts.query}" if parts.query else "") + parts.fragment
        return f"{stays}/{self._pseudonym('links', rest)}" if rest and treatment == "pseudonymise" else stays
