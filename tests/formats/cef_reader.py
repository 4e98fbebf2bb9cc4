"""A reader of CEF that is not ours (cefp), made strict, with the dictionary of another library (cefevent)."""

import ipaddress
import re

import cefp
from cefevent.extensions import extension_dictionary

from forwarder.formats.cef.keys import KEYS

OURS = {key.name: key for key in KEYS}
LABELS = {key.name + "Label": key.label for key in KEYS if key.label}
# What cefevent does not know; the length is that of the standard, revision 27.
MISSING = {"outcome": 63}
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def strictly(line: bytes) -> tuple[dict[str, str], dict[str, str]]:
    """Return header and extension of a record; assert that it is one, whole, and holds to the dictionary."""
    text = line.decode("utf-8")
    assert not CONTROL.search(text), "a control character in the record"
    assert text.startswith("CEF:0|")
    found = cefp.parse(text)
    extension, device = found["extension"], found["device"]
    header = {name: device[name] for name in ("vendor", "product", "version")}
    header |= {"class": device["event_class_id"], "name": found["name"], "severity": found["severity"]}
    assert 0 <= int(header["severity"]) <= 10
    assert len(header["class"]) <= 1023
    assert len(header["name"]) <= 512
    for name in ("vendor", "product", "version", "class", "name"):
        assert header[name], name
        assert header[name] == header[name].strip()
    assert [name for name in extension if name in OURS] == [name for name in OURS if name in extension], "the order"
    for name, value in extension.items():
        check(name, value, extension)
    return header, extension


def check(name: str, value: str, extension: dict[str, str]) -> None:
    """Assert that a key is one of ours, with its label, within its length and of its type."""
    assert value, f"{name} is empty"
    assert value == value.strip(), name
    if name in LABELS:
        assert value == LABELS[name]
        assert name.removesuffix("Label") in extension
        return
    assert name in OURS, name
    assert not OURS[name].label or f"{name}Label" in extension
    if name.startswith("AtlassianAudit"):
        assert len(value) <= OURS[name].longest
        return
    entry = extension_dictionary.get(name, {"length": MISSING.get(name), "data_type": ["String"]})
    match entry["data_type"][0]:
        case "TimeStamp":
            int(value)
        case "IPv4 Address":
            ipaddress.IPv4Address(value)
        case "IPv6 Address":
            ipaddress.IPv6Address(value)
        case "String":
            assert entry["length"] == OURS[name].longest, name
            assert len(value) <= entry["length"], name
        case other:
            raise AssertionError(f"{name}: no check for the type {other}")
