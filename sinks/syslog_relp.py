"""Syslog over RELP: the session of one slot, and what the answers mean for the records.

Invariants: a record is accepted by its own 200 only; without an answer it is kept, and on record as possibly there. A
refusal buries nobody by itself: RELP has no word for *never*, and librelp one code, 500, for every trouble of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from forwarder.contracts import Clock, Delivery, Record, Rejection, Retryable, plain
from sinks.relp import Answer, Relp
from sinks.syslog_pipe import Pipe

_TRIES = 3
"""A record must have been refused so often before it becomes a dead letter."""


class _Suspect(NamedTuple):
    """A refused record: how often and since when (monotonic seconds), and whether it is the odd one of its batch."""

    times: int
    since: float
    alone: bool


class Taking:
    """When the receiver last took a record over any of the slots, monotonic seconds."""

    at = float("-inf")


class RelpSlot:
    """The session of one slot.

    Args:
        dial: Opens a connection.
        window: Most messages without an answer.
        patience: Seconds for which a record must have been refused before it becomes a dead letter.
        clock: Monotonic time.
        taking: What all slots of the receiver share.
    """

    def __init__(
        self, dial: Callable[[], Awaitable[Pipe]], window: int, patience: float, clock: Clock, taking: Taking
    ) -> None:
        self._dial = dial
        self._window = window
        self._patience = patience
        self._clock = clock
        self._taking = taking
        self._relp: Relp | None = None
        self._suspects: dict[int, _Suspect] = {}  # by number in the spool; only of the batch at hand

    async def send(self, messages: Sequence[bytes], records: Sequence[Record]) -> Delivery:
        """Send all messages and wait for their answers.

        Raises:
            Retryable: There is no session, or it ended before any answer came.
            Held: The server does not take syslog.
        """
        relp = await self._session()
        answers: dict[int, Answer] = {}
        try:
            await relp.deliver(messages, answers)
        except Retryable as error:
            self._drop()
            if not answers:
                error.sent = True
                raise
            return self._settled(records, answers, broken=error)
        except BaseException:
            self._drop()
            raise
        return self._settled(records, answers)

    async def close(self) -> None:
        """Take leave of the server. Safe to call twice."""
        relp, self._relp = self._relp, None
        if relp is not None:
            await relp.close()

    async def _session(self) -> Relp:
        """Return a session that has not ended as far as can be seen."""
        if self._relp is not None:
            try:
                self._relp.look()
            except Retryable:
                self._drop()
        if self._relp is None:
            relp = Relp(await self._dial(), self._window)
            try:
                await relp.open()
            except BaseException:
                relp.abort()
                raise
            self._relp = relp
        return self._relp

    def _drop(self) -> None:
        relp, self._relp = self._relp, None
        if relp is not None:
            relp.abort()

    def _settled(
        self, records: Sequence[Record], answers: dict[int, Answer], broken: Retryable | None = None
    ) -> Delivery:
        accepted = [n for n, answer in answers.items() if answer.good]
        if accepted:
            self._taking.at = self._clock.monotonic()
        if len(accepted) == len(records):
            self._suspects.clear()
            return Delivery(accepted=range(len(records)))
        self._suspects = self._suspected(records, answers, max(accepted, default=-1))
        rejected: dict[int, Rejection] = {}
        reason = str(broken) if broken else ""
        for n, answer in answers.items():
            if answer.good:
                continue
            words = plain(f"{answer.code} {answer.words.decode('ascii', 'replace')}", 200)
            if self._is_at_fault(self._suspects[records[n].seq]):
                rejected[n] = Rejection("refused", words)
            else:
                reason = reason or f"the RELP server does not take {_many(answers, records)}, and answers {words}"
        decided = {*accepted, *rejected}
        kept = [n for n in range(len(records)) if n not in decided]
        return Delivery(accepted=accepted, rejected=rejected, kept=kept, doubtful=broken is not None, reason=reason)

    def _suspected(self, records: Sequence[Record], answers: dict[int, Answer], taken: int) -> dict[int, _Suspect]:
        """Return what was refused; `taken` is the last that was taken: what follows may be the fault of the server."""
        now, known = self._clock.monotonic(), self._suspects
        found = {}
        for n, seq in ((n, records[n].seq) for n, answer in answers.items() if not answer.good):
            before = known.get(seq, _Suspect(0, now, alone=False))
            alone = n < taken or len(records) == 1
            found[seq] = _Suspect(before.times + 1, before.since, before.alone or alone)
        return found

    def _is_at_fault(self, suspect: _Suspect) -> bool:
        """Say whether it is the record, and not the server that is in trouble.

        It was refused often and for long. Besides, others behind it in its batch were taken or it was a batch of its
        own; or the receiver takes others still, over another slot.
        """
        long = suspect.since + self._patience
        often_and_long = suspect.times >= _TRIES and long <= self._clock.monotonic()
        return often_and_long and (suspect.alone or self._taking.at >= long)


def _many(answers: dict[int, Answer], records: Sequence[Record]) -> str:
    refused = sum(not answer.good for answer in answers.values())
    return "anything" if refused == len(records) > 1 else f"{refused} of {len(records)} records"
