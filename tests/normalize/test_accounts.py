"""Which kind of account an event states."""

import pytest

from forwarder.normalize.accounts import kind_of_account, kind_stated


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("agent", "agent"), ("rovo-agent", "agent"), ("AI_AGENT", "agent"), ("RovoAgent", "agent"), ("agents", "agent"),
        ("virtual agent", "agent"), ("app", "app"), ("forge-app", "app"), ("ConnectApp", "app"), ("apps", "app"), ("add-on", "app"),
        ("addon", "app"), ("service_account", "service_account"), ("ServiceAccount", "service_account"), ("SERVICE", "service_account"),
        ("service accounts", "service_account"), ("org-service-account", "service_account"), ("atlassian", "person"),
        ("customer", "person"), ("system", "system"), ("anonymous", "anonymous"),
    ],
)  # fmt: skip
def test_a_type_states_a_kind_in_any_spelling(type_, kind):
    assert kind_of_account(type_) == kind


@pytest.mark.parametrize(
    "type_",
    ["", "user", "users", "unknown", "known", "user-agent", "service agent", "support-agent", "happening", "x" * 1000, "-", "agenten"],
)  # fmt: skip
def test_a_type_that_states_nothing_is_not_guessed_at(type_):
    assert kind_of_account(type_) is None


def test_the_first_type_that_states_a_kind_counts():
    assert kind_stated(None, "user", "agent", "app") == "agent"
    assert kind_stated(None, "") is None
