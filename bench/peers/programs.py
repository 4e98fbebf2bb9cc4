"""The peers: what each does of the work, how it is told to, and the command that is measured.

Every one gets the same events and delivers to the same far end, gzipped where it can. One that does not read from an API
is fed from a file: that is the sink half of the work.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

from bench.harness import forwarder, write_config
from bench.peers import install
from tests.servers import debian
from tests.servers.cache import Cache


@dataclass(frozen=True)
class Place:
    """Where a run happens.

    Attributes:
        folder: Empty, for the run alone.
        feed: `url`, `org` and `key` of the API.
        drain: URL of the far end.
        events: Path of a file with the same events, one a line.
    """

    folder: Path
    feed: dict
    drain: str
    events: Path

    def write(self, name: str, text: str) -> Path:
        """Write a file into the folder."""
        path = self.folder / name
        path.write_text(dedent(text).lstrip())
        return path


@dataclass(frozen=True)
class Run:
    """What is measured: a command, what it needs of the environment, and whether it ends by itself."""

    command: list[str]
    env: dict[str, str] = field(default_factory=dict)
    ends: bool = False


@dataclass(frozen=True)
class Peer:
    """One of those who are compared.

    Attributes:
        name: As in the table.
        does: What it does of the work.
        not_: What it does not.
        get: Installs it and returns what `run` wants; raises Unavailable.
        run: Returns what is measured.
        is_real: A product that is in use, and no floor.
        fetches: It reads the API itself.
    """

    name: str
    does: str
    not_: str
    get: Callable[[Cache], Path]
    run: Callable[[Path, Place], Run]
    is_real: bool = True
    fetches: bool = True


def _nothing(_: Cache) -> Path:
    return Path(sys.executable)


def _address(place: Place) -> list[str]:
    return [place.feed["url"], place.feed["org"], place.feed["key"], place.drain]


def _ours(_: Path, place: Place) -> Run:
    sink = {"type": "elasticsearch", "url": place.drain, "unmanaged": True}
    config = place.folder / "config.yaml"
    write_config(config, place.feed, {"elastic": sink}, spool=place.folder / "spool.db", admin=0)
    return Run(forwarder(config))


def _floor(python: Path, place: Place) -> Run:
    command = [str(python), "-m", "bench.floor", "whole", *_address(place), str(place.folder / "floor.db")]
    return Run(command, ends=True)


def _equal(python: Path, place: Place) -> Run:
    return Run([str(python), "-m", "bench.equal_floor", *_address(place), str(place.folder / "floor.db")], ends=True)


def _go(program: Path, place: Place) -> Run:
    return Run([str(program), *_address(place)], ends=True)


def _grove(python: Path, place: Place) -> Run:
    jobs, pointers = place.folder / "jobs", place.folder / "pointers"
    jobs.mkdir()
    pointers.mkdir()
    job = {"name": "audit", "connector": "atlassian_audit_events", "identity": place.feed["org"]}
    (jobs / "audit.json").write_text(json.dumps(job | {"key": place.feed["key"], "frequency": 86_400}))
    start = place.write(
        "start.py",
        f"""
        # Grove has the address of the API as a constant; nothing else of it is changed.
        from grove.connectors.atlassian import api
        api.API_BASE_URI = "{place.feed["url"]}/admin/v1/orgs/{{identity}}"
        from grove.entrypoints import local_process
        local_process.entrypoint()
        """,
    )
    env = {
        "GROVE_CONFIG_LOCAL_FILE_PATH": str(jobs),
        "GROVE_CACHE_HANDLER": "local_file",
        "GROVE_CACHE_LOCAL_FILE_PATH": str(pointers),
        "GROVE_OUTPUT_HANDLER": "remote_http",
        "GROVE_OUTPUT_REMOTE_HTTP_URL": f"{place.drain}/lines",
    }
    return Run([str(python), str(start)], env, ends=True)


def _libraries(root: Path) -> dict[str, str]:
    return {"LD_LIBRARY_PATH": debian.libraries(root)}


ECS = {
    "@timestamp": "attributes.time",
    "event.id": "id",
    "event.action": "attributes.action",
    "event.created": "attributes.processedAt",
    "message": "message.content",
    "user.id": "attributes.actor.id",
    "user.name": "attributes.actor.name",
    "user.email": "attributes.actor.email",
    "source.ip": "attributes.location.ip",
    "source.geo.country_name": "attributes.location.countryName",
    "source.geo.region_name": "attributes.location.regionName",
    "source.geo.city_name": "attributes.location.city",
}
"""Fields of the document that every peer makes, by where the event has them; in all of them the event has some more."""

FIXED = {
    "ecs.version": "9.4.0",
    "event.kind": "event",
    "event.module": "atlassian",
    "event.dataset": "atlassian.audit",
    "event.category": "iam",
    "event.type": "info",
    "organization.id": "o1",
}
"""Fields that are the same in all of them."""


def _syslog_ng(root: Path, place: Place) -> Run:
    pairs = [f'{name}="{value}"' for name, value in FIXED.items()]
    pairs += [f"{name}=${{.e.{path}}}" for name, path in ECS.items()]
    pairs += [f"atlassian.audit.{name}=literal(${{.e.attributes.{name}:-[]}})" for name in ("context", "container")]
    config = place.write(
        "syslog-ng.conf",
        f"""
        @version: 3.38
        options {{ stats-freq(0); log-msg-size(1048576); }};
        source events {{ file("{place.events}" flags(no-parse) follow-freq(1) log-fetch-limit(1000) log-iw-size(20000)
                             read-old-records(yes)); }};
        parser cut {{ json-parser(prefix(".e.")); }};
        destination bulk {{
          http(url("{place.drain}/x/_bulk") method("POST") headers("Content-Type: application/x-ndjson") workers(1)
               batch-lines(500) batch-bytes(4096Kb) batch-timeout(1000) delimiter("\\n") body-suffix("\\n")
               log-fifo-size(100000)
               disk-buffer(reliable(yes) disk-buf-size(4000000000) mem-buf-size(50000000) dir("{place.folder}"))
               body('{{"create":{{"_id":"${{.e.id}}"}}}}
        $(format-json --scope none {" ".join(pairs)})'));
        }};
        log {{ source(events); parser(cut); destination(bulk); flags(flow-control); }};
        """,
    )
    modules = next(root.rglob("libafsocket.so")).parent
    where = ["-R", f"{place.folder}/persist", "-c", f"{place.folder}/control", f"--pidfile={place.folder}/pid"]
    command = [str(root / "usr/sbin/syslog-ng"), "-F", "-f", str(config), *where, f"--module-path={modules}"]
    return Run([*command, "--no-caps", "--stderr"], _libraries(root))


def _rsyslog(root: Path, place: Place) -> Run:
    host, _, port = place.drain.removeprefix("http://").partition(":")
    lines = []
    for name, value in FIXED.items():
        lines.append(f'constant(outname="{name}" value="{value}" format="jsonf")')
    for name, path in ECS.items():
        lines.append(f'property(outname="{name}" name="$!{path.replace(".", "!")}" format="jsonf")')
    for name in ("context", "container"):  # arrays stand there as they are
        lines += [f'constant(value="\\"atlassian.audit.{name}\\":") property(name="$!attributes!{name}")']
    document = ' constant(value=", ") '.join(lines)
    config = place.write(
        "rsyslog.conf",
        f"""
        global(workDirectory="{place.folder}" maxMessageSize="1m")
        module(load="imfile" mode="inotify")
        module(load="mmjsonparse")
        module(load="omelasticsearch")
        template(name="id" type="string" string="%$!id%")
        template(name="document" type="list") {{ constant(value="{{") {document} constant(value="}}") }}
        input(type="imfile" file="{place.events}" tag="events" ruleset="events" escapeLF="off")
        ruleset(name="events" queue.type="Direct") {{
          action(type="mmjsonparse" cookie="" useRawMsg="off")
          if $!attributes!context == "" then {{ set $!attributes!context = "[]"; }}
          if $!attributes!container == "" then {{ set $!attributes!container = "[]"; }}
          action(type="omelasticsearch" server="{host}" serverport="{port}" searchIndex="x" searchType="" bulkmode="on"
                 maxbytes="4m" dynbulkid="on" bulkid="id" template="document" writeoperation="create"
                 action.resumeretrycount="-1" queue.type="Disk" queue.filename="events" queue.size="20000"
                 queue.dequeuebatchsize="500" queue.checkpointinterval="500" queue.maxdiskspace="4g")
        }}
        """,
    )
    modules = next(root.rglob("imfile.so")).parent
    command = [
        str(root / "usr/sbin/rsyslogd"),
        "-n",
        "-i",
        f"{place.folder}/pid",
        "-f",
        str(config),
        "-M",
        str(modules),
    ]
    return Run(command, _libraries(root))


def _benthos(program: Path, place: Place) -> Run:
    tree: dict = {}
    for name, value in {
        **{name: json.dumps(value) for name, value in FIXED.items()},
        **{name: f"this.{path}" for name, path in ECS.items()},
        "atlassian.audit.context": "this.attributes.context",
        "atlassian.audit.container": "this.attributes.container",
    }.items():
        at, parts = tree, name.split(".")
        for part in parts[:-1]:
            at = at.setdefault(part, {})
        at[parts[-1]] = value

    def literal(node: dict | str) -> str:
        if isinstance(node, str):
            return node
        return "{" + ", ".join(f"{json.dumps(name)}: {literal(value)}" for name, value in node.items()) + "}"

    url = f"{place.feed['url']}/admin/v1/orgs/{place.feed['org']}/events"
    cursor = '${! json("meta.next").catch("at-0").or("at-999999999") }'
    config = place.write(
        "benthos.yaml",
        f"""
        http: {{enabled: false}}
        logger: {{level: ERROR}}
        input:
          http_client: {{url: '{url}?cursor={cursor}&limit=500', verb: GET, timeout: 30s, drop_empty_bodies: true}}
        pipeline:
          processors:
            - mapping: 'root = if this.data.length() > 0 {{ this.data }} else {{ deleted() }}'
            - unarchive: {{format: json_array}}
            - mapping: |
                let document = {literal(tree)}
                root = {{"create": {{"_id": this.id}}}}.string() + "\\n" + $document.string()
            - archive: {{format: lines}}
            - mapping: 'root = content().string() + "\\n"'
            - compress: {{algorithm: gzip, level: 1}}
        output:
          http_client:
            url: '{place.drain}/x/_bulk'
            verb: POST
            headers: {{Content-Type: application/x-ndjson, Content-Encoding: gzip}}
            timeout: 30s
        """,
    )
    return Run([str(program), "-c", str(config)])


def _collector(program: Path, place: Place) -> Run:
    queue = place.folder / "queue"
    queue.mkdir()
    sets = [f'set(log.body["{name}"], "{value}")' for name, value in FIXED.items()]
    for name, path in [*ECS.items(), *((f"atlassian.audit.{n}", f"attributes.{n}") for n in ("context", "container"))]:
        steps = "".join(f'["{step}"]' for step in path.split("."))
        sets.append(f'set(log.body["{name}"], log.cache{steps})')
    first = ['merge_maps(log.cache, ParseJSON(log.body), "upsert")', "set(log.body, {})"]
    statements = "\n".join(f"                  - {json.dumps(each)}" for each in [*first, *sets])
    config = place.write(
        "collector.yaml",
        f"""
        extensions:
          file_storage: {{directory: {queue}}}
        receivers:
          file_log: {{include: ['{place.events}'], start_at: beginning, include_file_name: false, storage: file_storage}}
        processors:
          transform:
            error_mode: propagate
            log_statements:
              - context: log
                statements:
{statements}
        exporters:
          otlp_http:
            endpoint: {place.drain}
            compression: gzip
            sending_queue:
              {{enabled: true, queue_size: 100000, sizer: items, block_on_overflow: true, storage: file_storage,
               batch: {{min_size: 500, max_size: 500, flush_timeout: 200ms}}}}
        service:
          extensions: [file_storage]
          telemetry: {{metrics: {{level: none}}, logs: {{level: error}}}}
          pipelines: {{logs: {{receivers: [file_log], processors: [transform], exporters: [otlp_http]}}}}
        """,
    )
    return Run([str(program), "--config", str(config)])


_PIPE = "a file → ECS → "
PEERS = (
    Peer(
        "audit-forwarder",
        "API → ids, repeats, digests → disk, fsync → ECS with things and places → gzip → bulk; retries, answers item by item, books, metrics",
        "", _nothing, _ours, is_real=False,
    ),
    Peer(
        "floor: Python", "API → disk, fsync → small ECS → gzip → bulk", "repeats, context and container, "
        "compression at rest, retries, answers item by item, anything else", _nothing, _floor, is_real=False,
    ),
    Peer(
        "floor: Python, equal work", "as ours, event by event, in straight code",
        "retries, filters, privacy, lanes, books, metrics, odd events", _nothing, _equal, is_real=False,
    ),
    Peer(
        "floor: Go, standard library", "API → small ECS → gzip → bulk", "anything on disk, ids, repeats, "
        "context and container, retries, answers item by item", install.go_floor, _go, is_real=False,
    ),
    Peer(
        f"Grove {install.GROVE} (Python)", "API → the same JSON over HTTP; a pointer by time in a file",
        "mapping, a SIEM's protocol, anything durable before delivery, gzip", install.grove, _grove,
    ),
    Peer(
        f"Benthos {install.BENTHOS} (Go)", "API → ECS → gzip → bulk; acknowledged in memory",
        "anything on disk, a cursor that outlives it, ids, repeats", install.benthos, _benthos,
    ),
    Peer(
        "syslog-ng 3.38 (C)", _PIPE + "bulk; disk buffer", "the API, fsync, gzip, ids, repeats",
        install.syslog_ng, _syslog_ng, fetches=False,
    ),
    Peer(
        "rsyslog 8.2302 (C)", _PIPE + "bulk; disk queue", "the API, fsync, gzip, ids, repeats",
        install.rsyslog, _rsyslog, fetches=False,
    ),
    Peer(
        f"OpenTelemetry Collector {install.COLLECTOR} (Go)", _PIPE + "OTLP, gzip; queue on disk",
        "the API, fsync, a SIEM's protocol, ids, repeats", install.collector, _collector, fetches=False,
    ),
)  # fmt: skip
"""In the order of the table; the first is ours."""
