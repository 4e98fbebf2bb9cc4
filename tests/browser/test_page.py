"""The page in a real Chromium: every state by day, by night and on a phone, by keyboard, without a script, and live.

Each state leaves a picture in `.reports/page`, for whoever changes how it looks.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import pytest_asyncio

from forwarder.admin.page.forms import ACTS
from forwarder.admin.server import AdminServer
from forwarder.contracts import Secret
from forwarder.observe.redaction import Redactor
from forwarder.testing.waiting import until
from tests.admin.page.states import NOW, held, report, sink, source, states
from tests.admin.test_server import ManualClock
from tests.browser.tools import PROJECT, Tools

pytestmark = pytest.mark.asyncio(loop_scope="session")  # that of the browser

SHOTS = PROJECT / ".reports" / "page"
STATES = states()
TOKEN = "correct-horse-battery-staple"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOOKS = {"day": (1280, "light"), "night": (1280, "dark"), "tablet": (800, "light"), "phone": (320, "light"),
         "phone-night": (320, "dark")}  # fmt: skip
SEEN = [(name, look) for name in STATES for look in ("day", "phone-night")]
SEEN += [(name, look) for name in ("held", "several") for look in ("night", "tablet", "phone")]


class Desk:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.verbs = [act.verb for act in ACTS.values()]
        self.done: list[tuple[str, dict[str, Any]]] = []

    async def do(self, verb: str, argument: Any, who: str) -> None:
        self.done.append((verb, dict(argument)))


class Shown:
    """A daemon whose report a test changes, and the page of it."""

    def __init__(self) -> None:
        self.report = STATES["well"]
        self.desk = Desk()
        self.clock = ManualClock()
        self.faults: list[str] = []
        self.server: AdminServer | None = None

    async def start(self, token: str | None = None) -> None:
        secret = Secret(token) if token else None
        options = {"redactor": Redactor(), "clock": self.clock, "desk": self.desk}
        self.server = AdminServer("127.0.0.1:0", secret, (), lambda: self.report, **options)
        await self.server.start()

    @property
    def address(self) -> str:
        assert self.server is not None
        return f"http://127.0.0.1:{self.server.port}/"

    def show(self, found: Any) -> None:
        """Let the page show this report from now on."""
        self.clock.now += 5
        found.now = self.clock.now
        self.report = found

    def watch(self, page: Any) -> None:
        """Note what a page complains of, and everything it asks of another address."""
        page.on("console", lambda said: said.type in {"error", "warning"} and self.faults.append(said.text))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: self.faults.append(f"dialog {dialog.message}"))
        page.on("request", lambda asked: asked.url.startswith((self.address, "data:")) or self.faults.append(asked.url))


@pytest_asyncio.fixture(loop_scope="session")
async def shown():
    made = Shown()
    yield made
    if made.server is not None:
        await made.server.close()


async def opened(
    shown: Shown, chromium: Any, *, wide: int = 1280, scheme: str = "light", live: bool = True, **more: Any
) -> Any:
    context = await chromium.new_context(viewport={"width": wide, "height": 900}, color_scheme=scheme, **more)
    page = await context.new_page()
    shown.watch(page)
    await page.goto(shown.address)
    if live:
        await page.locator('html[data-stream="live"]').wait_for()
    return page


@pytest.mark.parametrize(("name", "look"), SEEN)
async def test_every_state_can_be_seen_and_used_by_everybody(
    shown: Shown, chromium: Any, tools: Tools, name: str, look: str
) -> None:
    shown.report = STATES[name]
    await shown.start()
    wide, scheme = LOOKS[look]
    page = await opened(shown, chromium, wide=wide, scheme=scheme)
    await page.screenshot(path=SHOTS / f"{name}-{look}.png", full_page=True)
    for fold in await page.locator("details").all():
        await fold.evaluate("fold => { fold.open = true; }")
    assert await page.evaluate("document.documentElement.scrollWidth") <= wide
    await page.evaluate(tools.axe)
    found = await page.evaluate(f"axe.run(document, {{ runOnly: {RULES} }})")
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found["violations"]] == []
    small = await page.evaluate(
        "[...document.querySelectorAll('button, summary, input:not([type=hidden])')].filter((one) => one.checkVisibility()"
        " && one.type !== 'checkbox' && one.getBoundingClientRect().height < 28).map((one) => one.outerHTML)"
    )
    assert small == []
    assert shown.faults == []


async def test_figures_tick_without_a_shift_and_without_taking_away_what_is_unfolded_typed_or_focused(
    shown: Shown, chromium: Any
) -> None:
    shown.report = report([source()], [held(), sink("siem")])
    await shown.start()
    page = await opened(shown, chromium)
    await page.evaluate(
        "() => { window.moved = 0; new PerformanceObserver((list) => { for (const each of list.getEntries()) window.moved += "
        "each.value; }).observe({ type: 'layout-shift', buffered: false }); }"
    )
    await page.locator("#sink-splunk-acts > summary").click()
    await page.locator("#sink-splunk-since").fill("2026-09-20T10:00")
    await page.evaluate("window.moved = 0")
    for step in range(3):
        shown.show(report([source()], [held(lag=12_500 + step, tries=2600 + step), sink("siem")]))
        await page.get_by_text(f"12\u202f50{step}", exact=True).first.wait_for()
    assert await page.evaluate("window.moved") < 0.001
    shown.show(report([source()], [held(lag=12_600, reason="another answer"), sink("siem")]))  # the whole row is new
    await page.locator("#sink-splunk blockquote", has_text="another answer").wait_for()
    assert await page.locator("#sink-splunk-acts").evaluate("fold => fold.open")
    assert await page.locator("#sink-splunk-since").input_value() == "2026-09-20T10:00"
    assert await page.evaluate("document.activeElement.id") == "sink-splunk-since"
    assert shown.faults == []


async def test_a_new_verdict_is_spoken_and_is_the_title(shown: Shown, chromium: Any) -> None:
    await shown.start()
    page = await opened(shown, chromium)
    assert await page.locator("#said").text_content() == ""
    shown.show(report([source()], [held()]))
    await page.locator("#said", has_text="Sink splunk takes no events. Nothing is lost.").wait_for(state="attached")
    assert "Sink splunk takes no events." in await page.title()
    shown.show(report([source()], [held(lag=13_000)]))
    await page.get_by_text("13\u202f000", exact=True).first.wait_for()
    assert await page.locator("#said").text_content() == "Sink splunk takes no events. Nothing is lost."


async def test_a_lost_stream_is_said_and_nothing_old_looks_green(shown: Shown, chromium: Any) -> None:
    await shown.start()
    context = await chromium.new_context()
    page = await context.new_page()
    await page.clock.install()
    await page.goto(shown.address)
    await page.locator('html[data-stream="live"]').wait_for()
    assert shown.server is not None
    await shown.server.close()
    await page.clock.fast_forward(21_000)
    await page.locator('html[data-stream="lost"]').wait_for()
    assert "No news from the forwarder since" in (await page.locator("#said").text_content())
    assert await page.locator("main").evaluate("main => getComputedStyle(main).filter") == "grayscale(1)"
    await page.screenshot(path=SHOTS / "lost-day.png")


async def test_the_page_is_whole_without_a_script_and_a_form_works(shown: Shown, chromium: Any) -> None:
    shown.report = STATES["held"]
    await shown.start()
    page = await opened(shown, chromium, live=False, java_script_enabled=False)
    assert "Sink splunk takes no events." in await page.locator("h1").text_content()
    await page.locator("#verdict-retry").click()
    await page.get_by_text("It is tried now.").wait_for()
    assert shown.desk.done == [("lanes.retry_now", {"sink": "splunk"})]
    assert shown.faults == []


async def test_everything_is_reached_by_keyboard(shown: Shown, chromium: Any) -> None:
    shown.report = STATES["held"]
    await shown.start()
    page = await opened(shown, chromium)
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to what matters"
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.id") == "verdict-retry"
    for _ in range(60):
        if await page.evaluate("document.activeElement.parentElement.id") == "sink-elastic-acts":
            break
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.id") == "sink-elastic-pause"
    await page.keyboard.press("Enter")
    await page.get_by_text("It is paused: nothing is sent to it").wait_for()
    assert shown.desk.done == [("lanes.pause", {"sink": "elastic"})]
    assert shown.faults == []


async def test_what_cannot_be_undone_needs_its_box(shown: Shown, chromium: Any) -> None:
    shown.report = STATES["held"]
    await shown.start()
    page = await opened(shown, chromium)
    await page.locator("#letters-0-fold > summary").click()
    await page.locator("#letters-0-discard").click()
    assert await page.locator("#letters-0-discard-sure").evaluate("box => !box.checkValidity()")
    assert shown.desk.done == []
    await page.locator("#letters-0-discard-sure").check()
    await page.locator("#letters-0-discard").click()
    await page.get_by_text("They are gone; who did it is on record.").wait_for()
    assert [verb for verb, _ in shown.desk.done] == ["dead_letters.discard"]
    assert shown.faults == []


async def test_signing_in_and_out_with_a_cookie_that_no_script_reads(shown: Shown, chromium: Any, tools: Tools) -> None:
    shown.report = STATES["held"]
    await shown.start(TOKEN)
    page = await opened(shown, chromium, live=False)
    await page.evaluate(tools.axe)
    assert (await page.evaluate(f"axe.run(document, {{ runOnly: {RULES} }})"))["violations"] == []
    await page.screenshot(path=SHOTS / "sign-in-day.png")
    await page.get_by_label("The token, admin.token").fill(TOKEN)
    await page.keyboard.press("Enter")
    await page.locator('html[data-stream="live"]').wait_for()
    assert await page.evaluate("document.cookie") == ""
    (cookie,) = await page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    await page.locator("#verdict-retry").click()
    await page.get_by_text("It is tried now.").wait_for()
    assert shown.desk.done == [("lanes.retry_now", {"sink": "splunk"})]
    await page.locator("#sign-out").click()
    await page.get_by_label("The token, admin.token").wait_for()
    assert [fault for fault in shown.faults if "401" not in fault] == []


async def test_a_foreign_page_with_the_cookie_of_a_reader_can_do_nothing(shown: Shown, chromium: Any) -> None:
    shown.report = STATES["held"]
    await shown.start()
    page = await opened(shown, chromium)
    foreign = f'<form method="post" action="{shown.address}do/pause"><input name="sink" value="splunk"><button>x</button></form>'
    await page.route("http://evil.test/", lambda route: route.fulfill(body=foreign, content_type="text/html"))
    await page.goto("http://evil.test/")
    await page.get_by_text("x", exact=True).click()
    await page.get_by_text("Another site asked for this").wait_for()
    assert shown.desk.done == []


async def test_a_hidden_tab_lets_go_of_its_stream_and_takes_it_up_again(shown: Shown, chromium: Any) -> None:
    await shown.start()
    page = await opened(shown, chromium)
    assert shown.server is not None
    streams = shown.server._page._streams
    hide = "(hidden) => { Object.defineProperty(document, 'hidden', { value: hidden, configurable: true }); "
    hide += "document.dispatchEvent(new Event('visibilitychange')); }"
    assert streams._open == 1
    await page.evaluate(hide, True)
    await until(lambda: streams._open == 0)
    await page.evaluate(hide, False)
    await until(lambda: streams._open == 1)
    await asyncio.sleep(0)
    assert NOW
