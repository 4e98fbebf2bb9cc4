"""What a sink's `fields` do to a record of each format, and what is refused at the start, with the fix."""

import json

import pytest
from pydantic import ValidationError

from forwarder.contracts import ConfigError, FieldsConfig, SinkConfig, UnexpectedPayload
from forwarder.formats.ecs.fields import known_fields
from forwarder.formats.ecs.format import EcsFormat
from forwarder.formats.ocsf import fields as ocsf_fields
from forwarder.registry import FORMATS, build_format
from forwarder.testing.events import record_of as record_of_event
from tests.events import GOLDEN, golden_bodies, meaning_of, record_of
from tests.formats.cef_reader import strictly as cef_strictly
from tests.formats.leef.reader import read as leef_read
from tests.formats.ocsf_reader import strictly as ocsf_strictly
from tests.formats.structured_data_reader import strictly as sd_strictly
from tests.hostile import ordinary_event


def rendered(name, event=None, raw=b"{}", **fields):
    record = record_of_event(event or ordinary_event(), raw)
    [body] = build_format(name, fields=FieldsConfig(**fields)).render([record])
    return body


def test_ecs_by_path():
    tree = json.loads(
        rendered(
            "ecs",
            rename={"source.ip": "client_ip", "user.target": "labels.whom"},
            drop=["source.geo", "related.hosts", "user_agent.original", "message"],
            add={"env": "prod", "labels.tier": 1, "labels.live": True},
        )
    )
    assert tree["client_ip"] == "203.0.113.155"
    assert tree["labels"]["whom"]["id"] == "712020:1f0c"
    assert (tree["env"], tree["labels"]["tier"], tree["labels"]["live"]) == ("prod", 1, True)
    assert tree["source"] == {"address": "gateway"}
    assert "target" not in tree["user"]
    assert not {"message", "user_agent"} & set(tree), "what is empty without it goes, too"


def test_ocsf_stays_an_event_of_its_class():
    body = rendered(
        "ocsf",
        ordinary_event(ocsf_class=6001, ocsf_activity=2),
        rename={"src_endpoint.ip": "unmapped.client_ip"},
        drop=["observables", "src_endpoint.location", "unmapped.container"],
        add={"unmapped.env": "prod"},
    )
    tree = ocsf_strictly(body)
    assert (tree["unmapped"]["client_ip"], tree["unmapped"]["env"]) == ("203.0.113.155", "prod")
    assert "container" not in tree["unmapped"]


@pytest.mark.parametrize(
    "fields",
    [
        {"drop": ["actor", "src_endpoint", "observables"]},
        {"rename": {"src_endpoint.ip": "unmapped.ip"}, "drop": ["src_endpoint.location", "actor.user", "observables"]},
    ],
)
def test_ocsf_keeps_what_only_the_class_of_an_event_requires(fields):
    facts = {"source_address": None, "geo": None, "country": None, "region": None, "city": None, "authentication": None}
    tree = ocsf_strictly(rendered("ocsf", ordinary_event(ocsf_class=6003, ocsf_activity=99, **facts), **fields))
    assert tree["src_endpoint"] == {"ip": "203.0.113.155"}
    assert tree["actor"]["user"]["uid"] == "557058:bd95"
    elsewhere = ocsf_strictly(rendered("ocsf", ordinary_event(ocsf_class=6001, ocsf_activity=2, **facts), **fields))
    assert not {"src_endpoint", "actor"} & set(elsewhere)


def test_what_is_renamed_out_of_a_dropped_object_is_kept():
    tree = json.loads(rendered("ecs", rename={"source.ip": "client_ip"}, drop=["source"]))
    assert tree["client_ip"] == "203.0.113.155"
    assert "source" not in tree


def test_what_is_absent_stays_absent():
    tree = json.loads(rendered("ecs", ordinary_event(ip=None), rename={"source.ip": "a.b.c"}, drop=["url.full"]))
    assert "a" not in tree


def test_raw_by_path_and_its_numbers():
    raw = b'{"id":"1","n":1.10,"attributes":{"time":"t","action":"a","location":{"ip":"203.0.113.7"}},"big":123456789012345678901}'
    body = rendered("raw", raw=raw, rename={"attributes.location.ip": "client_ip"}, add={"env": "prod"})
    assert (
        body
        == b'{"id":"1","n":1.10,"attributes":{"time":"t","action":"a"},"big":123456789012345678901,"client_ip":"203.0.113.7","env":"prod"}'
    )


@pytest.mark.parametrize(
    "raw", [b'{"id":"1","env":"mine","x":1}', b'{"id":"1","x":1,"env":{"a":2}}', b'{"id":"1","x":1,"y":5}']
)
def test_an_event_with_something_in_that_place_is_refused_and_nothing_overwritten(raw):
    body = rendered("raw", raw=raw, rename={"x": "y.z"}, add={"env": "prod"})
    assert isinstance(body, UnexpectedPayload)
    assert "choose another name" in body.reason


def test_raw_with_half_a_surrogate_and_with_no_json():
    assert json.loads(rendered("raw", raw=b'{"id":"\\ud800"}', add={"env": "prod"}))["env"] == "prod"
    assert isinstance(rendered("raw", raw=b"[1]", add={"env": "prod"}), UnexpectedPayload)
    deep = b'{"id":"1","a":' + b"[" * 900 + b"]" * 900 + b"}"
    assert isinstance(rendered("raw", raw=deep, add={"env": "prod"}), bytes | UnexpectedPayload)


def test_cef_by_key():
    line = rendered("cef", rename={"src": "clientIp", "cs1": "team"}, drop=["cs2", "msg"], add={"env": "a=b\\c|d"})
    assert b" clientIp=203.0.113.155 " in line
    assert b" team=ops " in line
    assert line.endswith(b" env=a\\=b\\\\c|d")
    assert not any(gone in line for gone in (b" src=", b"cs1", b"cs2", b" msg="))
    whole = rendered("cef")
    assert line.split(b"rt=")[0] == whole.split(b"rt=")[0]


def test_leef_by_attribute():
    line = rendered("leef", rename={"src": "clientIp"}, drop=["message"], add={"env": "prod", "tier": 1, "live": False})
    found = leef_read(line).attributes
    assert (found["clientIp"], found["env"], found["tier"], found["live"]) == ("203.0.113.155", "prod", "1", "false")
    assert not {"src", "message"} & set(found)


def test_structured_data_by_name():
    line = rendered("rfc5424_sd", rename={"source_ip": "client_ip"}, drop=["message"], add={"env": 'x"]y\\'})
    assert b' client_ip="203.0.113.155" ' in line
    assert line.endswith(b' env="x\\"\\]y\\\\"]')
    assert b" message=" not in line


def test_no_fields_change_nothing():
    assert all(
        rendered(name) == build_format(name).render([record_of_event(ordinary_event())])[0]
        for name in ("ecs", "cef", "leef", "rfc5424_sd")
    )


@pytest.mark.parametrize("name", ["ecs", "ocsf", "cef", "leef", "rfc5424_sd"])
def test_a_limit_that_cannot_hold_who_did_what_is_refused_with_the_reason(name):
    refused = build_format(name).shrink(record_of_event(ordinary_event()), 60)
    assert refused.reason.startswith("what must be said of this event takes more than 60 bytes of ")


@pytest.mark.parametrize("name", ["ecs", "cef", "leef", "rfc5424_sd"])
def test_a_changed_record_is_shortened_and_says_so(name):
    event = ordinary_event(message="m" * 3000, actor=None)
    made = build_format(name, fields=FieldsConfig(add={"environment": "production" * 10}))
    for limit in (1000, 1500, 2000):
        short = made.shrink(record_of_event(event), limit)
        assert isinstance(short, bytes), short
        assert len(short) <= limit
        assert b"truncated" in short
        assert limit < 1500 or b"production" * 10 in short
    assert isinstance(made.shrink(record_of_event(event), 60), UnexpectedPayload)


def test_a_changed_raw_event_is_shortened_and_says_so():
    raw = json.dumps({"id": "1", "attributes": {"time": "t", "action": "a", "context": ["x" * 5000]}}).encode()
    made = build_format("raw", fields=FieldsConfig(add={"env": "prod"}, rename={"attributes.context": "c.o.n"}))
    short = made.shrink(record_of(raw), 300)
    assert len(short) <= 300
    assert json.loads(short)["audit_forwarder"]["truncated"] is True
    assert not made.needs_event


STAYS = {
    "ecs": ["@timestamp", "event.id", "event", "ecs", "ecs.version", "atlassian", "atlassian.audit.marks"], "cef": ["rt", "externalId", "act", "flexString2"],
    "leef": ["devTime", "devTimeFormat", "eventId", "marks"], "rfc5424_sd": ["time", "action", "id", "marks"],
    "ocsf": ["class_uid", "time", "metadata", "metadata.uid", "user", "type_uid"],
    "raw": ["id", "attributes", "attributes.time", "audit_forwarder"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "field"), [(name, field) for name, fields in STAYS.items() for field in fields])
def test_what_must_stay_is_neither_dropped_nor_renamed(name, field):
    for fields in ({"drop": [field]}, {"rename": {field: "other"}}):
        with pytest.raises(ConfigError, match="must stay"):
            build_format(name, fields=FieldsConfig(**fields))


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("ecs", {"drop": ["source.ipp"]}, "did you mean source.ip"),
        ("ecs", {"drop": ["atlassian.audit.changes.field"]}, "did you mean atlassian.audit.changes"),
        ("ecs", {"drop": ["zzz"]}, "docs formats"),
        ("cef", {"drop": ["cs1Label"]}, "did you mean cs1"),
        ("leef", {"rename": {"scr": "a"}}, "did you mean src"),
        ("rfc5424_sd", {"drop": ["actor"]}, "did you mean actor_id"),
        ("ocsf", {"add": {"env": "prod"}}, "such as unmapped.env"), ("ocsf", {"add": {"unmapped.context.x": 1}}, "in the place of unmapped.context"),
        ("ocsf", {"rename": {"src_endpoint.ip": "unmapped.ip"}}, "rename or drop src_endpoint.location, too"),
        ("ocsf", {"drop": ["actor.user.name"]}, "drop actor.user.display_name, actor.user.email_addr, actor.user.type"),
        ("ocsf", {"drop": ["src_endpoint.ipp"]}, "did you mean src_endpoint.ip"),
        ("ecs", {"rename": {"message": "source.ip"}}, "source.ip is a field already"),
        ("ecs", {"rename": {"message": "source"}}, "source is a field already"),
        ("ecs", {"add": {"message.env": "x"}}, "in the place of message"),
        ("ecs", {"add": {"atlassian.audit.context.x": "x"}}, "in the place of atlassian.audit.context"),
        ("ecs", {"add": {"@Timestamp": "x"}}, "in the place of @timestamp"),
        ("raw", {"add": {"attributes.action.x": "x"}}, "in the place of attributes.action"),
        ("raw", {"add": {"attributes": "x"}}, "in the place of attributes."),
        ("cef", {"rename": {"msg": "act"}}, "act is a field already"),
        ("cef", {"add": {"cs1Label": "x"}}, "a meaning of its own"), ("cef", {"rename": {"msg": "eventId"}}, "a meaning of its own"),
        ("leef", {"add": {"identSrc": "10.0.0.1"}}, "a meaning of its own"), ("leef", {"add": {"isLoginEvent": True}}, "a meaning of its own"),
        ("leef", {"add": {"SRC": "x"}}, "in the place of src"),
        ("ecs", {"add": {"a": 1, "a.b": 1}}, "would be one field"),
        ("leef", {"add": {"env": 1}, "rename": {"src": "Env"}}, "would be one field"),
        ("ecs", {"rename": {"source": "a", "source.ip": "b"}}, "overlap"),
        ("ecs", {"rename": {"source": "a"}, "drop": ["source.ip"]}, "overlap"),
        ("cef", {"rename": {"msg": "a"}, "drop": ["msg"]}, "overlap"),
        ("cef", {"drop": ["msg", "msg"]}, "overlap"),
        ("ecs", {"add": {"a..b": 1}}, "cannot be a name"), ("ecs", {"add": {"": 1}}, "cannot be a name"),
        ("cef", {"add": {"a b": 1}}, "such as clientIp"), ("cef", {"add": {"a=b suid": 1}}, "cannot be a name"),
        ("leef", {"add": {"a^src": 1}}, "cannot be a name"), ("rfc5424_sd", {"add": {'a="1" b': 1}}, "cannot be a name"),
        ("rfc5424_sd", {"add": {"a" * 33: 1}}, "cannot be a name"), ("cef", {"rename": {"msg": "client_ip"}}, "such as clientIp"),
        ("cef", {"add": {"env": "a\nb"}}, "one line"), ("ecs", {"add": {"env": "a\x1bb"}}, "one line"), ("leef", {"add": {"env": " a"}}, "one line"),
        ("rfc5424_sd", {"add": {"env": ""}}, "one line"), ("ecs", {"add": {"env": "a" * 256}}, "shorten"),
        ("leef", {"add": {"env": "a^src=10.0.0.1"}}, "cannot carry"), ("leef", {"add": {"env": "a|b"}}, "cannot carry"),
    ],
)  # fmt: skip
def test_what_is_refused_names_the_fix(name, fields, words):
    with pytest.raises(ConfigError, match="fields") as caught:
        build_format(name, fields=FieldsConfig(**fields))
    assert words in str(caught.value)


def test_a_format_that_lets_nothing_be_changed(monkeypatch):
    class Stiff:
        needs_event = False

    monkeypatch.setattr(type(FORMATS), "load", lambda self, name: Stiff)
    with pytest.raises(ConfigError, match="leave out fields"):
        build_format("stiff", fields=FieldsConfig(drop=["a"]))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, ["x"], {"a": 1}])
def test_a_constant_is_one_plain_value(value):
    with pytest.raises(ValidationError):
        SinkConfig.model_validate({"type": "file", "fields": {"add": {"x": value}}})


OPEN = {
    "atlassian.audit.context",
    "atlassian.audit.container",
    "source.geo.location",
    "unmapped.context",
    "unmapped.container",
}


@pytest.mark.parametrize(("name", "known"), [("ecs", known_fields()), ("ocsf", ocsf_fields.known_fields())])
def test_every_path_of_the_golden_documents_is_known(name, known):
    def paths(tree, before=""):
        for member, value in tree.items():
            yield before + member
            if type(value) is dict and before + member not in OPEN:
                yield from paths(value, f"{before}{member}.")

    seen = {path for file in GOLDEN.glob(f"*/{name}.json") for path in paths(json.loads(file.read_bytes()))}
    assert seen <= known
    assert len(seen) > 70


@pytest.mark.parametrize("field", sorted(path for path in known_fields() if path.count(".") < 2))
def test_every_known_path_can_be_dropped_or_says_that_it_stays(field):
    try:
        made = EcsFormat().with_fields(FieldsConfig(drop=[field]))
    except ConfigError as error:
        assert "must stay" in str(error)
        return
    record = record_of(golden_bodies()["page_viewed"])
    record.event = meaning_of(record.raw)
    [body] = made.render([record])
    tree = json.loads(body)
    for name in field.split("."):
        tree = tree.get(name, {})
    assert tree == {}


def test_the_readers_still_read_what_has_new_names():
    add = {"zEnv": "prod"}
    assert sd_strictly(rendered("rfc5424_sd", drop=["message"]))
    assert leef_read(rendered("leef", add=add)).attributes["zEnv"] == "prod"
    assert "msg" not in cef_strictly(rendered("cef", drop=["msg"]))[1]
