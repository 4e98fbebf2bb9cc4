"""What becomes of one event in each format, and how that is held against what is expected."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING, Any

import pytest

from forwarder.contracts import Normalizer, Record, UnexpectedPayload
from forwarder.formats.cef.format import CefFormat
from forwarder.formats.ecs.format import EcsFormat
from forwarder.formats.leef.format import LeefFormat
from forwarder.formats.ocsf.format import OcsfFormat
from forwarder.formats.structured_data.format import StructuredDataFormat
from tests.events import strictly
from tests.formats.cef_reader import strictly as cef_strictly
from tests.formats.leef.reader import read as leef_read
from tests.formats.ocsf_reader import strictly as ocsf_strictly
from tests.formats.structured_data_reader import strictly as sd_strictly

if TYPE_CHECKING:
    from pathlib import Path

FILES = ("ecs.json", "ocsf.json", "cef.txt", "leef.txt", "sd.txt", "reason.txt")


def rendered(record: Record, normalizer: Normalizer) -> dict[str, str]:
    """Return the expected files of a case and what stands in them."""
    [event] = normalizer.normalize([record])
    if isinstance(event, UnexpectedPayload):
        return {"reason.txt": event.reason + "\n"}
    record.event = event
    return written(record)


def written(record: Record) -> dict[str, str]:
    """Return what each format writes of a record, and what a reader finds in it."""
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


def hold(folder: Path, now: dict[str, str], request: pytest.FixtureRequest, capsys: Any) -> None:
    """Compare with the files of a case, or write them anew where that is asked for."""
    diff = ""
    for file in FILES:
        before = (folder / file).read_text(encoding="utf-8") if (folder / file).exists() else ""
        was, new = before.splitlines(True), now.get(file, "").splitlines(True)
        name = f"{folder.parent.name}/{folder.name}/{file}"
        diff += "".join(difflib.unified_diff(was, new, name, f"{name} (now)"))
    if not diff:
        return
    if not request.config.getoption("--update-golden"):
        pytest.fail(f"the meaning of {folder.name} changed:\n{diff}", pytrace=False)
    with capsys.disabled():
        print(f"\n{diff}")
    for file in FILES:
        (folder / file).unlink(missing_ok=True)
    for file, text in now.items():
        (folder / file).write_text(text, encoding="utf-8")
