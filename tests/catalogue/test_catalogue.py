"""What the catalogue says of known ids, of ids never seen, of the organization's own list, and of nonsense."""

import csv
from pathlib import Path

import pytest

from forwarder.catalogue import REMEMBERED, ListedAction, Meaning, load_catalogue, read_table
from forwarder.catalogue.known import LISTS, groups, lines_of, meaning_of
from forwarder.catalogue.own import ecs_types
from forwarder.catalogue.vocabulary import plural

ATTESTED = {
    "jira_issue_viewed", "jira_issue_updated", "jira_issue_created", "confluence_page_viewed", "confluence_page_updated",
    "confluence_page_created", "user_login", "user_logout", "user_created", "twosv_disabled_for_user", "group_created",
    "group_deleted", "user_granted_role", "user_revoked_role", "added_org_admin", "group_granted_admin_access",
}  # fmt: skip
ALLOWED = {
    row[0]: set(row[1].split())
    for row in csv.reader(
        (Path(__file__).parent.parent / "formats" / "ecs" / "category_types.tsv").read_text().splitlines(),
        delimiter="\t",
    )
}


@pytest.fixture
def catalogue():
    return load_catalogue()


def every_record(catalogue):
    return [
        (line, meaning_of(line, catalogue.records._kinds, catalogue.records._vocabulary))
        for name in LISTS
        for line in lines_of(name)
    ]


def test_every_publicly_known_id_and_name_has_a_record(catalogue):
    assert set(catalogue.records.by_id) >= ATTESTED
    assert len([line for line in lines_of("organization") if line.name]) == 127
    for action in catalogue.records.by_id:
        assert catalogue.meaning(action).layer == "attested"


def test_every_record_says_everything(catalogue):
    records = every_record(catalogue)
    assert len(records) > 390
    for line, meaning in records:
        assert meaning.act, line
        assert meaning.object, line
        assert meaning.product, line
        assert meaning.severity in range(1, 11), line
        assert meaning.reason, line
        assert meaning.ocsf_class in {2004, 3001, 3002, 3004, 3005, 3006, 6001, 6003}, line
        assert meaning.ocsf_activity, line
        [category] = meaning.category
        assert set(meaning.types) <= ALLOWED[category], line


def test_no_action_is_listed_twice():
    for name in LISTS:
        keys = [(line.id, line.name, line.group, line.product) for line in lines_of(name)]
        assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("action", "act", "category", "types", "outcome"),
    [
        ("user_login_failed", "login", "authentication", "start", "failure"),
        ("organization_users_viewed", "view", "web", "access", "success"),
        ("user_added_to_group", "add", "iam", "group change", "success"),
        ("user_invitation_sent", "invite", "iam", "user info", "success"),
        ("api_token_created", "create", "iam", "creation", "success"),
        ("api_token_revoked", "revoke", "iam", "deletion", "success"),
        ("data_classification_policy_update", "change", "configuration", "change", "unknown"),
        ("marketplace_app_installed", "install", "package", "installation", "success"),
        ("marketplace_app_uninstalled", "uninstall", "package", "deletion", "success"),
        ("app_install_failed", "install", "package", "installation", "failure"),
        ("confluence_added_space_permission", "grant", "iam", "admin change", "success"),
        ("confluence_audit_record_removed_content_restriction", "remove", "iam", "admin change", "success"),
        ("organization_audit_log_exported", "export", "file", "access", "success"),
        ("confluence_space_export_requested", "export", "file", "access", "unknown"),
        ("jira_issue_deleted", "delete", "file", "deletion", "success"),
        ("jiraIssueDeleted", "delete", "file", "deletion", "success"),
        ("group-renamed", "change", "iam", "group change", "success"),
        ("page_could_not_be_deleted", "delete", "file", "deletion", "failure"),
    ],
)
def test_words_of_an_id_decide(catalogue, action, act, category, types, outcome):
    meaning = catalogue.meaning(action)
    assert (meaning.layer, meaning.act, meaning.category, meaning.types, meaning.outcome) == (
        "words", act, (category,), tuple(types.split()), outcome,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("action", "act", "thing", "category", "types", "severity"),
    [
        ("org_admin_invited", "invite", "admin", "iam", "admin user info", 7),
        ("invited_site_admin", "invite", "admin", "iam", "admin user info", 7),
        ("org_admin_invite_accepted", "accept", "invitation", "iam", "user info", 7),
        ("user_invited_as_org_admin", "invite", "user", "iam", "user info", 7),
        ("user_invited_as_member", "invite", "user", "iam", "user info", 3),
        ("user_added_to_site_admins", "grant", "admin", "iam", "admin user change", 7),
        ("user_removed_from_site_admins", "revoke", "admin", "iam", "admin user change", 5),
        ("user_added_to_admin_group", "add", "group", "iam", "group change", 7),
        ("user_added_to_group_by_admin", "add", "group", "iam", "group change", 5),
        ("audit_log_disabled", "disable", "auditing", "configuration", "change", 9),
        ("audit_logs_turned_off", "disable", "auditing", "configuration", "change", 9),
        ("audit_log_activated", "enable", "auditing", "configuration", "change", 4),
        ("User promoted to site admin", "grant", "admin", "iam", "admin user change", 7),
        ("Demoted user from org admin", "revoke", "admin", "iam", "admin user change", 5),
        ("Turned off user activity in audit log", "disable", "auditing", "configuration", "change", 9),
        ("Cleared audit log", "delete", "audit_log", "file", "deletion", 9),
        ("audit_log_purged", "delete", "audit_log", "file", "deletion", 9),
        ("audit_log_exported", "export", "audit_log", "file", "access", 5),
        ("oauth_client_created", "create", "oauth_client", "iam", "creation", 6),
        ("oauth_clients_revoked", "revoke", "oauth_client", "iam", "deletion", 4),
        ("oauth_token_issued", "create", "api_token", "iam", "creation", 6),
        ("api_token_renewed", "change", "api_token", "iam", "user change", 5),
        ("api_key_expired", "revoke", "api_key", "iam", "deletion", 4),
        ("api_key_used", "use", "api_key", "iam", "info", 2),
        ("service_account_key_created", "create", "access_key", "iam", "creation", 6),
        ("app_password_revoked", "revoke", "app_password", "iam", "deletion", 4),
        ("signing_key_rotated", "change", "signing_key", "iam", "user change", 5),
        ("gpg_keys_added", "add", "gpg_key", "iam", "creation", 6),
        ("session_created", "start", "session", "session", "start", 2),
        ("session_ended", "end", "session", "session", "end", 3),
        ("session_renewed", "change", "session", "session", "info", 3),
        ("webhook_revoked", "revoke", "webhook", "configuration", "deletion", 4),
        ("connected_app_revoked", "revoke", "app", "package", "deletion", 4),
        ("encryption_key_revoked", "revoke", "encryption", "configuration", "deletion", 6),
        ("user_mfa_enrolled", "create", "mfa", "iam", "user change", 5),
        ("repository_forked", "copy", "repository", "file", "creation", 4),
        ("repository_pull", "export", "repository", "file", "access", 5),
        ("invitation_resend", "invite", "invitation", "iam", "user info", 3),
        ("project_unarchive", "restore", "project", "configuration", "change", 3),
        ("page_unpublish", "change", "page", "file", "change", 2),
        ("deployment_created", "create", "deployment", "configuration", "creation", 3),
        ("workflow_drafts_deleted", "delete", "workflow", "configuration", "deletion", 5),
    ],
)
def test_what_is_made_taken_away_or_goes_on_has_a_type_of_its_own(
    catalogue, action, act, thing, category, types, severity
):
    meaning = catalogue.meaning(action)
    assert (meaning.act, meaning.object, meaning.category, meaning.types, meaning.severity) == (
        act, thing, (category,), tuple(types.split()), severity,
    )  # fmt: skip
    assert set(meaning.types) <= ALLOWED[category]


@pytest.mark.parametrize(
    "action",
    ["pull_request_reviewed", "live_edit_session_started", "Not authorized to install app", "app_used", "goal_issued"],
)
def test_a_word_of_other_things_claims_nothing(catalogue, action):
    assert not catalogue.meaning(action).category or catalogue.meaning(action).outcome == "failure"


def test_every_thing_is_known_in_the_plural_as_well(catalogue):
    for kind, things in read_table("vocabulary.toml")["things"].items():
        for thing, terms in things.items():
            for term in terms:
                found = catalogue.grammar._words.term(plural(term))
                assert found.thing == thing or found.named or term.endswith("s"), (kind, term)


@pytest.mark.parametrize(
    ("action", "act", "category", "outcome"),
    [
        ("page_viewed_by_deleted_user", "view", ("web",), "success"),
        ("page_export_for_deleted_user", "export", ("file",), "unknown"),
        ("failed_migration_report_exported", "export", ("file",), "unknown"),
        ("Failed to update deleted page", "change", ("file",), "failure"),
        ("page_failed_to_be_deleted", "delete", ("file",), "failure"),
        ("unable_to_delete_page", "delete", ("file",), "failure"),
        ("Export rejected", "export", ("file",), "failure"),
        ("Request to delete account rejected", "reject", ("iam",), "success"),
        ("Removed issue from sprint", "change", ("file",), "success"),
        ("Removed comment from issue", "remove", ("file",), "success"),
        ("Removed app from site", "remove", ("package",), "success"),
        ("app_removed_from_allowlist", "change", ("package",), "success"),
        ("Un-archived space", "restore", ("configuration",), "success"),
        ("Re-added user to group", "add", ("iam",), "success"),
        ("space_password_changed", "change", ("iam",), "success"),
        ("delete_invitation", "delete", ("iam",), "unknown"),
        ("Member removed from issue", "change", ("file",), "success"),
        ("Group removed from project role", "remove", ("iam",), "success"),
        ("access_request_removed", "cancel", ("iam",), "success"),
        ("Detected malware and shredded", "detect", ("malware",), "success"),
    ],
)
def test_the_verb_is_told_from_what_looks_like_one(catalogue, action, act, category, outcome):
    meaning = catalogue.meaning(action)
    assert (meaning.act, meaning.category, meaning.outcome) == (act, category, outcome)


@pytest.mark.parametrize(
    "action",
    [
        "deleted_page_restore", "Deleted page created by user", "user_read_permission_update", "Export quota exceeded",
        "View restrictions cleared", "Page export frozen", "Opened incident", "Allowed users to invite guests",
        "list of deleted pages", "page_deleted_restored", "Overturned deletion of page",
    ],
)  # fmt: skip
def test_where_two_words_may_be_the_verb_none_is(catalogue, action):
    meaning = catalogue.meaning(action)
    assert (meaning.act, meaning.category) == (None, ())


def test_an_act_on_an_unknown_thing_has_no_category(catalogue):
    meaning = catalogue.meaning("loom_hologram_updated")
    assert (meaning.layer, meaning.act, meaning.product, meaning.category, meaning.severity) == (
        "words", "change", "loom", (), 0,
    )  # fmt: skip


def test_a_known_word_before_an_unknown_one_is_no_answer(catalogue):
    assert catalogue.meaning("jira_issue_hologram_updated").category == ()


@pytest.mark.parametrize("action", ["", "quantum_board_rearranged", "_", "x" * 100_000, "\n\x00", "已查看", "page"])
def test_what_says_nothing_is_unknown(catalogue, action):
    meaning = catalogue.meaning(action)
    assert (meaning.layer, meaning.category, meaning.types, meaning.outcome) == ("unknown", (), (), "unknown")


class TestOrganizationsOwnList:
    def test_a_name_that_is_known_gives_its_record(self, catalogue):
        catalogue.learn([ListedAction("conf_0815", "Viewed Confluence blog")])
        meaning = catalogue.meaning("conf_0815")
        assert (meaning.layer, meaning.act, meaning.object) == ("attested", "view", "blog")

    def test_a_name_nobody_listed_is_read(self, catalogue):
        catalogue.learn([ListedAction("x17", "Deleted Confluence whiteboard", ("Confluence",))])
        meaning = catalogue.meaning("x17")
        assert (meaning.layer, meaning.act, meaning.category, meaning.name) == (
            "organization", "delete", ("file",), "Deleted Confluence whiteboard",
        )  # fmt: skip

    def test_a_group_says_what_a_short_name_does_not(self, catalogue):
        catalogue.learn([ListedAction("x18", "Deleted", ("Spaces",))])
        meaning = catalogue.meaning("x18")
        assert (meaning.layer, meaning.object, meaning.types) == ("organization", "space", ("deletion",))

    @pytest.mark.parametrize("group", ["Users, groups and roles", "Jira user activity"])
    def test_a_group_that_names_no_one_thing_says_nothing(self, catalogue, group):
        catalogue.learn([ListedAction("x18", "Deleted", (group,))])
        assert catalogue.meaning("x18").category == ()

    @pytest.mark.parametrize(
        ("groups", "product"),
        [
            (("Jira project actions",), "jira"),
            (("Bitbucket Cloud project actions",), "bitbucket"),
            (("Jira project actions", "Bitbucket Cloud project actions"), None),
            (("Bitbucket Cloud project actions", "Jira project actions"), None),
            (("Jira and Confluence actions",), None),
            ((), None),
        ],
    )
    def test_a_group_proves_a_product_only_where_it_names_one(self, catalogue, groups, product):
        catalogue.learn([ListedAction("project_created", "Created project", groups)])
        assert catalogue.meaning("project_created").product == product

    def test_a_name_in_another_language_leaves_it_to_the_id(self, catalogue):
        catalogue.learn([ListedAction("jira_issue_deleted", "Vorgang gelöscht", ("Jira-Aktivität",))])
        meaning = catalogue.meaning("jira_issue_deleted")
        assert (meaning.layer, meaning.act, meaning.name) == ("words", "delete", "Vorgang gelöscht")

    def test_what_is_learnt_later_counts_at_once(self, catalogue):
        assert catalogue.meaning("x19").layer == "unknown"
        catalogue.learn([ListedAction("x19", "Archived dashboard")])
        assert catalogue.meaning("x19").layer == "attested"

    def test_records_are_stronger(self, catalogue):
        catalogue.learn([ListedAction("user_login", "Deleted Jira project")])
        assert catalogue.meaning("user_login").act == "login"


def test_the_users_own_records_are_stronger_than_all():
    own = Meaning(act="view", category=("web",), types=("access",), layer="local")
    catalogue = load_catalogue({"user_login": own})
    assert catalogue.meaning("user_login") is own


class TestMessage:
    @pytest.mark.parametrize(
        ("message", "act", "category"),
        [
            ("Viewed Jira issue WEB-21003", "view", ("web",)),
            ("Deleted page Export of all users", "delete", ("file",)),
            ("Created by hand", "create", ()),
        ],
    )
    def test_its_first_verb_counts(self, catalogue, message, act, category):
        meaning = catalogue.meaning_of_message(message)
        assert (meaning.act, meaning.category, meaning.layer) == (act, category, "words")

    @pytest.mark.parametrize(
        "message", ["Deleted page restored", "Archived project deleted by admin", "Shared page frozen"]
    )
    def test_a_verb_at_the_end_is_stronger_than_an_adjective(self, catalogue, message):
        assert catalogue.meaning_of_message(message).layer == "unknown"

    def test_a_title_is_no_verb(self, catalogue):
        assert catalogue.meaning_of_message("Deleted page Shared").act == "delete"

    @pytest.mark.parametrize("message", ["WEB-1 was deleted", "", "The page was exported", "\x00", "Deletedpage"])
    def test_another_beginning_says_nothing(self, catalogue, message):
        assert catalogue.meaning_of_message(message).layer == "unknown"

    @pytest.mark.parametrize(
        ("message", "category"),
        [
            ("Removed issue WEB-1", ("file",)),
            ("Removed issue WEB-1 from sprint 7", ()),
            ("Removed issue WEB-1 " + "x" * 200, ()),
            ("Removed comment 7 from WEB-1", ("file",)),
            ("Added group devs", ("iam",)),
            ("Added group devs to project WEB", ()),
            ("Added user 17 to group devs", ("iam",)),
        ],
    )
    def test_what_may_only_be_put_elsewhere_is_not_called_made_or_gone(self, catalogue, message, category):
        assert catalogue.meaning_of_message(message).category == category

    def test_a_name_is_no_verb(self, catalogue):
        assert catalogue.meaning_of_message("Deleted page did something odd", "Deleted page").layer == "unknown"


class TestRecordsOfProducts:
    def test_a_summary_means_what_its_group_says(self, catalogue):
        of = catalogue.records.of_product
        assert of("jira", "Permission changes", "Scheme created").object == "permission_scheme"
        assert of("jira", "workflow changes", "scheme created").object == "workflow_scheme"
        assert of("jira", "no such group", "Scheme created") is None
        assert of("jira", "no such group", "Workflow updated").object == "workflow"

    def test_keys_and_event_classes_are_known(self, catalogue):
        of = catalogue.records.of_product
        assert of("datacenter", "", "PluginEnabledEvent").act == "enable"
        assert of("datacenter", "", "jira.auditing.user.renamed").act == "change"

    def test_a_category_alone_says_what_it_is_about_and_never_what_was_done(self, catalogue):
        of = catalogue.records.of_group
        assert (
            of("jira", "security").object == of("jira", "personal.access.tokens.audit.log.category").object == "token"
        )
        assert of("confluence", "Security").category == ("iam",)
        assert of("bitbucket", "Security") is of("jira", "") is None
        lines = list(groups())
        assert len(lines) == 18
        for line in lines:
            meaning = of(line.product, line.group)
            assert (meaning.act, meaning.outcome, meaning.ocsf_class) == (None, "unknown", 0)
            assert "info" in meaning.types
            assert set(meaning.types) <= ecs_types()[meaning.category[0]]
            assert meaning.severity
            assert meaning.reason


class TestSettings:
    @pytest.mark.parametrize(
        ("setting", "thing"),
        [
            ("AuthenticationPolicy", "authentication_policy"),
            ("IpAllowlist", "allowlist"),
            ("NobodyKnowsThis", "setting"),
            ("AuthenticationPolicy of nobody", "setting"),
            ("", "setting"),
            ("x" * 100_000, "setting"),
        ],
    )
    def test_a_change_of_settings_is_one_of_the_thing_it_names_whole(self, catalogue, setting, thing):
        before = catalogue.meaning("org_settings_update")
        found = catalogue.meaning_of_setting("org_settings_update", before, setting)
        assert (found.act, found.object) == ("change", thing)
        assert (found.layer, found.outcome, found.name) == (before.layer, before.outcome, before.name)

    def test_an_action_that_says_more_itself_stays(self, catalogue):
        before = catalogue.meaning("group_created")
        assert catalogue.meaning_of_setting("group_created", before, "AuthenticationPolicy") is before


def test_memory_is_bounded(catalogue):
    for number in range(REMEMBERED + 500):
        catalogue.meaning(f"page_{number}_viewed")
        catalogue.meaning_of_message(f"Viewed page {number}")
        catalogue.meaning_of_setting("s", catalogue.meaning("org_settings_update"), f"setting {number}")
    assert len(catalogue.remembered) <= REMEMBERED
    assert len(catalogue._messages) <= REMEMBERED
    assert 0 < len(catalogue._settings) <= REMEMBERED
    catalogue.remembered.clear()
    catalogue.meaning("x" * 1000)
    assert not catalogue.remembered


@pytest.mark.parametrize(
    ("text", "activity"),
    [
        ("user_password_reset_requested", 4),
        ("user_password_reset", 4),
        ("Reset password", 4),
        ("user_password_changed", 3),
    ],
)
def test_a_password_that_is_reset_is_not_one_that_is_changed(text, activity):
    found = load_catalogue().meaning(text)
    assert (found.act, found.object, found.ocsf_class, found.ocsf_activity) == ("change", "password", 3001, activity)
