"""What the catalogue says of known ids, of ids never seen, and of nonsense."""

import pytest

from forwarder.normalize.catalogue import REMEMBERED, load_catalogue

ATTESTED = {
    "jira_issue_viewed", "jira_issue_updated", "jira_issue_created", "confluence_page_viewed", "confluence_page_updated",
    "confluence_page_created", "user_login", "user_logout", "user_created", "twosv_disabled_for_user", "group_created",
    "group_deleted", "user_granted_role", "user_revoked_role", "added_org_admin", "group_granted_admin_access",
}  # fmt: skip


@pytest.fixture(scope="module")
def catalogue():
    return load_catalogue()


def test_every_publicly_known_id_has_a_record(catalogue):
    assert set(catalogue.attested) >= ATTESTED
    for action in catalogue.attested:
        meaning = catalogue.meaning(action)
        assert meaning.layer == "attested"
        assert meaning.category
        assert meaning.act
        assert meaning.severity


@pytest.mark.parametrize(
    ("action", "act", "category", "types", "outcome"),
    [
        ("user_login_failed", "login", "authentication", "start", "failure"),
        ("organization_users_viewed", "view", "iam", "user info", "success"),
        ("user_added_to_group", "add", "iam", "group change", "success"),
        ("user_invitation_sent", "invite", "iam", "user info", "unknown"),
        ("api_token_created", "create", "iam", "user change", "success"),
        ("api_token_revoked", "revoke", "iam", "user change", "success"),
        ("data_classification_policy_update", "change", "configuration", "change", "unknown"),
        ("marketplace_app_installed", "install", "package", "installation", "success"),
        ("marketplace_app_uninstalled", "uninstall", "package", "deletion", "success"),
        ("app_install_failed", "install", "package", "installation", "failure"),
        ("confluence_added_space_permission", "grant", "iam", "admin change", "success"),
        ("confluence_audit_record_removed_content_restriction", "revoke", "iam", "admin change", "success"),
        ("organization_audit_log_exported", "export", "configuration", "access", "success"),
        ("confluence_space_export_requested", "export", "file", "access", "unknown"),
        ("jira_issue_deleted", "delete", "file", "deletion", "success"),
        ("jiraIssueDeleted", "delete", "file", "deletion", "success"),
        ("group-renamed", "change", "iam", "group change", "success"),
    ],
)
def test_words_of_an_id_decide(catalogue, action, act, category, types, outcome):
    meaning = catalogue.meaning(action)
    assert (meaning.layer, meaning.act, meaning.category, meaning.types, meaning.outcome) == (
        "words", act, (category,), tuple(types.split()), outcome,
    )  # fmt: skip


def test_an_act_on_an_unknown_thing_has_no_category(catalogue):
    meaning = catalogue.meaning("loom_video_viewed")
    assert (meaning.layer, meaning.act, meaning.product, meaning.category, meaning.severity) == (
        "words", "view", "loom", (), 0,
    )  # fmt: skip


@pytest.mark.parametrize("action", ["", "quantum_board_rearranged", "_", "x" * 100_000, "\n\x00", "已查看", "page"])
def test_what_says_nothing_is_unknown(catalogue, action):
    meaning = catalogue.meaning(action)
    assert (meaning.layer, meaning.category, meaning.types, meaning.outcome) == ("unknown", (), (), "unknown")


def test_words_agree_with_the_records_or_know_nothing(catalogue):
    """Take each record away: the rule finds the same category and never a contrary outcome."""
    right = 0
    for action, record in catalogue.attested.items():
        rule = catalogue.words.meaning(action)
        assert rule.outcome in {record.outcome, "unknown"}, action
        right += rule.category == record.category
    assert right >= 0.9 * len(catalogue.attested)


def test_memory_is_bounded():
    catalogue = load_catalogue()
    for number in range(REMEMBERED + 500):
        catalogue.meaning(f"page_{number}_viewed")
    assert catalogue._remembered.cache_info().currsize <= REMEMBERED
    catalogue.meaning("x" * 1000)
    assert catalogue._remembered.cache_info().misses == REMEMBERED + 500
