"""Two sinks of one data stream: allowed where no event, or the same document, can come from both."""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forwarder.contracts.settings import FilterRule, SinkConfig
from forwarder.preflight.overlap import never_both

GLOBS = st.text("ab*?", min_size=0, max_size=5)
TEXTS = st.text("ab", max_size=5)


def sink(**rules: object) -> SinkConfig:
    return SinkConfig(type="any", **rules)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ({"include": [{"product": "jira"}]}, {"include": [{"product": "confluence"}]}, True),
        ({"include": [{"product": "JIRA"}]}, {"include": [{"product": "jira"}]}, False),
        ({"include": [{"product": "j*"}]}, {"include": [{"product": "*a"}]}, False),
        ({"include": [{"product": "j*"}]}, {"include": [{"product": "con*"}]}, True),
        ({"include": [{"product": ["jira", "loom"]}]}, {"include": [{"product": ["loom", "trello"]}]}, False),
        ({"include": [{"product": "j[i]ra"}]}, {"include": [{"product": "loom"}]}, False),
        ({"include": [{"source": "acme"}]}, {"include": [{"source": "other"}]}, True),
        ({"include": [{"source": "acme", "product": "jira"}]}, {"include": [{"product": "loom"}]}, True),
        ({"include": [{"source": "acme"}, {"product": "jira"}]}, {"include": [{"product": "loom"}]}, False),
        ({"include": [{"source": "acme"}]}, {"include": [{"product": "jira"}]}, False),
        ({"include": [{"product": "jira"}]}, {"exclude": [{"product": "jira"}]}, True),
        ({"include": [{"product": "jira"}]}, {"exclude": [{"product": "j*"}]}, True),
        ({"include": [{"product": "j*"}]}, {"exclude": [{"product": "jira"}]}, False),
        ({"include": [{"product": "jira"}]}, {"exclude": [{"product": "jira", "source": "acme"}]}, False),
        ({"include": [{"product": "jira", "source": "acme"}]}, {"exclude": [{"source": "acme"}]}, True),
        ({"include": [{"product": "jira"}]}, {}, False),
        ({}, {}, False),
        ({}, {"exclude": [{"action": "*"}]}, True),
        ({"include": [{"site": "a"}]}, {"include": [{"site": "b"}]}, False),
        ({"include": [{"actor": "ann"}]}, {"include": [{"actor": "bob"}]}, False),
        ({"include": [{"actor": "ann"}]}, {"exclude": [{"actor": "ann"}]}, True),
        ({"include": [{"action": "*_viewed"}]}, {"include": [{"action": "user_*"}]}, False),
        ({"include": [{"action": "*_viewed"}]}, {"include": [{"action": "user_login"}]}, True),
    ],
)
def test_what_is_certain(one, other, apart):
    assert never_both(sink(**one), sink(**other)) is apart
    assert never_both(sink(**other), sink(**one)) is apart


@settings(deadline=None)
@given(GLOBS, GLOBS, TEXTS)
def test_never_means_never(one, other, text):
    apart = never_both(sink(include=[{"action": one}]), sink(include=[FilterRule(action=other)]))
    assert not (apart and fnmatchcase(text, one) and fnmatchcase(text, other))
