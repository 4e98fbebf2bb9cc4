"""Settings of the `elasticsearch` sink."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from forwarder.contracts import HttpConfig, LateConfig, Secret, SinkConfig, TlsConfig
from forwarder.contracts.declared import AfterValidator, PydanticCustomError, model_validator
from sinks.elasticsearch.template import misfit, template_name


def _stream_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._+-]{0,254}", name):
        raise PydanticCustomError(
            "data_stream", "not the name of a data stream; write lower case such as logs-atlassian.audit-default"
        )
    return name


class ElasticsearchLateConfig(LateConfig):
    """What becomes of events that did not come as they happened. Or one word: `deliver`, `hold_back`."""

    data_stream: Annotated[str, AfterValidator(_stream_name)] | None = None
    """Data stream for those that are written `elsewhere`, such as `logs-atlassian.audit-late`. Its name differs from
    that of the other in the last part only, so that our template serves both."""


class ElasticsearchConfig(SinkConfig):
    """Settings of an `elasticsearch` sink."""

    type: Literal["elasticsearch"] = "elasticsearch"
    """Which kind of sink this is."""
    url: str
    """Address of the server, `https://host:9200`, with any path prefix."""
    api_key: Secret | None = None
    """API key, either `id:key` or the encoded form that the server shows."""
    username: str | None = None
    """User name, together with `password`."""
    password: Secret | None = None
    """Password of `username`."""
    bearer_token: Secret | None = None
    """Token for `Authorization: Bearer`."""
    data_stream: Annotated[str, AfterValidator(_stream_name)] = "logs-atlassian.audit-default"
    """Data stream to write to; the last part of `type-dataset-namespace` is yours to choose."""
    bulk_index: Literal["path", "action"] = "path"
    """Where a bulk request names the data stream: in its path (`/<data_stream>/_bulk`), or in each of its action lines
    (`/_bulk`), for servers and gateways that know only that path."""
    late: ElasticsearchLateConfig = ElasticsearchLateConfig()
    """What becomes of events that did not come as they happened."""
    unmanaged: bool = False
    """Send without looking for our index template: the mapping is yours."""
    ilm_policy: str | None = None
    """Name of an ILM policy that `setup` puts into the index template (Elasticsearch only)."""
    compress: bool = True
    """Send gzip."""
    insecure: bool = False
    """Allow `http://` to another machine than this one."""
    tls: TlsConfig = TlsConfig()
    """What to trust, and our client certificate."""
    http: HttpConfig = HttpConfig()
    """Time-outs and proxy."""

    @model_validator(mode="after")
    def _fields_fit(self) -> ElasticsearchConfig:
        for name in (*self.fields.rename.values(), *self.fields.add):
            if name.startswith("_"):
                raise PydanticCustomError(
                    "fields",
                    "fields: {name} begins with _, as fields of Elasticsearch itself do; leave that out",
                    {"name": name},
                )
            if not self.unmanaged and (why := misfit(name)) is not None:
                raise PydanticCustomError(
                    "fields",
                    "fields: {name} is {why} in our template, and no text fits there; choose another name such as "
                    "labels.env",
                    {"name": name, "why": why},
                )
        return self

    @model_validator(mode="after")
    def _one_template(self) -> ElasticsearchConfig:
        late = self.late.data_stream
        if late == self.data_stream:
            raise PydanticCustomError("late", "late.data_stream is the same as data_stream; choose another one")
        if late is not None and not self.unmanaged and template_name(late) != template_name(self.data_stream):
            raise PydanticCustomError(
                "late",
                "late.data_stream must differ from data_stream in its last part only, such as {name}-late: our index "
                "template serves one type and dataset; or set unmanaged: true",
                {"name": template_name(self.data_stream)},
            )
        return self

    @model_validator(mode="after")
    def _one_credential(self) -> ElasticsearchConfig:
        if (self.username is None) != (self.password is None):
            raise PydanticCustomError("credential", "username and password go together; one of them is missing")
        if sum(given is not None for given in (self.api_key, self.username, self.bearer_token)) > 1:
            raise PydanticCustomError(
                "credential", "more than one credential is set; keep one of api_key, username and bearer_token"
            )
        return self
