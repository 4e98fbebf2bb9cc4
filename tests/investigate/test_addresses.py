"""What a web address of content names: by every form that browsers show, and nothing where it names nothing."""

from __future__ import annotations

import pytest

from forwarder.investigate.questions.addresses import Address, address, same_site

CLOUD, OWN = "https://acme.example.net", "https://wiki.example.com:8443"


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (f"{CLOUD}/wiki/spaces/ENG/pages/3447008035/Incident+review", ("3447008035",)),
        (f"{CLOUD}/wiki/spaces/ENG/pages/3447008035/2026", ("3447008035",)),
        ("HTTPS://ACME.example.net/wiki/spaces/ENG/pages/3447008035/?focusedCommentId=12#comment-12", ("3447008035",)),
        (f"{CLOUD}/wiki/spaces/ENG/pages/edit-v2/3447008035", ("3447008035",)),
        (f"{CLOUD}/wiki/spaces/ENG/blog/2026/01/05/3447008035/A+title", ("3447008035",)),
        (f"{CLOUD}/wiki/spaces/ENG/whiteboard/3447008035", ("3447008035",)),
        (f"{CLOUD}/wiki/x/Iyt1zQ", ("3447008035",)),
        (f"{OWN}/x/u7e_/", ("12498875",)),
        (f"{OWN}/pages/viewpage.action?spaceKey=ENG&pageId=77", ("77",)),
        (f"{CLOUD}/browse/SEC-5?focusedCommentId=10000", ("SEC-5",)),
        (f"{CLOUD}/jira/software/c/projects/SEC/boards/1?selectedIssue=SEC-5", ("SEC-5",)),
        (f"{CLOUD}/jira/software/projects/SEC/issues/SEC-5?filter=x", ("SEC-5",)),
        (f"{CLOUD}/servicedesk/customer/portal/1/HELP-5", ("HELP-5",)),
        (f"{CLOUD}/jira/servicedesk/projects/HELP/queues/custom/1/HELP-5", ("HELP-5",)),
        (f"{CLOUD}/rest/api/3/issue/SEC-5", ("SEC-5",)),
        ("acme.example.net/browse/SEC-5", ("SEC-5",)),
        (f"{CLOUD}/wiki/spaces/ENG/overview", ()),
        (f"{CLOUD}/jira/software/projects/SEC/issues/?filter=x", ()),
        (f"{CLOUD}/wiki/x/", ()),
    ],
)
def test_an_address_names_ids(text, ids):
    found = address(text)
    assert found is not None
    assert (found.ids, found.title) == (ids, None)
    assert found.host in {"acme.example.net", "wiki.example.com"}


@pytest.mark.parametrize("path", ["/display/ENG/A+title%3F", "/pages/viewpage.action?title=A+title%3F&spaceKey=ENG",
                                  "/display/ENG/2026/01/05/A+title%3F"])  # fmt: skip
def test_an_address_names_a_title(path):
    assert address(OWN + path) == Address("wiki.example.com", (), "A title?")


@pytest.mark.parametrize(
    "text", ["SEC-5", "acme.example.net/page/77", "acme/77", "either/or", "Plan: v1.2/draft", "[x/y", ""]
)
def test_what_is_no_address(text):
    assert address(text) is None


def test_what_cannot_be_read_names_nothing():
    assert address("http://[::1/browse/SEC-5") == Address("")
    assert not same_site("https://[", "acme.example.net")
    assert same_site("https://ACME.example.net/wiki", "acme")
