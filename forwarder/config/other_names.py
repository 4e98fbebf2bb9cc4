"""What other tools call a setting, and what it is called here.

A table, since no likeness of letters leads from `hosts` to `url`. The first of the names on the right that exists where
the key stands counts; a dot leads into a group.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from forwarder.config.shape import below, resolve
from forwarder.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel

_SETTINGS = """
host hosts endpoint endpoints uri uris url urls server servers node nodes address addresses base_url server_url hec_url
  = url address base_url listen allowed_hosts
cloud_id cloudid elastic_cloud_id = url
broker brokers bootstrap_servers = url address
port = url address listen base_url
bind bind_address listen_address http_address addr = listen
index index_name indices datastream stream dataset = data_stream index
index_template template_name = unmanaged
user login account usr = username
pass passwd pwd secret = password api_key token
key apikey api_token access_key auth_key credential credentials authorization = api_key token bearer_token key_file
token = api_key bearer_token
bearer access_token auth_token hec_token splunk_token jwt = bearer_token token api_key
api_key_path key_path = api_key_file key_file
auth basic_auth basic = username token api_key
org organization organization_id organisation organisation_id orgid tenant tenant_id = org_id
ssl ssl_options tls_options tls_config = tls
verify ssl_verify tls_verify verify_certs verify_ssl verify_certificate verification_mode ssl_verification_mode
  verify_hostname insecure_skip_verify skip_verify reject_unauthorized check_certificate = verify tls.verify
ca cacert cacerts ca_cert ca_certs ca_path ca_bundle certificate_authorities certificate_authority truststore
  trusted_ca ssl_certificate_authorities = ca_file tls.ca_file
cert certs certificate client_cert client_certificate crt crt_file cert_path tls_cert ssl_certificate
  = cert_file tls.cert_file
private_key client_key tls_key ssl_key keyfile private_key_file = key_file tls.key_file
passphrase key_passphrase private_key_password = key_password tls.key_password
sni servername = server_name tls.server_name
tls_version min_tls_version ssl_protocol supported_protocols = min_version tls.min_version
timeout request_timeout http_timeout = total_timeout http.total_timeout silence_timeout
socket_timeout = read_timeout http.read_timeout silence_timeout
proxy proxy_url http_proxy https_proxy proxies = proxy http.proxy
max_response_size max_body = max_response http.max_response
batch_size bulk_size bulk_max_size max_events batch_events bulk_actions batch_count = events batch.events
batch_bytes max_bytes bulk_bytes max_batch_bytes = bytes batch.bytes
flush_interval linger linger_ms batch_timeout batch_wait flush = wait batch.wait
concurrency workers worker parallelism threads max_in_flight = window
retries max_retries backoff retry_backoff = retry
interval poll_interval polling_interval schedule period frequency cron poll = every
lookback start_time start_date initial_interval backfill history from start_from = since start
codec encoding output_format encoder serializer = format
filename file file_path filepath location dest destination output dir directory folder = path
compression gzip zip = compress
ack acks acknowledgement acknowledgements use_ack indexer_ack = acknowledge
source_type = sourcetype
namespace = data_stream
transport proto scheme = address url
app appname tag program ident = app_name
max_message_size message_size max_size max_length = max_message_bytes max_event max_bytes
rotation rotate_every = rotate
permissions permission chmod umask = mode
filter filters select match where only = include
remove delete unset omit without hide mask redact = drop
set append insert constant static extra = add
move = rename
drop ignore skip blacklist denylist deny = exclude
rate_limit rate requests_per_second rps = requests_per_minute
loglevel log_level verbosity = level
retention keep_for ttl = retain
size max_disk_size disk_size limit_bytes max_size_bytes = max_bytes
outputs output destinations destination targets exporters out = sinks
inputs input source exporters_from receivers in = sources
sink = sinks
logging logger logs = log
storage state state_dir buffer queue database db cache persistence = spool
metrics monitoring prometheus health http server api = admin
"""

ADVICE = {
    **dict.fromkeys(
        ("enabled", "enable", "disabled", "disable", "active"),
        "nothing is switched off by a setting; take the whole component out, or put a # before each of its lines",
    ),
    **dict.fromkeys(("no_proxy", "noproxy"), "set NO_PROXY in the environment"),
    "sops": "nothing decrypts it here; run sops before, and name the files of the secrets",
    **dict.fromkeys(("include_file", "extends", "import", "imports"), "one file is read; write everything into it"),
    **dict.fromkeys(
        ("site", "sites", "site_id"), "the log of an organization holds all its sites; a sink chooses with include"
    ),
    "version": "leave it out; a configuration has no version",
}
"""What to do about keys that have no right name here."""

_TYPES = """
es elastic elastic_search opensearch open_search elk = elasticsearch
splunk hec splunkhec splunk_http splunk-hec http_event_collector = splunk_hec
stdout console standard_output local log ndjson jsonl disk = file
webhook https post rest url json = http
rsyslog syslog_ng syslogng tcp udp tls relp cef leef qradar arcsight = syslog
atlassian jira confluence cloud guard admin org orgs events audit atlassian_organization = organization
"""


def right_name(key: str, model: type[BaseModel] | None, known: Iterable[str]) -> str | None:
    """Return what is meant by an unknown key: by spelling, by the names of other tools, by likeness."""
    names = list(known)
    plain = _plain(key)
    same = next((name for name in names if _plain(name) == plain), None)
    if same is not None:
        return same
    for ours in _table(_SETTINGS).get(plain, ()):
        if _is_there(ours, model, names):
            return ours
    return nearest(key, names, cutoff=0.66)


def right_type(kind: str, known: Iterable[str]) -> str | None:
    """Return the type that is meant by an unknown one."""
    names = list(known)
    ours = next((name for name in _table(_TYPES).get(_plain(kind), ()) if name in names), None)
    return ours or nearest(kind, names, cutoff=0.6)


def _is_there(ours: str, model: type[BaseModel] | None, names: list[str]) -> bool:
    group, _, inner = ours.partition(".")
    if group not in names:
        return False
    return not inner or inner in getattr(resolve(below(model, group), {}), "model_fields", ())


def _plain(key: str) -> str:
    """Write a key as our tables do: `rejectUnauthorized` and `reject-unauthorized` are `reject_unauthorized`."""
    return re.sub(r"[-. ]", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key)).lower()


def _table(text: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for line in re.sub(r"\n  ", " ", text).strip().splitlines():
        theirs, _, ours = line.partition("=")
        for word in theirs.split():
            found[word] = (*found.get(word, ()), *ours.split())
    return found
