"""Places, and the fields of a privacy: a name that nothing bears is named, and so is what no sink is there for."""

from __future__ import annotations

from pathlib import Path

import pytest

from forwarder.config.problems import SettingsError
from forwarder.config.settings import load
from forwarder.preflight import certain_to_fail, worth_a_look
from tests.preflight.test_preflight import KEY, ORG

CONFIG = f"""
sources:
  acme: {{type: organization, org_id: {ORG}, api_key: {KEY}}}
sinks:
  eu_siem: {{type: file, path: ./eu.ndjson, EU}}
  us_siem: {{type: file, path: ./us.ndjson, US}}
MORE
"""
PLACES = "places: {eu: [acme.atlassian.net, acme-labs], us: ['us-*']}"


@pytest.fixture
def found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def _found(eu="include: [{place: eu}]", us="include: [{place: [us, other, unknown]}]", more=PLACES) -> str:
        Path("config.yaml").write_text(CONFIG.replace("EU", eu).replace("US", us).replace("MORE", more))
        try:
            settings = load(Path("config.yaml"), {})
        except SettingsError as error:
            return "\n".join(map(str, error.problems))
        looks = [f"look: {each}" for each in worth_a_look(settings) if each.path.startswith(("sinks", "places"))]
        return "\n".join(map(str, [*certain_to_fail(settings), *looks]))

    return _found


def test_a_good_configuration_has_no_problems(found):
    assert found() == ""


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"eu": "include: [{place: eo}]"}, ["sinks.eu_siem.include.0.place: no place has this name; did you mean eu?"]),
        ({"eu": "exclude: [{place: moon}]"}, ["no place has this name", "known: eu, other, unknown, us"]),
        ({"more": ""}, ["no place has this name", "define it under places"]),
        ({"us": "include: [{place: us}]"}, ["look: places", "sites that are in no place", "events that name no site"]),
        ({"eu": "include: [{place: eu}]", "us": "exclude: [{place: eu}, {place: unknown}]"}, ["name no site"]),
        ({"eu": "include: [{place: us}]"}, ["sites in eu match no sink"]),
        ({"more": "places: {eu: [a], us: [A]}"}, ["places.us.0: this site is in eu, too"]),
        ({"more": "places: {eu: ['https://a.example.net/'], us: [a.example.net]}"}, ["this site is in eu, too"]),
        ({"more": "places: {eu: [a], us: [b], other: [c]}"}, ["places.other: this name stands for"]),
        ({"more": "places: {eu: [], us: [b]}"}, ["places.eu", "empty"]),
        ({"more": "places: {eu: [' a'], us: [b]}"}, ["not the name of a site"]),
        ({"more": "places: {EU: [a], us: [b]}"}, ["EU"]),
        ({"eu": "privacy: {fields: {attributes.contxt.id: drop}}"}, ["did you mean attributes.context.id?"]),
        ({"eu": "privacy: {preset: strct}"}, ["did you mean strict?"]),
    ],
)
def test_what_is_wrong_is_named(found, settings, words):
    text = found(**settings)
    for each in words:
        assert each in text, text


def test_a_sink_that_takes_everything_is_there_for_every_place(found):
    assert found(us="format: raw") == ""
    assert found(us="include: [{product: jira}]") == ""
