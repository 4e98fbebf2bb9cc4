"""The rules of language, measured: against every action that is known, and against many that no one has listed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from forwarder.catalogue import ListedAction, Meaning, load_catalogue
from forwarder.catalogue.known import LISTS, lines_of, meaning_of

CATALOGUE = load_catalogue()
GRAMMAR = CATALOGUE.grammar


class Label(NamedTuple):
    """What a text means by the word of whoever labelled it; several answers may be right."""

    text: str
    act: set[str]
    category: set[str]
    types: set[str]
    outcome: set[str]
    how: str = "id"
    group: str = ""

    def faults(self, found: Meaning) -> list[str]:
        """Say what of a meaning is wrong; what it does not claim is not wrong."""
        category = found.category[0] if found.category else ""
        return [
            f"{name} is {value}"
            for name, value, right in (
                ("act", found.act, self.act),
                ("category", category, self.category),
                ("types", "+".join(found.types), self.types),
                ("outcome", found.outcome if found.outcome != "unknown" else "", self.outcome),
            )
            if value and value not in right
        ]


def labels(file: str) -> list[Label]:
    lines = (Path(__file__).parent / file).read_text(encoding="utf-8").splitlines()
    fields = [line.split("\t") for line in lines if not line.startswith("#")]
    return [Label(text, *(set(part.split("|")) for part in parts[:4]), *parts[4:]) for text, *parts in fields]


def as_events_bring_them(listed: list[Label]) -> list[Meaning]:
    """Read each text as an action id, as a display name of the organization's list, or as a message."""
    catalogue = load_catalogue()
    catalogue.learn([ListedAction(f"x{n}", label.text, (label.group,)) for n, label in enumerate(listed)])
    read = {"id": lambda _, text: catalogue.meaning(text), "name": lambda n, _: catalogue.meaning(f"x{n}"),
            "message": lambda _, text: catalogue.meaning_of_message(text)}  # fmt: skip
    return [read[label.how](n, label.text) for n, label in enumerate(listed)]


def known_texts() -> list[tuple[str, str, str, Meaning]]:
    """Every known action: its list, its name or else its id, its group, and what it means."""
    return [
        (
            name,
            line.name or line.id,
            line.group,
            meaning_of(line, CATALOGUE.records._kinds, CATALOGUE.records._vocabulary),
        )
        for name in LISTS
        for line in lines_of(name)
    ]


def test_rules_find_what_is_known_without_looking_it_up(capsys):
    """Take each record away: do the rules find it? They see texts only, so one is as good as away when all are."""
    right, wrong, unknown = 0, [], []
    for name, text, group, record in known_texts():
        found = GRAMMAR.meaning(text, group)
        answer = (found.act, found.category, found.types)
        if not found.category:
            unknown.append(f"{name}: {text}")
        elif answer == (record.act, record.category, record.types) and found.outcome in {record.outcome, "unknown"}:
            right += 1
        else:
            wrong.append(f"{name}: {text}: {answer} {found.outcome}")
    total = right + len(wrong) + len(unknown)
    with capsys.disabled():
        print(
            f"\nrules against {total} known actions: {right} right ({right / total:.1%}), {len(wrong)} wrong, {len(unknown)} unknown"
        )
    assert right >= 0.9 * total, wrong
    assert len(wrong) <= 0.01 * total, wrong


@pytest.mark.parametrize(
    ("file", "most_unknown", "in_the_catalogue"),
    [
        ("unseen.tsv", 0.4, []),
        ("held_out.tsv", 0.4, []),
        ("independent.tsv", 0.6, []),
        ("independent_again.tsv", 0.6, []),
        ("plausible.tsv", 0.4, []),
        ("ordinary.tsv", 0.4, ["Deleted Jira issue"]),
    ],
)
def test_rules_are_not_wrong_about_what_nobody_listed(file, most_unknown, in_the_catalogue, capsys):
    known = {action.casefold() for action in (*CATALOGUE.records.by_id, *CATALOGUE.records.by_name)}
    assert [label.text for label in labels(file) if label.text.casefold() in known] == in_the_catalogue
    listed = [label for label in labels(file) if label.text not in in_the_catalogue]
    assert len(listed) >= 60
    wrong, silent = [], 0
    for label, found in zip(listed, as_events_bring_them(listed), strict=True):
        if faults := label.faults(found):
            wrong.append(f"{label.text}: {', '.join(faults)}")
        silent += not found.category
    with capsys.disabled():
        print(f"\n{file}: {len(listed)} texts, {len(wrong)} wrong ({len(wrong) / len(listed):.1%}), {silent} unknown")
    assert len(wrong) <= 0.02 * len(listed), wrong
    assert silent <= most_unknown * len(listed)


LABELLED = ["unseen.tsv", "held_out.tsv", "independent.tsv", "independent_again.tsv", "plausible.tsv", "ordinary.tsv"]


@pytest.mark.parametrize("file", LABELLED)
def test_the_list_of_an_organization_makes_no_answer_wrong(file, capsys):
    """In production the organization's own list is asked for: every id comes with a display name and a group."""
    listed = [label for label in labels(file) if label.how != "message"]
    catalogue = load_catalogue()
    ids = [
        label.text if label.how == "id" else re.sub(r"[^a-z0-9]+", "_", f"{label.text} {n}".lower())
        for n, label in enumerate(listed)
    ]
    names = [re.sub(r"[_.]+", " ", label.text).capitalize() for label in listed]
    catalogue.learn(
        ListedAction(ident, name, tuple(filter(None, [label.group])))
        for ident, name, label in zip(ids, names, listed, strict=True)
    )
    found = [catalogue.meaning(ident) for ident in ids]
    wrong = [
        f"{label.text}: {', '.join(faults)}"
        for label, one in zip(listed, found, strict=True)
        if (faults := label.faults(one))
    ]
    silent = sum(not one.category for one in found)
    with capsys.disabled():
        print(f"\n{file} with the list of an organization: {len(listed)} texts, {len(wrong)} wrong, {silent} unknown")
    assert len(wrong) <= 0.02 * len(listed), wrong


def test_products_are_right_with_the_list_of_an_organization(capsys):
    """The group of a display name proves its product; where id and group name another, that one is right."""
    named = [line for line in lines_of("organization") if line.name]
    catalogue, wrong = load_catalogue(), []
    catalogue.learn(ListedAction(f"a_{n}", line.name, (line.group,)) for n, line in enumerate(named))
    catalogue.learn(ListedAction(f"jira_a_{n}", line.name, ("Jira administration",)) for n, line in enumerate(named))
    for n, line in enumerate(named):
        by_group, by_id = catalogue.meaning(f"a_{n}"), catalogue.meaning(f"jira_a_{n}")
        if (by_group.product or by_group.presumed) != line.product:
            wrong.append(f"{line.name}: {by_group.product}")
        if by_id.product != "jira":
            wrong.append(f"{line.name} of Jira: {by_id.product}")
        if (by_group.act, by_group.category) != (by_id.act, by_id.category) and by_id.category:
            wrong.append(f"{line.name}: {by_group.act} {by_group.category}, of Jira {by_id.act} {by_id.category}")
    with capsys.disabled():
        print(f"\nproducts of {len(named)} names, by group and by id: {len(wrong)} wrong")
    assert len(wrong) <= 0.03 * len(named), wrong


def test_a_wrong_answer_is_seen_as_one():
    """The yardstick itself: a label refuses what it does not name."""
    label = Label("x", {"view"}, {"web"}, {"access"}, {"success"})
    assert label.faults(Meaning(act="view", category=("web",), types=("access",), outcome="success")) == []
    assert label.faults(Meaning(act="delete", category=("file",), types=("deletion",), outcome="failure")) == [
        "act is delete", "category is file", "types is deletion", "outcome is failure",
    ]  # fmt: skip
    assert label.faults(Meaning()) == []
