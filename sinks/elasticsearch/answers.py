"""What the answers of Elasticsearch and OpenSearch mean for the events of a bulk request.

Invariant: an event is accepted only when its own item says created, or conflict with our own id. The tables decide by
the type of an error before its status, because some types speak of the index and not of the event.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from forwarder.contracts import (
    AuthFailed,
    Delivery,
    ErrorKind,
    ForwarderError,
    Held,
    PayloadTooLarge,
    Rejection,
    Retryable,
    plain,
)
from forwarder.net.answers import leads_to, own_words
from forwarder.net.http import UNREADABLE, Response
from forwarder.net.json_size import values_in
from forwarder.net.retry import retry_after_seconds
from forwarder.net.verdicts import may_mean_an_event, not_of, refused_between

QUERY = {"filter_path": "errors,items.*.status,items.*.error,items.*.failure_store"}
"""What of an answer is read. Without `status` in it the list of items would lose its order and length."""

AUTH_FIX = "Check the credential of this sink; a secret from a file is read again by itself."
RIGHTS_FIX = "Give it the index privileges create_doc and auto_configure for the data stream, and the right to monitor."
SETUP_FIX = "Run `audit-forwarder setup`, or set unmanaged: true to use a template of your own."
URL_FIX = "Check url: it must be the address of Elasticsearch or OpenSearch itself, with its path prefix if it has one."


ADVICE = {
    "mapping_conflict": (
        "A field of the event does not fit its type in the index. Run `audit-forwarder setup` to put our template in "
        "place, roll the data stream over so that it applies, then retry; with a template of your own, fix it there."
    ),
    "illegal_argument": (
        "The index cannot take the document, often for a limit of fields. Raise what the answer names (such as "
        "index.mapping.total_fields.limit) in the template and the index, then retry."
    ),
    "failure_store": (
        "The document is in the failure store of the data stream, where searches do not find it. Fix the cause that "
        "is noted there, then retry; the copy in the failure store stays until you delete it."
    ),
    "refused": "Fix what the answer names at Elasticsearch, such as an ingest pipeline that fails, then retry.",
}
"""What to change, by the reason of a rejection."""


class _Error(msgspec.Struct):
    type: str = ""
    reason: str | None = None
    caused_by: _Error | None = None


class _Item(msgspec.Struct):
    status: int
    error: _Error | None = None
    failure_store: str | None = None


class _Answer(msgspec.Struct):
    errors: bool
    items: list[dict[str, _Item]]


class _Refusal(msgspec.Struct):
    error: _Error | str = ""


_VALUES, _VALUES_OF_EVENT = 10_000, 400
"""Most values of an answer; an error quotes a field of the event, whose commas count as well."""

_read_answer = msgspec.json.Decoder(_Answer).decode
_read_refusal = msgspec.json.Decoder(_Refusal).decode


class _Fate(NamedTuple):
    """What becomes of a failed item. `reason` is the word of its dead letter, or a sentence for people."""

    verdict: Literal["reject", "keep", "auth", "hold"]
    reason: str
    kind: ErrorKind = "other"
    fix: str = ""


_NO_STREAM = _Fate("hold", "The data stream does not exist and is not made by itself.", "setup_missing", SETUP_FIX)
_NO_RIGHT = _Fate("auth", "The credential may not write to the data stream.", "forbidden", RIGHTS_FIX)
_BLOCKED = _Fate(
    "hold", "The data stream is blocked.", "disk_full", "Remove the block of its indices; a disk may be full."
)

_BY_TYPE = {
    "index_not_found_exception": _NO_STREAM,
    "index_closed_exception": _Fate("hold", "The data stream is closed.", "forbidden", "Open its indices again."),
    "cluster_block_exception": _BLOCKED,
    "security_exception": _NO_RIGHT,
    "mapper_parsing_exception": _Fate("reject", "mapping_conflict"),
    "document_parsing_exception": _Fate("reject", "mapping_conflict"),
    "strict_dynamic_mapping_exception": _Fate("reject", "mapping_conflict"),
    "illegal_argument_exception": _Fate("reject", "illegal_argument"),
}
_BY_STATUS = {
    401: _Fate("auth", "The credential is refused.", "auth", AUTH_FIX),
    403: _NO_RIGHT,
    404: _NO_STREAM,
    413: _Fate("reject", "too_large"),
}


def _fate(status: int, error: _Error) -> _Fate:
    if status == 429 or status >= 500:
        return _Fate("keep", f"the server is busy ({status} {plain(error.type, 60)})")
    if status == 401:
        return _BY_STATUS[401]
    return _BY_TYPE.get(error.type) or _BY_STATUS.get(status) or _Fate("reject", "refused")


def read(response: Response, positions: Sequence[int], now: float) -> Delivery:
    """Return what became of the events at `positions`.

    Args:
        response: With status 200.
        positions: Where the events of the request stand in the batch, in order.
        now: Epoch seconds.

    Raises:
        AuthFailed, Held: Nothing of the batch was decided, and this is why.
        Retryable: The answer does not say what became of each event.
    """
    if response.body == _all_created(len(positions)):
        return Delivery(accepted=positions)
    if values_in(response.body) > _VALUES + _VALUES_OF_EVENT * len(positions):
        raise Retryable("the answer holds far more than what becomes of each event", kind="too_large", sent=True)
    try:
        items = [item for line in _read_answer(response.body).items for item in line.values()]
    except UNREADABLE:
        raise not_of("_bulk", response) from None
    if len(items) != len(positions):
        message = f"the answer speaks of {len(items)} events, {len(positions)} were sent"
        raise Retryable(message, kind="not_json", sent=True, fix=URL_FIX)
    return _settle(items, positions, retry_after_seconds(response.headers, now))


def _all_created(count: int) -> bytes:
    """Return the answer of most days to the byte: comparing it is cheaper than reading it, and as certain."""
    return b'{"errors":false,"items":[' + (b'{"create":{"status":201}},' * count)[:-1] + b"]}"


def _settle(items: Sequence[_Item], positions: Sequence[int], retry_after: float | None) -> Delivery:
    accepted: list[int] = []
    rejected: dict[int, Rejection] = {}
    kept: list[int] = []
    first: _Fate | None = None
    duplicates = 0
    doubtful = busy = False
    for position, item in zip(positions, items, strict=True):
        error = item.error or _Error()
        if item.status in {200, 201}:
            if item.failure_store == "used":
                detail = "the document stands in the failure store of the data stream"
                rejected[position] = Rejection("failure_store", detail)
            else:
                accepted.append(position)
        elif item.status == 409:
            accepted.append(position)
            duplicates += 1
        elif (fate := _fate(item.status, error)).verdict == "reject":
            rejected[position] = Rejection(fate.reason, _words(error))
        else:
            kept.append(position)
            first = fate if first is None or first.verdict == "keep" else first
            doubtful = doubtful or item.status >= 500
            busy = busy or item.status == 429
    if len(accepted) == len(positions):
        return Delivery(accepted=positions, duplicates=duplicates)
    if first is not None and not accepted and not rejected:
        _raise(first)
    return Delivery(
        accepted=accepted,
        rejected=rejected,
        kept=kept,
        doubtful=doubtful,
        duplicates=duplicates,
        retry_after=retry_after if kept else None,
        suspect=not busy,
        reason=f"{first.reason} {first.fix}".strip() if first is not None else "",
    )


def _raise(fate: _Fate) -> None:
    """Raise what only a person can fix. What was decided in the same answer would be lost by it."""
    if fate.verdict == "auth":
        raise AuthFailed(fate.reason, fix=fate.fix, kind=fate.kind)
    if fate.verdict == "hold":
        raise Held(fate.reason, fix=fate.fix, kind=fate.kind)


def refusal(response: Response, now: float) -> ForwarderError:
    """Return what an answer means that refuses a request as a whole."""
    status = response.status
    if 200 <= status < 300:  # some of it may have been taken
        return not_of("_bulk", response)
    error = _error_of(response)
    words = _words(error) if error.type or error.reason else own_words(response)
    suffix = f" ({words})" if words else ""
    if status == 413:
        return PayloadTooLarge("the server refuses the size of the request")
    if status in {408, 425, 429} or status >= 500:
        kind: ErrorKind = "rate_limited" if status == 429 else "timeout" if status == 408 else "server_error"
        retry_after = retry_after_seconds(response.headers, now)
        return Retryable(f"the server answers {status}{suffix}", kind=kind, retry_after=retry_after, sent=status != 429)
    own = bool(error.type)
    if (between := refused_between(response, own=own)) is not None:
        return between
    fate = _fate_of_request(response, error, suffix)
    held = (AuthFailed if fate.verdict == "auth" else Held)(fate.reason, fix=fate.fix, kind=fate.kind)
    held.suspect = error.type not in _BY_TYPE and may_mean_an_event(response, own=own)
    return held


def _fate_of_request(response: Response, error: _Error, suffix: str) -> _Fate:
    status = response.status
    known = _BY_TYPE.get(error.type)
    if status == 401:
        return _BY_STATUS[401]
    if known is not None and known.verdict == "hold":
        return known
    if status == 403:
        return _Fate("auth", f"The credential lacks a right{suffix}.", "forbidden", RIGHTS_FIX)
    if 300 <= status < 400:
        return _Fate("hold", f"The server redirects ({status}){leads_to(response)}.", "redirect", URL_FIX)
    kinds: dict[int, ErrorKind] = {400: "bad_request", 404: "not_found"}
    return _Fate("hold", f"The server answers {status}{suffix}.", kinds.get(status, "unexpected_status"), URL_FIX)


def _error_of(response: Response) -> _Error:
    try:
        error = _read_refusal(response.body).error
    except UNREADABLE:
        return _Error()
    return _Error(reason=error) if isinstance(error, str) else error


def _words(error: _Error) -> str:
    """Return the server's own words on an error and its cause."""
    parts = [f"{error.type}: {error.reason or ''}" if error.type else error.reason or ""]
    if error.caused_by is not None and error.caused_by.reason:
        parts.append(error.caused_by.reason)
    return plain("; ".join(parts), 300)
