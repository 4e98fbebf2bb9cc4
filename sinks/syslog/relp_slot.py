"""Syslog over RELP: the session of one slot, and what the answers mean for the records.

Invariants: a record is accepted by its own 200 only; without an answer it is kept, and on record as possibly there. A
refusal is no rejection: RELP has no word for *never*, and librelp one code, 500, for every trouble of its own. So what
is refused is kept, and the lane finds out whether it is the record or the server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from forwarder.contracts import Delivery, Record, Retryable, plain
from sinks.syslog.connection import Pipe
from sinks.syslog.relp import Answer, Relp


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
            return Delivery(accepted=range(len(records)))
        reason = str(broken) if broken else ""
        refusal = next((answer for answer in answers.values() if not answer.good), None)
        if refusal is not None and not broken:
            words = plain(f"{refusal.code} {refusal.words.decode('ascii', 'replace')}", 200)
            reason = f"the RELP server does not take {_many(answers, records)}, and answers {words}"
        kept = sorted(set(range(len(records))) - set(accepted))
        return Delivery(accepted=accepted, kept=kept, doubtful=broken is not None, reason=reason)


def _many(answers: dict[int, Answer], records: Sequence[Record]) -> str:
    refused = sum(not answer.good for answer in answers.values())
    return "anything" if refused == len(records) > 1 else f"{refused} of {len(records)} records"
