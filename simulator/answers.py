"""Answers of the API other than good pages: error bodies as documented, and what a gateway in front of it sends."""

from __future__ import annotations

import uuid
from email.utils import formatdate

from simulator.http_types import Response

TITLES = {
    "ADMIN-400-1": (400, "Invalid page cursor", "The page cursor is not valid."),
    "ADMIN-400-3": (400, "Invalid time date", "The from and to parameters must be UNIX epoch milliseconds."),
    "ADMIN-400-4": (400, "Invalid resource", "A query parameter is not valid."),
    "ADMIN-403-3": (403, "Forbidden", "You are not allowed to manage this organization."),
    "ADMIN-404-1": (404, "Unknown resource", "The resource does not exist."),
    "ADMIN-404-2": (404, "Organization not found", "The organization does not exist."),
    "ADMIN-404-4": (404, "Event not found", "The event does not exist."),
    "ADMIN-405-1": (405, "Method not allowed", "The method is not allowed on this resource."),
    "ADMIN-429-1": (429, "Rate limit exceeded", "Too many requests; wait for the limit to reset."),
    "ADMIN-500-1": (500, "Internal error", "Something went wrong on our side."),
    "ADMIN-400": (400, "Invalid query count", "InvalidQueryCountError: limit is out of range."),
}
"""Error codes with status, title and detail. The code for a limit out of range is not public; `ADMIN-400` stands in."""

LOGIN_PAGE = (
    b"<!DOCTYPE html><html><head><title>Log in with your account</title></head>"
    b'<body><form method="post" action="/login"><input name="username"><input name="password" type="password">'
    b"</form></body></html>"
)
_GATEWAY_PAGE = b"<html><head><title>%d %s</title></head><body><center><h1>%d %s</h1></center><hr></body></html>"


def refusal(code: str, headers: dict[str, str] | None = None) -> Response:
    """Return the documented error body for a code."""
    status, title, detail = TITLES[code]
    error = {"id": str(uuid.uuid4()), "status": str(status), "code": code, "title": title, "detail": detail}
    return Response.json({"errors": [error]}, status, headers)


def unauthorized() -> Response:
    """Return the 401 of the gateway, whose body is not that of the service."""
    return Response.json({"code": 401, "message": "Unauthorized; scope does not match"}, 401)


def gateway_page(status: int, words: bytes = b"Service unavailable") -> Response:
    """Return an HTML error page as a gateway or proxy sends it."""
    page = _GATEWAY_PAGE % (status, words, status, words)
    return Response(status, {"content-type": "text/html; charset=utf-8"}, page)


def login_page() -> Response:
    """Return a login form with status 200, as some front ends send it for a lost session."""
    return Response(200, {"content-type": "text/html; charset=utf-8"}, LOGIN_PAGE)


def redirect(location: str) -> Response:
    """Return a redirect to a login form."""
    return Response(302, {"location": location, "content-type": "text/html"}, b"")


def dated(response: Response, moment: float) -> Response:
    """Add what every real server says of its clock."""
    pairs = response.headers.items() if isinstance(response.headers, dict) else response.headers
    response.headers = {"date": formatdate(moment, usegmt=True), **dict(pairs)}
    return response
