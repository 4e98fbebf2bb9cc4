"""Bring in Prometheus."""

from __future__ import annotations

import pytest

from tests.content.prometheus import Prometheus, prometheus_or_skip


@pytest.fixture(scope="session")
def prometheus() -> Prometheus:
    return prometheus_or_skip()
