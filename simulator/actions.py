"""The actions that happen in the simulated organizations, as `event-actions` lists them.

Identifiers are those seen in public code and vendor samples; that of a deleted issue is formed like its neighbours.
Display names and groups follow Atlassian's list of audit log activities where it has them. One action, `UNKNOWN`, is
deliberately in no list.
"""

from __future__ import annotations

from typing import NamedTuple


class Action(NamedTuple):
    """An identifier with its names. An empty display name means that none is known."""

    id: str
    display: str
    group: str
    product: str


UNKNOWN = "quantum_board_rearranged"
"""Appears in events now and then, but in no catalogue."""

_ACCOUNTS = "Atlassian accounts"
_USERS = "Users, groups and roles"
_POLICIES = "Policies and settings"

ACTIONS = tuple(
    Action(*row)
    for row in (
        ("user_login", "Logged in to account", _ACCOUNTS, "atlassian-account"),
        ("user_login_failed", "", _ACCOUNTS, "atlassian-account"),
        ("user_logout", "Logged out of account", _ACCOUNTS, "atlassian-account"),
        ("user_logged_in_as_user", "Logged in as user", _ACCOUNTS, "admin"),
        ("user_created", "", _USERS, "admin"),
        ("user_invitation_sent", "", _USERS, "admin"),
        ("user_added_to_group", "User added to group", _USERS, "admin"),
        ("user_granted_role", "", _USERS, "admin"),
        ("user_revoked_role", "", _USERS, "admin"),
        ("added_org_admin", "", _USERS, "admin"),
        ("group_created", "", _USERS, "admin"),
        ("group_deleted", "", _USERS, "admin"),
        ("group_granted_admin_access", "", _USERS, "admin"),
        ("twosv_disabled_for_user", "", _ACCOUNTS, "admin"),
        ("user_profile_viewed", "", _USERS, "admin"),
        ("organization_users_viewed", "", _USERS, "admin"),
        ("api_token_created", "Created API token", _ACCOUNTS, "admin"),
        ("api_token_revoked", "", _ACCOUNTS, "admin"),
        ("org_settings_update", "", _POLICIES, "admin"),
        ("data_classification_policy_update", "", _POLICIES, "admin"),
        ("marketplace_app_installed", "App successful installation", "App actions", "apps"),
        ("marketplace_app_uninstalled", "App successful uninstallation", "App actions", "apps"),
        ("confluence_added_space_permission", "Added Confluence space permission", "Confluence", "confluence"),
        ("confluence_audit_record_removed_content_restriction", "", "Confluence", "confluence"),
        ("confluence_page_viewed", "Viewed Confluence page", "Confluence user activity", "confluence"),
        ("confluence_page_created", "Created Confluence page", "Confluence user activity", "confluence"),
        ("confluence_page_updated", "Edited Confluence page", "Confluence user activity", "confluence"),
        ("confluence_space_export_completed", "Completed Confluence space export", "Confluence", "confluence"),
        ("confluence_space_export_downloaded", "Downloaded Confluence space export", "Confluence", "confluence"),
        ("jira_issue_viewed", "Viewed Jira issue", "Jira user activity", "jira"),
        ("jira_issue_created", "", "Jira user activity", "jira"),
        ("jira_issue_updated", "", "Jira user activity", "jira"),
        ("jira_issue_deleted", "Deleted Jira issue", "Jira user activity", "jira"),
        ("rovo_search_performed", "", "Rovo", "rovo"),
        ("rovo_agent_chat_started", "", "Rovo", "rovo"),
    )
)
