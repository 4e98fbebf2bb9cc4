"""The page about troubleshooting has every message that names a fix."""

from __future__ import annotations

import pytest

from docs.troubleshooting_page import Message, messages
from forwarder.contracts.errors import RETRY_FIXES
from tests.docs.strangers import ROOT


@pytest.fixture(scope="module")
def found() -> list[Message]:
    return list(messages())


@pytest.fixture
def page() -> str:
    return (ROOT / "docs" / "reference" / "troubleshooting.md").read_text(encoding="utf-8")


def test_each_message_that_stands_in_the_code_with_a_fix_is_on_the_page(found: list[Message], page: str) -> None:
    assert len(found) > 150
    texts = " ".join(page.split())
    assert [each.text for each in found if " ".join(each.text.split()).replace("|", r"\|") not in texts] == []


def test_no_call_with_a_fix_is_overlooked_but_those_whose_words_come_at_run_time(found: list[Message]) -> None:
    calls = sum(
        path.read_text(encoding="utf-8").count("fix=")
        for room in ("forwarder", "sinks")
        for path in (ROOT / room).rglob("*.py")
    )
    assert len(found) > calls / 2


def test_every_kind_of_fault_has_its_advice_there(page: str) -> None:
    assert all(f"`{kind}`" in page for kind in RETRY_FIXES)
