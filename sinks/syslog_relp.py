"""Syslog over RELP: the session of one slot, and what the answers mean for the records.

Invariant: a record is accepted by its own 200 only. Without an answer it is kept, and on record as possibly there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from forwarder.contracts import Delivery, Record, Rejection, Retryable
from sinks.relp import Answer, Relp
from sinks.syslog_pipe import Pipe

_TRIES = 3
"""A record refused so often becomes a dead letter. Not at once: librelp has one code, 500, for every trouble."""


class RelpSlot:
    """The session of one slot.

    Args:
        dial: Opens a connection.
        window: Most messages without an answer.
    """

    def __init__(self, dial: Callable[[], Awaitable[Pipe]], window: int) -> None:
        self._dial = dial
        self._window = window
        self._relp: Relp | None = None
        self._refusals: Counter[int] = Counter()  # by number in the spool; only of the batch at hand

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
        if len(accepted) == len(records):
            self._refusals.clear()
            return Delivery(accepted=range(len(records)))
        counts: Counter[int] = Counter()
        rejected: dict[int, Rejection] = {}
        reason = str(broken) if broken else ""
        for n, answer in answers.items():
            if answer.good:
                continue
            words = f"{answer.code} {answer.words.decode('ascii', 'replace')}"[:200]
            words = "".join(char if char.isprintable() else " " for char in words)
            times = self._refusals[records[n].seq] + 1
            if times >= _TRIES:
                rejected[n] = Rejection("refused", words)
            else:
                counts[records[n].seq] = times
                reason = reason or f"the RELP server answers {words}"
        self._refusals = counts
        decided = {*accepted, *rejected}
        kept = [n for n in range(len(records)) if n not in decided]
        return Delivery(accepted=accepted, rejected=rejected, kept=kept, doubtful=broken is not None, reason=reason)
