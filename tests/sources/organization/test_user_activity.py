"""What people do in a product is told from its administration by the action, also where that is no text."""

from __future__ import annotations

import json

import pytest

from forwarder.sources.organization.heads import has_user_activity, heads_of
from tests.sources.organization.answers import harness, onward


def found(*actions: object) -> bool:
    return has_user_activity(
        heads_of([json.dumps({"id": "1", "attributes": {"action": each}}).encode() for each in actions])
    )


@pytest.mark.parametrize(
    "action",
    [
        "jira_issue_viewed", "jira_issue_created", "jira_work_item_updated", "confluence_page_viewed", "Confluence_Page_Viewed",
        "confluence_blog_deleted", "user_viewed_page", "issue_viewed", "confluence_comment_created", "viewed_jira_issue", "confluence_whiteboard_viewed",
    ],
)  # fmt: skip
def test_content_is_of_people(action: str) -> None:
    assert found(action)
    assert found("user_login", action, "group_created")


@pytest.mark.parametrize(
    "action",
    [
        "user_login", "group_created", "added_org_admin", "jira_issue_type_created", "jira_issue_security_scheme_updated",
        "jira_project_created", "confluence_space_permission_added", "confluence_global_setting_changed", "", None, 5, [],
        {"a": "jira_issue_viewed"}, "x" * 1000, "my_jira_issue_viewed_and_more",
    ],
)  # fmt: skip
def test_all_else_is_not(action: object) -> None:
    assert not found(action)


def test_events_without_attributes_are_no_fault() -> None:
    assert not has_user_activity(heads_of([b"{}", b"[]", b'{"attributes": null}', b'{"attributes": {}}', b"not json"]))


async def test_the_page_says_it() -> None:
    async with harness() as h:
        event = {"id": "1", "attributes": {"time": "2026-01-31T10:00:00Z", "action": "group_created"}}
        assert (await h.step(onward(event, cursor="c1"))).user_activity is False
        seen = {"id": "2", "attributes": {"time": "2026-01-31T10:00:00Z", "action": "jira_issue_viewed"}}
        assert (await h.step(onward(event, seen, cursor="c2"))).user_activity is True


async def test_what_the_organization_lists_as_user_activity_is() -> None:
    async with harness() as h:
        event = {"id": "1", "attributes": {"time": "2026-01-31T10:00:00Z", "action": "odd_name_of_a_thing"}}
        assert (await h.step(onward(event, cursor="c1"))).user_activity is False
        listed = [
            {"id": "odd_name_of_a_thing", "type": "x", "attributes": {"groupDisplayName": "Jira user activity"}},
            {"id": "group_created", "type": "x", "attributes": {"groupDisplayName": "Users, groups and roles"}},
        ]
        h.answers.append(onward(*listed, cursor=None))
        await h.source.actions()
        assert (await h.step(onward(event, cursor="c2"))).user_activity is True
        other = {"id": "2", "attributes": {"time": "2026-01-31T10:00:00Z", "action": "group_created"}}
        assert (await h.step(onward(other, cursor="c3"))).user_activity is False
