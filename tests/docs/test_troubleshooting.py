"""The page about troubleshooting has every message that names a fix."""

from __future__ import annotations

from docs.troubleshooting_page import messages, troubleshooting
from forwarder.contracts.errors import RETRY_FIXES
from tests.docs.strangers import ROOT


def test_each_message_that_stands_in_the_code_with_a_fix_is_on_the_page() -> None:
    page = troubleshooting()
    found = list(messages())
    assert len(found) > 150
    texts = " ".join(page.split())
    assert [each.text for each in found if " ".join(each.text.split()).replace("|", r"\|") not in texts] == []


def test_no_call_with_a_fix_is_overlooked_but_those_whose_words_come_at_run_time() -> None:
    calls = sum(
        path.read_text(encoding="utf-8").count("fix=")
        for room in ("forwarder", "sinks")
        for path in (ROOT / room).rglob("*.py")
    )
    assert len(list(messages())) > calls / 2


def test_every_kind_of_fault_has_its_advice_there() -> None:
    page = troubleshooting()
    assert all(f"`{kind}`" in page for kind in RETRY_FIXES)
