"""The pages under `/investigate`: a form, how far a question is, and its answer in every face.

::

    GET /investigate?kind=…&who=… ─303─► /investigate/ID (again each second) ─► the answer ─► /investigate/ID/csv
                                              └─ /investigate/ID/cancel

Invariants: without the token there is nothing; a page of another site can start nothing, for it is told from ours;
no script, nothing from elsewhere, and what events or people wrote is text.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

import msgspec
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from forwarder.admin.question_form import NAMES, form, title_of, words_of
from forwarder.admin.questions import MOST, Question, Questions, TooMany
from forwarder.contracts.errors import ConfigError
from forwarder.investigate.faces.markup import foreign, plain
from forwarder.net.addresses import is_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from starlette.requests import Request

    from forwarder.admin.kept_places import Place

PATH = "/investigate"
_TYPES = {"html": "text/html; charset=utf-8", "json": "application/json", "csv": "text/csv; charset=utf-8"}
_AGAIN = 1  # seconds


class InvestigatePages:
    """The pages.

    Args:
        places: What can be asked, by name.
        refusal: Returns the answer to somebody without the token, None to others.
        missing: Says what is missing for these pages besides the extra; empty: nothing.
        clean: Takes secrets out of a text.
        questions: Those that were asked.
    """

    def __init__(
        self,
        places: Mapping[str, Place],
        refusal: Callable[[Request], Response | None],
        *,
        missing: str = "",
        clean: Callable[[str], str] = str,
        questions: Questions | None = None,
    ) -> None:
        self._places = places
        self._refusal = refusal
        self._missing = missing
        self._clean = clean
        self._questions = questions or Questions()
        self._ticket = secrets.token_urlsafe(16)

    def routes(self) -> list[Route]:
        """Return the routes."""
        made = {"": self._ask, "/{ident}": self._look, "/{ident}/cancel": self._cancel, "/{ident}/{face}": self._file}
        return [Route(PATH + path, self._guarded(answer)) for path, answer in made.items()]

    async def close(self) -> None:
        """End what is being asked."""
        await self._questions.close()

    def _guarded(self, answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """Return a route that answers only who may see these pages, and only where there are any."""

        async def guarded(request: Request) -> Response:
            refused = self._refusal(request)
            if refused is not None:
                return refused
            if self._missing or find_spec("duckdb") is None:
                why = self._missing or "install the extra: pip install 'audit-forwarder[investigate]'"
                return _page("Not found", f"<p>There are no pages to investigate here; {plain(why)}.</p>", 404)
            if _is_foreign(request):
                return _page("Refused", "<p>Another site asked for this; open the page itself.</p>", 403)
            return await answer(request)

        return guarded

    async def _ask(self, request: Request) -> Response:
        given = request.query_params
        asked = {name: given[name] for name in NAMES if given.get(name)}
        if ("who" not in asked and asked.get("kind") != "hunt") or "change" in given or request.method != "GET":
            return self._form(asked)
        if not self._is_ours(request):
            return self._form(asked, "A link alone asks nothing. Look at what it would ask, and press Ask.")
        try:
            words = words_of(asked, self._places)
            place = self._places[asked.get("in") or next(iter(self._places))]
            question = self._questions.start(asked, words, place.environment(os.environ))
        except ConfigError as error:
            return self._form(asked, str(error), 400)
        except TooMany:
            return self._form(asked, f"{MOST} questions are being read now. Wait for one, or cancel it.", 429)
        return RedirectResponse(f"{PATH}/{question.ident}", 303)

    async def _look(self, request: Request) -> Response:
        question = self._questions.find(request.path_params["ident"])
        if question is None:
            return self._form({}, "This answer is not kept any more, or never was; ask again.", 404)
        if not question.done:
            return _waiting(question)
        if question.problem:
            said = plain(self._clean(question.said), keep="\n")
            shown = f'<p class="said">{plain(self._clean(question.problem))}</p>' + (
                f"<pre>{said}</pre>" if said else ""
            )
            return self._form(question.asked, shown, 200, is_markup=True)
        style = _hash(_style("forwarder.investigate.faces/page.css"))
        return StreamingResponse(_with_bar(question, self._ticket), headers=_policy(style), media_type=_TYPES["html"])

    async def _cancel(self, request: Request) -> Response:
        question = None if request.method != "GET" else await self._questions.cancel(request.path_params["ident"])
        asked = {} if question is None else question.asked
        return self._form(asked, "It was cancelled." if question else "There is nothing to cancel.", 200)

    async def _file(self, request: Request) -> Response:
        question, face = self._questions.find(request.path_params["ident"]), request.path_params["face"]
        size = question.size(face) if question is not None else None
        if question is None or size is None:
            return self._form({}, "There is no such file, or it is not kept any more; ask again.", 404)
        headers = {
            "content-disposition": f'attachment; filename="investigate-{question.asked["kind"]}.{face}"',
            "content-length": str(size),
            **_policy("'none'"),
        }
        return StreamingResponse(question.read(face), headers=headers, media_type=_TYPES[face])

    def _is_ours(self, request: Request) -> bool:
        """Tell whether a person asks, or a program that has the token: no page of another site, no look ahead.

        A browser sends what it keeps of the token to us whoever made it ask. On loopback and with TLS it says who did;
        elsewhere it does not, and only our own form has the ticket.
        """
        headers = request.headers
        if "prefetch" in headers.get("sec-purpose", "") + headers.get("purpose", ""):
            return False
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site in {"same-origin", "none"}
        if headers.get("authorization", "").lower().startswith("bearer ") or is_loopback(request.url.hostname or ""):
            return True
        return hmac.compare_digest(request.query_params.get("ticket", "").encode(), self._ticket.encode())

    def _form(
        self, asked: Mapping[str, str], said: str = "", status: int = 200, *, is_markup: bool = False
    ) -> Response:
        note = said if is_markup or not said else f'<p class="said" role="status">{plain(said)}</p>'
        if not self._places:
            ask = "<p>Nothing is kept that could be asked; configure a sink of type archive, or a file.</p>"
        else:
            ask = form(asked, self._places, self._ticket)
        known = "".join(map(_known, self._questions.all()))
        others = f'<section><h2>Asked before</h2><ul class="asked">{known}</ul></section>' if known else ""
        return _page("Investigate", f"{note}{ask}{others}", status)


def _is_foreign(request: Request) -> bool:
    origin = request.headers.get("origin")
    try:
        return origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    except ValueError:
        return True


def _known(question: Question) -> str:
    state = "being read" if not question.done else "no answer" if question.problem else "answered"
    return (
        f'<li><a href="{PATH}/{question.ident}">{title_of(question.asked)}</a> <span class="soft">{state}</span></li>'
    )


def _waiting(question: Question) -> Response:
    body = (
        f'<p role="status">Reading{": " if question.progress else ""}{foreign(question.progress)} …</p>'
        '<p class="note">This page looks again each second. Whoever leaves it for half a minute ends the question.</p>'
        f'<p><a class="button" href="{PATH}/{question.ident}/cancel">Cancel</a></p>'
    )
    return _page("Reading", body, heading=title_of(question.asked), again=True)


class _Candidate(msgspec.Struct):
    id: str
    name: str = ""
    address: str = ""


class _Subject(msgspec.Struct):
    candidates: list[_Candidate] = []


class _Answer(msgspec.Struct):
    subject: _Subject


async def _candidates(question: Question, ticket: str) -> str:
    """Return a link for each of whom a name may mean, which asks the same of that one."""
    text = b"".join([block async for block in question.read("json")])
    links = []
    for one in msgspec.json.decode(text, type=_Answer).subject.candidates:
        query = plain(urlencode({**question.asked, "who": one.id, "ticket": ticket}))
        shown = " ".join(foreign(each) for each in (one.name, one.address, one.id) if each)
        links.append(f'<li><a href="{PATH}?{query}">{shown}</a></li>')
    return f'<p>Ask about one of them:</p><ul class="limits">{"".join(links)}</ul>'


async def _with_bar(question: Question, ticket: str) -> AsyncIterator[bytes]:
    """Yield the page of an answer, with where to go from it behind the beginning of its body, which is ours."""
    saved = " · ".join(f'<a href="{PATH}/{question.ident}/{face}" download>{face.upper()}</a>' for face in _TYPES)
    change = plain(urlencode({**question.asked, "change": "1"}))
    bar = (
        f'<nav aria-label="Investigate"><p class="note"><a href="{PATH}">New question</a> · '
        f'<a href="{PATH}?{change}">Change it</a> · Save: {saved}</p>'
        f"{await _candidates(question, ticket) if question.several else ''}</nav>"
    )
    start = 0
    async for block in question.read("html"):
        if start == 0:
            head, body, rest = block.partition(b"<body>")
            block = head + body + bar.encode() + rest  # noqa: PLW2901
        start = 1
        yield block


def _page(title: str, body: str, status: int = 200, *, heading: str = "", again: bool = False) -> Response:
    style = _style("forwarder.investigate.faces/page.css", "forwarder.admin/form.css")
    refresh = f'<meta http-equiv="refresh" content="{_AGAIN}">' if again else ""
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{refresh}<title>{title} - audit-forwarder</title><style>{style}</style></head><body><main>"
        f'<p class="soft"><a href="{PATH}">audit-forwarder</a></p><h1>{heading or title}</h1>{body}'
        "</main></body></html>"
    )
    return Response(page, status, _policy(_hash(style)), _TYPES["html"])


def _style(*names: str) -> str:
    """Return style sheets, as they stand between the tags of every page."""
    found = [
        files(room).joinpath(file).read_text(encoding="utf-8") for room, file in (name.split("/") for name in names)
    ]
    return "\n" + "".join(found)


def _hash(style: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'"


def _policy(style: str, more: str = "img-src 'none'") -> dict[str, str]:
    rules = (
        f"default-src 'none'; style-src {style}; {more}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    return {"content-security-policy": rules}
