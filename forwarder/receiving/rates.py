"""How many requests are taken: of each source, from all together and from each peer, and of those without a secret.

A request with the right secret never waits for those without, nor for what another source is sent: they have measures
of their own. Behind a proxy all come from one peer; nothing that a request says of itself is believed.
"""

from __future__ import annotations

from collections import OrderedDict

MOST_PEERS = 1024
"""Peers that are remembered; of more, the one not heard of for longest is forgotten."""

STRANGERS = 60.0
"""Requests a minute of one peer without the right secret that are answered in words."""


class Rate:
    """So many in a minute; that many at once after a quiet minute.

    Args:
        per_minute: How many.
        now: Seconds of a clock that never goes back.
    """

    def __init__(self, per_minute: float, now: float) -> None:
        self._per_second = per_minute / 60
        self._most = self._left = max(1.0, per_minute)
        self._seen = now

    def take(self, now: float) -> float:
        """Take one; return 0, or the seconds until there is one again."""
        self._left = min(self._most, self._left + (now - self._seen) * self._per_second)
        self._seen = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self._per_second


class Rates:
    """The measures of one port.

    Args:
        whole: Requests a minute to one source from all.
        of_peer: Requests a minute to one source from one peer.
        now: Seconds of a clock that never goes back.
    """

    def __init__(self, whole: float, of_peer: float, now: float) -> None:
        self._whole = whole
        self._of_peer = of_peer
        self._began = now
        self._sources: dict[str, Rate] = {}
        self._peers: OrderedDict[tuple[str, str], Rate] = OrderedDict()

    def known(self, source: str, peer: str, now: float) -> float:
        """Take a request with the right secret; return 0, or the seconds it must wait."""
        whole = self._sources.setdefault(source, Rate(self._whole, self._began))
        return self._peer((source, peer), self._of_peer, now).take(now) or whole.take(now)

    def stranger(self, peer: str, now: float) -> float:
        """Count a request without the right secret; return 0, or the seconds it must wait."""
        return self._peer(("", peer), STRANGERS, now).take(now)

    def _peer(self, at: tuple[str, str], per_minute: float, now: float) -> Rate:
        rate = self._peers.pop(at, None) or Rate(per_minute, now)
        self._peers[at] = rate
        while len(self._peers) > MOST_PEERS:
            self._peers.popitem(last=False)
        return rate
