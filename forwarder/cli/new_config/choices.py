"""What `init` can write: each source and destination with its questions, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["sources", "sinks"]


@dataclass(frozen=True)
class Question:
    """One setting to ask for.

    Attributes:
        setting: Its name in the component; a secret is written to a file, and the setting is `<name>_file`.
        asks: What stands before the prompt.
        option: Which option of the command line answers it; for a secret, the option that names a file.
        secret: It is typed unseen, and never an option.
        optional: An empty answer leaves the setting out.
        default: The answer of who only presses Enter.
        comment: What stands above the setting in the file.
        path: It names a file, which is written as an absolute path: the daemon may run in another folder.
        typical: A good answer, to try others beside it. Without one, an optional setting is left out.
    """

    setting: str
    asks: str
    option: str
    secret: bool = False
    optional: bool = False
    default: str = ""
    comment: str = ""
    path: bool = False
    typical: str = ""


@dataclass(frozen=True)
class Choice:
    """One type of source or sink.

    Attributes:
        type: As in the configuration.
        name: What it is called there; names are the user's, and this one can be changed before the first start.
        title: What it is, for the list to choose from.
        questions: In the order in which they are asked and written.
        fixed: Further lines of settings as they are written.
        more: Settings worth knowing, written behind a `#`.
    """

    type: str
    name: str
    title: str
    questions: tuple[Question, ...]
    fixed: tuple[str, ...] = ()
    more: tuple[str, ...] = ()


_HISTORY = "since: 7d    # history to fetch at the first start; Atlassian keeps 180d"
_EXPIRES = "_expires_at: 2027-01-31    # its last day, to be warned before"

_SECRET = "typical-6f6a0f5c"  # noqa: S105 -- stands for one that is not typed yet

_SITE = (
    Question("site", "Name of the site (acme for https://acme.atlassian.net)", "--site", typical="acme"),
    Question("email", "E-mail address of the account whose token it is", "--email", typical="audit@example.com"),
    Question("token", "API token of that account", "--key-file", secret=True, typical=_SECRET),
)
_DATA_CENTER = (
    Question("url", "Address (https://jira.example.com)", "--source-url", typical="https://jira.example.com"),
    Question("token", "Personal access token of a system administrator", "--key-file", secret=True, typical=_SECRET),
)
_DATA_CENTER_MORE = (
    "nodes: {node1: /var/atlassian/log/audit}    # instead of url and token: files of all nodes; with site: its host",
)

SOURCES = (
    Choice(
        "organization",
        "atlassian",
        "an organization's log, all cloud products; needs Guard or an Enterprise plan",
        (
            Question(
                "org_id",
                "Id of the organization (in the address of admin.atlassian.com)",
                "--org-id",
                typical="19a8a370-adcb-486b-a803-cf8b67191b55",
            ),
            Question(
                "api_key",
                "Organization API key with the scope read:events:admin",
                "--key-file",
                secret=True,
                typical=_SECRET,
                comment="Made in Atlassian Administration. A new key in the file is used without a restart.",
            ),
        ),
        more=(_HISTORY, f"api_key{_EXPIRES}"),
    ),
    Choice("jira", "jira", "the audit log of a Jira Cloud site", _SITE, more=(_HISTORY, f"token{_EXPIRES}")),
    Choice(
        "confluence",
        "confluence",
        "the audit log of a Confluence Cloud site",
        _SITE,
        more=(_HISTORY, f"token{_EXPIRES}"),
    ),
    Choice("jira_datacenter", "jira", "Jira Data Center, by REST", _DATA_CENTER, more=_DATA_CENTER_MORE),
    Choice(
        "confluence_datacenter", "confluence", "Confluence Data Center, by REST", _DATA_CENTER, more=_DATA_CENTER_MORE
    ),
    Choice("bitbucket_datacenter", "bitbucket", "Bitbucket Data Center, by REST", _DATA_CENTER, more=_DATA_CENTER_MORE),
)

SINKS = (
    Choice(
        "elasticsearch",
        "elastic",
        "Elasticsearch or OpenSearch",
        (
            Question("url", "URL (https://es.example.com:9200)", "--address", typical="https://es.example.com:9200"),
            Question("api_key", "API key, as it shows it (Enter: none)", "--token-file", secret=True, optional=True),
        ),
        more=(
            "username: audit-forwarder    # instead of a key; with password_file",
            "data_stream: logs-atlassian.audit-default",
            "tls: {ca_file: /etc/ssl/corporate-ca.pem}",
        ),
    ),
    Choice(
        "splunk_hec",
        "splunk",
        "Splunk's HTTP Event Collector",
        (
            Question(
                "url",
                "URL (https://splunk.example.com:8088)",
                "--address",
                typical="https://splunk.example.com:8088",
            ),
            Question("token", "Token of the collector", "--token-file", secret=True, typical=_SECRET),
        ),
        more=(
            "acknowledge: true    # wait until Splunk has indexed; switch it on at the token, too",
            "index: security",
            "format: ecs    # default: raw, sourcetype atlassian:audit",
        ),
    ),
    Choice(
        "syslog",
        "siem",
        "a SIEM that takes syslog: QRadar, ArcSight, Sentinel's agent, rsyslog and others",
        (
            Question(
                "address",
                "Address (tls://siem.example.com:6514; also relps://, relp://, tcp://, udp://)",
                "--address",
                typical="tls://siem.example.com:6514",
                comment="RELP is the only one of these that answers: over TCP, TLS and UDP a loss cannot be seen.",
            ),
            Question("format", "Format: cef, leef, rfc5424_sd, ecs, ocsf or raw", "--format", default="cef"),
        ),
        more=("protocol: rfc3164    # for receivers that know no RFC 5424",),
    ),
    Choice(
        "http",
        "http",
        "any server that takes JSON by HTTP",
        (
            Question(
                "url", "URL (https://siem.example.com/ingest)", "--address", typical="https://siem.example.com/ingest"
            ),
            Question("token", "Bearer token (Enter: none)", "--token-file", secret=True, optional=True),
        ),
        more=("body: array    # default: ndjson, one event a line", "headers: {X-Tenant: security}"),
    ),
    Choice(
        "file",
        "file",
        "a file on this machine, one event a line",
        (Question("path", "File", "--address", default="out/events.ndjson", path=True),),
        fixed=("format: raw    # as Atlassian sent it; also ecs, ocsf, cef, leef",),
        more=("rotate: {bytes: 100MiB, keep: 10}    # then the next file is begun",),
    ),
)

_TEXTS: dict[Kind, tuple[str, str]] = {
    "sources": ("--source", "Which audit log is to be read?"),
    "sinks": ("--destination", "Where are its events to go?"),
}


def all_of(kind: Kind) -> tuple[Choice, ...]:
    """Return the choices of one kind."""
    return SOURCES if kind == "sources" else SINKS


def option_of(kind: Kind) -> str:
    """Return the option that chooses."""
    return _TEXTS[kind][0]


def asks_for(kind: Kind) -> str:
    """Return the question above the list."""
    return _TEXTS[kind][1]


def choice_named(kind: Kind, type_: str) -> Choice | None:
    """Return the choice of this type, if there is one."""
    return next((choice for choice in all_of(kind) if choice.type == type_), None)


def demo_source(address: str) -> Choice:
    """Return a source that reads a simulated organization."""
    organization = SOURCES[0]
    return replace(
        organization,
        name="simulated",
        questions=(*organization.questions, Question("base_url", "", "", comment=f"The simulator, at {address}.")),
        more=(),
    )
