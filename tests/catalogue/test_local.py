"""Records of the user's own: what they change, and what is said of a faulty one."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from forwarder.catalogue import Meaning, load_catalogue
from forwarder.catalogue.own import check_files, ecs_types, local_records
from forwarder.config.problems import SettingsError

PAGE = Path(__file__).parent.parent.parent / "docs" / "catalogue.md"


def records(tmp_path: Path, text: str) -> dict[str, Meaning]:
    file = tmp_path / "actions.yaml"
    file.write_text(text)
    return local_records([file])


def test_act_and_object_are_enough(tmp_path):
    found = records(tmp_path, "actions:\n  x1: {act: delete, object: page, outcome: success}\n")["x1"]
    assert (found.layer, found.category, found.types, found.outcome, found.severity, found.ocsf_class) == (
        "local", ("file",), ("deletion",), "success", 4, 6001,
    )  # fmt: skip


def test_what_a_record_leaves_out_stays(tmp_path):
    before = load_catalogue().meaning("user_granted_role")
    found = records(tmp_path, "actions:\n  user_granted_role: {severity: 9}\n")["user_granted_role"]
    assert (found.severity, found.reason, found.layer) == (9, "by actions.yaml", "local")
    assert (found.category, found.types, found.act, found.outcome) == (
        before.category, before.types, before.act, before.outcome,
    )  # fmt: skip


def test_everything_can_be_said(tmp_path):
    found = records(
        tmp_path,
        "actions:\n  x1:\n    name: X one\n    product: flux\n    act: bend\n    object: beam\n    category: api\n"
        "    types: [change, admin]\n    outcome: failure\n    severity: 3\n    reason: we know\n"
        "    ocsf: {class: 6003, activity: 3}\n    target: impersonated\n",
    )["x1"]
    assert found == Meaning(
        name="X one", product="flux", act="bend", object="beam", category=("api",), types=("change", "admin"),
        outcome="failure", severity=3, reason="we know", ocsf_class=6003, ocsf_activity=3, target="impersonated",
        layer="local",
    )  # fmt: skip


def test_the_first_file_that_names_an_action_counts(tmp_path):
    (tmp_path / "a.yaml").write_text("actions:\n  x1: {act: view, object: page}\n")
    (tmp_path / "b.yaml").write_text("actions:\n  x1: {act: delete, object: page}\n  x2: {act: view}\n")
    found = local_records([tmp_path / "a.yaml", tmp_path / "b.yaml"])
    assert (found["x1"].act, found["x2"].act) == ("view", "view")


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("actions:\n  x1:\n    act: view\n    categry: web\n", 4, "did you mean category?"),
        ("actions:\n  x1:\n    act: view\n    category: wbe\n    types: [access]\n", 4, "no category of ECS"),
        ("actions:\n  x1:\n    act: view\n    category: web\n    types: [deletion]\n", 5, "does not go with"),
        ("actions:\n  x1:\n    category: web\n", 2, "does not go with"),
        ("actions:\n  x1:\n    types: [access]\n", 3, "types need a category"),
        ("actions:\n  x1:\n    severity: 11\n", 3, "more than 10"),
        ("actions:\n  x1:\n    outcome: maybe\n", 3, "write one of: success"),
        ("actions:\n\n  x1: {}\n", 3, "neither act nor category"),
        ("actions:\n  x1: text\n", 2, "not a map of settings"),
        ("actions: []\n", 1, "not a map"),
        ("actions:\n  x1:\n    act: cchange\n    object: issue\n", 3, "no act that is known; did you mean change?"),
        (
            "actions:\n  x1:\n    act: cchange\n    object: issue\n    category: web\n    types: [access]\n",
            3,
            "did you mean change?",
        ),
        ("actions:\n  x1:\n    act: change\n    object: issuee\n", 4, "no object that is known; did you mean issue?"),
        ("actions:\n  x1:\n    act: frobnicate\n    object: issue\n", 3, "no act that is known; known: accept, add"),
        ("actions:\n  x1:\n    act: change\n    object: issue\n    outcome: suxess\n", 5, "did you mean success?"),
        ("actions:\n  x1:\n    act: change\n    object: issue\n    categori: web\n", 5, "did you mean category?"),
        ("actions:\n  x1:\n    act: change\n    object: issue\n    severiti: 3\n", 5, "did you mean severity?"),
        (
            "actions:\n  x1:\n    act: change\n    category: configuratione\n    types: [change]\n",
            4,
            "did you mean configuration?",
        ),
        ("actions:\n  x1:\n    act: change\n    object: issue\n    severity: high\n", 5, "not a whole number"),
        ("actions:\n  x1:\n    act: Change\n", 3, "not a word; write small letters"),
        (
            "actions:\n  x1:\n    act: change\n    object: issue\n    ocsf: {clas: 6001, activity: 1}\n",
            5,
            "did you mean class?",
        ),
        ("acttions:\n  x1: {act: view}\n", 1, "did you mean actions?"),
        ("action:\n  x1: {act: view}\n", 1, "unknown key"),
        ("actions:\n  x1: {act: view}\n  x1: {act: delete}\n", 3, "given twice"),
        ("actions:\n  x1: [\n", 3, "not YAML"),
    ],
)
def test_a_fault_names_file_and_line(tmp_path, text, line, what):
    with pytest.raises(SettingsError) as caught:
        records(tmp_path, text)
    assert f"actions.yaml line {line}" in str(caught.value)
    assert what in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    [problem] = check_files([tmp_path / "gone.yaml"])
    assert "gone.yaml" in problem.path
    assert problem.fix == "name the right file in catalogue.files"


@pytest.mark.parametrize("kind", ["a pipe", "a directory", "a device"])
def test_what_is_no_file_is_named_and_not_waited_for(tmp_path, kind):
    odd = tmp_path / "actions.yaml"
    if kind == "a pipe":
        os.mkfifo(odd)
    elif kind == "a directory":
        odd.mkdir()
    else:
        odd.symlink_to("/dev/zero")
    (problem,) = check_files([odd])
    assert (problem.path, problem.what) == (str(odd), f"it is {kind}")
    assert problem.fix


def test_the_example_of_the_page_works(tmp_path):
    blocks = re.findall(r"(?:^    .*\n)+", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    [block] = [block for block in blocks if block.lstrip().startswith("actions:")]
    found = records(tmp_path, block)
    assert found["jira_flux_calibrated"].types == ("change",)
    assert found["user_granted_role"].severity == 9


def test_the_table_of_types_is_the_one_of_ecs():
    lines = (Path(__file__).parent.parent / "formats" / "ecs" / "category_types.tsv").read_text().splitlines()
    assert ecs_types() == {line.split("\t")[0]: frozenset(line.split("\t")[1].split()) for line in lines}


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12))
trees = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["act", "object", "category", "types", "severity", "ocsf", "class", "target", "x"]), inner
        ),
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), trees, max_size=3))
def test_whatever_a_file_holds_is_a_record_or_a_problem(tmp_path_factory, actions):
    file = tmp_path_factory.mktemp("own") / "a.yaml"
    file.write_text(yaml.safe_dump({"actions": actions}), encoding="utf-8")
    if not check_files([file]):
        allowed = ecs_types()
        for meaning in local_records([file]).values():
            assert all(set(meaning.types) <= allowed[category] for category in meaning.category)


@pytest.mark.parametrize(
    ("ocsf", "message"),
    [
        ("{class: 6006, activity: 2}", "no class of OCSF that we write"),
        ("{class: 3002, activity: 12}", "no activity of Authentication"),
    ],
)
def test_a_class_of_ocsf_that_nobody_can_write_is_refused(tmp_path, ocsf, message):
    file = tmp_path / "mine.yaml"
    file.write_text(f"actions:\n  x_flux:\n    act: change\n    object: issue\n    ocsf: {ocsf}\n")
    [problem] = check_files([file])
    assert message in problem.what
    assert "known: " in problem.fix
