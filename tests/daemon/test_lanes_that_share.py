"""Which lanes share what they render: those whose settings make the same bytes, as long as there is more than one."""

from __future__ import annotations

import random
from typing import Any

from forwarder.catalogue import load_catalogue
from forwarder.config.settings import Settings
from forwarder.contracts import SystemClock
from forwarder.daemon.lanes import Lanes
from forwarder.records.normalizers import Normalizers
from forwarder.records.places import Unrouted

SOURCE = {"type": "organization", "org_id": "a1b2c3d4-0000-1111-2222-333344445555", "api_key": "x" * 20}
ECS, OCSF = ({"type": "http", "url": "https://x.example/", "format": name} for name in ("ecs", "ocsf"))


def settings(**sinks: dict[str, Any]) -> Settings:
    return Settings(sources={"acme": SOURCE}, sinks=sinks)


def test_lanes_that_write_the_same_share_and_a_reload_lets_go_of_what_is_gone() -> None:
    first = settings(a=ECS, b=ECS, c=OCSF)
    lanes = Lanes(
        first, {}, {}, filters={}, normalizers=Normalizers(load_catalogue()), unrouted=Unrouted({}, {}),
        clock=SystemClock(), rng=random.Random(1), redact=str,
    )  # fmt: skip
    a, b, c = (lanes._bodies_of(first.sinks[name]) for name in "abc")
    assert a is not None
    assert a is b
    assert c is None, "alone it pays for no memory"
    second = settings(a=ECS, b=OCSF, c=OCSF)
    lanes.use(second)
    assert lanes._bodies == {}
    assert lanes._bodies_of(second.sinks["a"]) is None
    assert lanes._bodies_of(second.sinks["b"]) is lanes._bodies_of(second.sinks["c"]) is not None
