"""Every documented shape and oddity of the organization feed, and what becomes of it in each format."""

import difflib
import json
import re
from pathlib import Path

import msgspec
import pytest

from forwarder.catalogue import load_catalogue
from forwarder.contracts import ListedAction, Record, UnexpectedPayload
from forwarder.contracts.identity import EventKeys, document_id
from forwarder.formats.cef.format import CefFormat
from forwarder.formats.ecs.format import EcsFormat
from forwarder.formats.leef.format import LeefFormat
from forwarder.formats.ocsf.format import OcsfFormat
from forwarder.formats.raw import RawFormat
from forwarder.formats.structured_data.format import StructuredDataFormat
from forwarder.sources.organization.normalizer import OrganizationNormalizer
from tests import events
from tests.events import GOLDEN, ORIGIN, golden_bodies, strictly
from tests.formats.cef_reader import strictly as cef_strictly
from tests.formats.leef.reader import read as leef_read
from tests.formats.ocsf_reader import strictly as ocsf_strictly
from tests.formats.structured_data_reader import strictly as sd_strictly

CASES = sorted(golden_bodies())

# What raw refuses: bytes that are not a sound JSON object. The other format repairs what it can.
NOT_SOUND = {
    "cut_short",
    "not_a_number",
    "not_an_object",
    "not_utf8_in_context",
    "not_utf8_in_name",
    "number_out_of_range",
}


def record_of(body: bytes) -> Record:
    try:
        found = json.loads(body).get("id")
    except (ValueError, AttributeError):
        found = None
    named = isinstance(found, str)
    keys = EventKeys(ORIGIN.feed, ORIGIN.scope)
    key = keys.key(found) if named else keys.derived(body)
    marks = () if named else ("derived_id",)
    return events.record_of(body, document_id(key), marks)


FILES = ("ecs.json", "ocsf.json", "cef.txt", "leef.txt", "sd.txt", "reason.txt")


def rendered(body: bytes, listed: Path) -> dict[str, str]:
    """Return the expected files of a case and what stands in them; `listed` holds the organization's own actions."""
    record = record_of(body)
    catalogue = load_catalogue()
    if listed.exists():
        catalogue.learn(msgspec.json.decode(listed.read_bytes(), type=list[ListedAction]))
    [event] = OrganizationNormalizer(catalogue).normalize([record])
    if isinstance(event, UnexpectedPayload):
        return {"reason.txt": event.reason + "\n"}
    record.event = event
    formats = (EcsFormat(), CefFormat(), LeefFormat(), StructuredDataFormat())
    [ecs], [cef], [leef], [sd] = (made.render([record]) for made in formats)
    assert isinstance(ecs, bytes), ecs
    [ocsf] = OcsfFormat().render([record])
    assert isinstance(ocsf, bytes), ocsf
    assert isinstance(cef, bytes), cef
    assert isinstance(leef, bytes), leef
    assert isinstance(sd, bytes), sd
    header, extension = cef_strictly(cef)
    read_cef = [" | ".join(header.values()), *(f"{key} = {value!a}" for key, value in extension.items())]
    parsed = leef_read(leef)
    read_leef = [" | ".join(parsed[:4]), *(f"{name} = {value!a}" for name, value in parsed.attributes.items())]
    read_sd = [f"{name} = {value!a}" for name, value in sd_strictly(sd).items()]
    return {
        "ecs.json": json.dumps(strictly(ecs), indent=2, ensure_ascii=True) + "\n",
        "ocsf.json": json.dumps(ocsf_strictly(ocsf), indent=2, ensure_ascii=True) + "\n",
        "cef.txt": "\n".join([cef.decode(), "", *read_cef, ""]),
        "leef.txt": "\n".join([leef.decode(), "", *read_leef, ""]),
        "sd.txt": "\n".join([sd.decode(), "", *read_sd, ""]),
    }


@pytest.mark.parametrize("name", CASES)
def test_case(name, request, capsys):
    folder = GOLDEN / name
    now = rendered(golden_bodies()[name], folder / "actions.json")
    diff = ""
    for file in FILES:
        before = (folder / file).read_text(encoding="utf-8") if (folder / file).exists() else ""
        diff += "".join(
            difflib.unified_diff(
                before.splitlines(True), now.get(file, "").splitlines(True), f"{name}/{file}", f"{name}/{file} (now)"
            )
        )
    if not diff:
        return
    if not request.config.getoption("--update-golden"):
        pytest.fail(f"the meaning of {name} changed:\n{diff}", pytrace=False)
    with capsys.disabled():
        print(f"\n{diff}")
    for file in FILES:
        (folder / file).unlink(missing_ok=True)
    for file, text in now.items():
        (folder / file).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_raw_passes_the_bytes_or_says_why_not(name):
    body = golden_bodies()[name]
    [line] = RawFormat().render([record_of(body)])
    if name in NOT_SOUND:
        assert isinstance(line, UnexpectedPayload)
        assert line.reason
    elif "half_surrogate" in name:  # no reader of lines takes half a character
        whole = re.sub(rb"\\ud[89a-f]..", rb"\\ufffd", body.replace(b"\n", b" "))
        assert line == whole[:-1] + b',"audit_forwarder":{"repaired":true}}'
        assert json.dumps(strictly(line), ensure_ascii=False).encode()
    else:
        assert line == body.replace(b"\n", b" ").replace(b"\r", b" ")
        strictly(line)


def test_there_are_cases_of_every_kind():
    assert len(CASES) >= 150
    assert set(CASES) >= NOT_SOUND
