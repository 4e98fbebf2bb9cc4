"""The configuration of each page about a SIEM is one that `check` takes, with the files that it names."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import trustme

from tests.commands import call_for_text
from tests.docs.strangers import ROOT, files_of

PAGES = sorted(path for path in (ROOT / "docs" / "siem").glob("*.md") if path.name != "README.md")


def configurations() -> list:
    return [
        pytest.param(text, id=f"{page.stem}-{name}")
        for page in PAGES
        for name, text in files_of(page).items()
        if name.endswith(".yaml")
    ]


@pytest.mark.parametrize("text", configurations())
def test_check_takes_the_configuration_of_a_page(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        text.replace("00000000-0000-0000-0000-", "5a1c94e0-05be-4f87-9271-").replace(":9464", ":0")
    )
    authority = trustme.CA()
    for path in re.findall(r"_file: (\./[\w./-]+)", text):
        file = tmp_path / path
        file.parent.mkdir(mode=0o700, exist_ok=True)
        if file.suffix == ".pem":
            authority.cert_pem.write_to_path(file)
        else:
            file.write_text("k7Jq2mXw9RtB4vLz")
        file.chmod(0o600)
    (tmp_path / "config.yaml").chmod(0o600)
    done = call_for_text("check", "-c", "config.yaml", cwd=tmp_path, env=os.environ)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_overview_names_every_page() -> None:
    overview = (ROOT / "docs" / "siem" / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if f"({page.name})" not in overview] == []
    assert all(files_of(page) for page in PAGES)
