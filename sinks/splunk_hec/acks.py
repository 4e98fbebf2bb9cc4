"""Indexer acknowledgement: promises for what was taken, and the questions whether they have been kept.

Invariant: only `true`, told in the channel of a promise that can be believed, confirms it. A question that fails tells
nothing. Splunk tells `true` once: it is kept here until it is told on, whatever else fails meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from forwarder.contracts import Clock, Held, Receipt, Retryable
from forwarder.contracts.log import get_logger
from sinks.splunk_hec.answers import Answer, parse_acks
from sinks.splunk_hec.channel import STEADY, Channel, read_receipt, receipt
from sinks.splunk_hec.client import Slot

PATIENCE = 5.0
"""Seconds to wait for a slot that is busy with a send before its acknowledgements are left for the next time."""

MOST_BREAKS = 3
"""Channels in a row without acknowledgements to rely on, after which it is no restart but a mistake."""


class Acknowledgements:
    """The acknowledgements of one sink.

    Args:
        slots: Its clients.
        clock: Wall time reads Retry-After.
        name: Of the sink, for the log.
    """

    def __init__(self, slots: Sequence[Slot], clock: Clock, name: str) -> None:
        self._slots = slots
        self._clock = clock
        self._log = get_logger().bind(sink=name)
        self._seen = False
        self._looking = asyncio.Lock()

    async def channel(self, slot: Slot) -> Channel:
        """Return the channel to send in. Raises what `send` raises when acknowledgements cannot work."""
        async with self._looking:
            if not self._seen:
                await self._look(slot)
                self._seen = True
        if slot.channels.broken_in_a_row >= MOST_BREAKS:
            slot.channels.broken_in_a_row -= 1  # the next one tries
            raise Held(
                "Acknowledgements are missing or start again at 0, again and again.",
                fix="Let the load balancer keep a client at one indexer by a cookie, or set acknowledge: false.",
                kind="setup_missing",
            )
        return slot.channels.current()

    async def _look(self, slot: Slot) -> None:
        """Ask about an acknowledgement that was never given: only whether there are any matters."""
        try:
            # where no answer to an open question can get lost; a question that is under way is waited for
            await self.ask(slot, slot.channels.aside(), [0], patience=None)
        except Retryable as error:  # it was no event that was sent, so none is in doubt
            raise Retryable(str(error), kind=error.kind, retry_after=error.retry_after) from error

    def promise(self, slot: Slot, channel: Channel, answer: Answer) -> Receipt:
        """Return the receipt for events that were taken. Raises Retryable when none could be believed."""
        if answer.ack is None:
            self._seen = False  # so the next send looks first, and says what is wrong
            slot.channels.cut(channel)
            slot.channels.broken_in_a_row += 1
            raise Retryable("Splunk took the events and promises no acknowledgement", kind="unconfirmed", sent=True)
        if not channel.counts(answer.ack):
            slot.channels.give_up(channel)
            message = "the acknowledgements started again at 0, as after a restart"
            raise Retryable(message, kind="unconfirmed", sent=True)
        if channel.given >= STEADY:
            slot.channels.broken_in_a_row = 0
        return receipt(slot.number, channel, answer.ack)

    async def confirm(self, receipts: Sequence[Receipt]) -> Mapping[Receipt, bool]:
        """Return True for what is indexed and False for what can never be told any more; the others are left out.

        Raises:
            Held, Retryable: Nothing could be learned.
        """
        asked: dict[tuple[int, str], dict[int, Receipt]] = {}
        for given in receipts:
            name, number = read_receipt(given)
            asked.setdefault((given.slot, name), {})[number] = given
        for slot in self._slots:
            slot.channels.forget_but({name for number, name in asked if number == slot.number})
        questions = (self._learn(self._slots[slot], name, list(numbers)) for (slot, name), numbers in asked.items())
        failures = [failure for failure in await asyncio.gather(*questions) if failure is not None]
        answers = {
            given: answer
            for (slot_number, name), numbers in asked.items()
            for number, given in numbers.items()
            if (answer := _take_answer(self._slots[slot_number].channels.find(name), number)) is not None
        }
        if failures and not answers:
            raise failures[0]
        if failures:
            self._log.warning("acknowledgements_unknown", channels=len(failures), reason=str(failures[0]))
        return answers

    async def _learn(self, slot: Slot, name: str, numbers: Sequence[int]) -> Retryable | Held | None:
        """Ask about the open numbers of one channel and keep what is true; return what went wrong."""
        channel = slot.channels.find(name)
        if channel is None:
            return None
        numbers = [number for number in numbers if number not in channel.confirmed and number not in channel.void]
        try:
            true = await self.ask(slot, channel, numbers, patience=PATIENCE)
        except TimeoutError:  # the slot is busy with a send: next time
            return None
        except (Retryable, Held) as error:
            return error
        channel.confirmed |= true
        return None

    async def ask(self, slot: Slot, channel: Channel, numbers: Sequence[int], *, patience: float | None) -> set[int]:
        """Return those of `numbers` that are told as true. Raises when nothing is told.

        Args:
            slot: Where to ask.
            channel: In which the numbers were given.
            numbers: To ask for.
            patience: Seconds to wait for the slot to be free; then a TimeoutError is raised.
        """
        if not numbers:
            return set()
        content = msgspec.json.encode({"acks": numbers})
        response = await slot.ask(
            "POST", "ack", channel=channel, params={"channel": channel.name}, content=content, patience=patience
        )
        answers = parse_acks(response, self._clock.time())
        return {number for number in numbers if answers.get(str(number)) is True}


def _take_answer(channel: Channel | None, number: int) -> bool | None:
    """Return what is known of a number, once; None while nothing is known."""
    if channel is None or number in channel.void:
        return False
    if number in channel.confirmed:
        channel.confirmed.remove(number)
        return True
    return None
