"""Asks Splunk's collector whether it would take our events, without sending one."""

from __future__ import annotations

from forwarder.contracts import Finding, Held, PayloadTooLarge, Retryable
from sinks.splunk_hec.answers import ANSWERS, interpret, parse_acks, parse_reply
from sinks.splunk_hec.channel import Channel
from sinks.splunk_hec.client import Slot
from sinks.splunk_hec.settings import SplunkHecConfig, index_label

_NO_DATA = 5
_STEPS = ("token", "indexer acknowledgement")
_REACH_FIX = "See that Splunk's collector runs and can be reached from here."
_HEALTH_FIX = "Look into the queues of Splunk's indexers; events wait here until they are taken."


async def probe(slot: Slot, config: SplunkHecConfig, place: str, now: float) -> list[Finding]:
    """Return what could be found out, up to the first thing that fails."""
    findings: list[Finding] = []
    channel = Channel({}, now) if config.acknowledge else None
    try:
        findings.append(await _health(slot, config, channel, place))
        findings.append(await _token(slot, config, channel, now))
        if channel is not None:
            findings.append(await _acks(slot, channel, now))
    except (Held, PayloadTooLarge) as error:
        subject = (place, *_STEPS)[len(findings)]
        fix = error.fix if isinstance(error, Held) else _REACH_FIX
        findings.append(Finding(subject, ok=False, detail=_reason(error), fix=fix))
    except Retryable as error:
        subject = (place, *_STEPS)[len(findings)]
        findings.append(Finding(subject, ok=False, detail=str(error), fix=_REACH_FIX))
    return findings


async def _health(slot: Slot, config: SplunkHecConfig, channel: Channel | None, place: str) -> Finding:
    params = {"ack": "true"} if config.acknowledge else None
    response = await slot.ask("GET", "health", channel=channel, params=params, token=False)
    reply = parse_reply(response)
    fate = ANSWERS.get(reply.code) if reply is not None else None
    if response.status == 200:
        return Finding(place, ok=True, detail="healthy" if fate is not None else "answers, but not as a collector does")
    if fate is not None and fate.status == response.status >= 500:
        return Finding(place, ok=False, detail=fate.meaning, fix=_HEALTH_FIX)
    return Finding(place, ok=True, detail=f"answers, and says nothing of its health ({response.status})")


async def _token(slot: Slot, config: SplunkHecConfig, channel: Channel | None, now: float) -> Finding:
    """Send a request without events: Splunk looks at the token first, and then misses the events."""
    response = await slot.ask("POST", config.endpoint, channel=channel, content=b"")
    reply = parse_reply(response)
    if reply is None or reply.code != _NO_DATA:
        interpret(response, now)
    index = index_label(config.index)
    return Finding(
        _STEPS[0], ok=True, detail=f"accepted; whether it may write to index {index}, the first event will tell"
    )


async def _acks(slot: Slot, channel: Channel, now: float) -> Finding:
    response = await slot.ask("POST", "ack", channel=channel, params={"channel": channel.name}, content=b'{"acks":[0]}')
    parse_acks(response, now)
    return Finding(_STEPS[1], ok=True, detail="on; an event counts as delivered when it is indexed")


def _reason(error: Held | PayloadTooLarge) -> str:
    return error.reason if isinstance(error, Held) else str(error)
