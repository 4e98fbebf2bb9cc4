"""A strict reader of LEEF 2.0, written from the table beside it and IBM's rules; it knows nothing of our encoder."""

import csv
import ipaddress
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

with (Path(__file__).parent / "attributes.tsv").open(encoding="utf-8") as _file:
    PREDEFINED = {row["name"]: row for row in csv.DictReader(_file, delimiter="\t")}
_BY_LOWER = {name.lower(): name for name in PREDEFINED}
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
_HEX = re.compile("0?x([0-9A-Fa-f]{2,4})")
_KEY = re.compile("[A-Za-z][A-Za-z0-9]*")
_JAVA = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S", "SSS": "%f", "Z": "%z"}


class NotLeef(ValueError):
    """The line is no LEEF; the message says why."""


class Read(NamedTuple):
    vendor: str
    product: str
    version: str
    event_id: str
    attributes: dict[str, str]
    time: datetime | None


def read(line: bytes) -> Read:
    """Return what a record says; raises NotLeef for anything that is not exactly one sound record."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotLeef("no UTF-8") from error
    _demand(not _CONTROL.search(text), "a control character or a line end")
    _demand(text.startswith("LEEF:2.0|"), "no header of LEEF 2.0")
    parts = text.split("|", 6)
    _demand(len(parts) == 7, "the header has too few parts")
    _, vendor, product, version, event_id, sign, rest = parts
    for name, part in (("vendor", vendor), ("product", product), ("version", version), ("event id", event_id)):
        _demand(part and part == part.strip() and "\t" not in part and "^" not in part, f"the {name} {part!a}")
    _demand(len(event_id) <= 255, "the event id is too long")
    attributes = _attributes(rest, _delimiter(sign))
    for name, value in attributes.items():
        _check(name, value)
    return Read(vendor, product, version, event_id, attributes, _time(attributes))


def _delimiter(sign: str) -> str:
    if found := _HEX.fullmatch(sign):
        sign = chr(int(found[1], 16))
    _demand(not sign or len(sign) == 1, f"the delimiter {sign!a}")
    _demand(sign not in {"|", "=", " "} and not sign.isalnum(), f"the delimiter {sign!a}")
    return sign or "\t"


def _attributes(rest: str, delimiter: str) -> dict[str, str]:
    found: dict[str, str] = {}
    lower = set()
    for pair in rest.split(delimiter):
        name, equals, value = pair.partition("=")
        _demand(equals, f"an attribute without a value: {pair!a}")
        _demand(_KEY.fullmatch(name), f"an attribute is called {name!a}")
        _demand(name.lower() not in lower, f"{name} stands there twice")
        _demand(_BY_LOWER.get(name.lower(), name) == name, f"{name} is written otherwise")
        _demand(value, f"{name} is empty")
        _demand(value == value.strip(), f"{name} begins or ends with white space")
        _demand(not set(value) & set("\t|^"), f"{name} holds what no value may hold")
        lower.add(name.lower())
        found[name] = value
    return found


def _check(name: str, value: str) -> None:
    kind = PREDEFINED.get(name)
    if kind is None:
        return
    _demand(kind["reserved"] == "false", f"{name} is not for senders")
    _demand(not kind["longest"] or len(value) <= int(kind["longest"]), f"{name} is too long")
    match kind["type"]:
        case "string" | "time":
            pass
        case "ip":
            try:
                ipaddress.ip_address(value)
            except ValueError as error:
                raise NotLeef(f"{name} is no address") from error
        case "integer":
            _demand(re.fullmatch("[0-9]+", value), f"{name} is no number")
            if kind["values"]:
                least, most = kind["values"].split("..")
                _demand(int(least) <= int(value) <= int(most), f"{name} is out of its range")
        case other:
            raise NotLeef(f"{name}: no check for {other}")


def _time(attributes: dict[str, str]) -> datetime | None:
    written, format_ = attributes.get("devTime"), attributes.get("devTimeFormat")
    if written is None:
        _demand(format_ is None, "devTimeFormat without devTime")
        return None
    if format_ is None:
        _demand(re.fullmatch("[0-9]{10}|[0-9]{13}", written), "devTime needs a devTimeFormat")
        return datetime.fromtimestamp(int(written) / (1000 if len(written) == 13 else 1), UTC)
    parts = re.findall(r"'([^']*)'|([A-Za-z])(\2*)|([^A-Za-z'])", format_)
    pattern = ""
    for quoted, first, more, other in parts:
        _demand(not first or first + more in _JAVA, f"no check for the format {format_}")
        pattern += _JAVA[first + more] if first else (quoted + other).replace("%", "%%")
    try:
        return datetime.strptime(written, pattern)  # noqa: DTZ007 -- the pattern has a zone, or the next line objects
    except ValueError as error:
        raise NotLeef(f"devTime {written} is not {format_}") from error


def _demand(holds: object, what: str) -> None:
    if not holds:
        raise NotLeef(what)
