"""How a bucket is reached: settings of whatever keeps or reads an archive."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from forwarder.contracts.component import ComponentConfig
from forwarder.contracts.declared import Field, PydanticCustomError, model_validator
from forwarder.contracts.secret import Secret
from forwarder.contracts.units import Duration, Within

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_OF_KIND = {
    "s3": {"region", "path_style", "access_key_id", "secret_access_key", "session_token", "kms_key"},
    "gs": {"service_account_key"},
    "az": {"account", "account_key", "sas_token"},
}


class BucketConfig(ComponentConfig):
    """How a bucket is reached. What is left out comes from the environment or the role of the machine."""

    endpoint: str | None = None
    """URL of another service that speaks this protocol, such as `https://s3.example.com`; for Azure with the account,
    such as `https://acmeaudit.blob.core.usgovcloudapi.net`."""
    region: str | None = None
    """S3: region of the bucket; default: that of the environment, else us-east-1."""
    path_style: bool = False
    """S3: name the bucket in the path and not in the host, as most services other than AWS need it."""
    access_key_id: Annotated[str, Field(min_length=1)] | None = None
    """S3: id of the access key."""
    secret_access_key: Secret | None = None
    """S3: the secret that belongs to it."""
    session_token: Secret | None = None
    """S3: token of a temporary key; read again before each request, so that whoever renews it only writes the file."""
    kms_key: Annotated[str, Field(min_length=1)] | None = None
    """S3: id or ARN of the KMS key that encrypts new objects; default: what the bucket does."""
    service_account_key: Secret | None = None
    """GCS: key of a service account, the JSON as it was downloaded."""
    account: Annotated[str, Field(min_length=1)] | None = None
    """Azure: name of the storage account."""
    account_key: Secret | None = None
    """Azure: key of the storage account."""
    sas_token: Secret | None = None
    """Azure: shared access signature, instead of the key."""
    ca_file: Path | None = None
    """PEM file of a certificate authority to trust besides the system's."""
    timeout: Annotated[Duration, Within("100ms", "1h")] = 60.0
    """Longest time for one request."""
    insecure: bool = False
    """Allow an `http://` endpoint on another machine than this one."""

    @model_validator(mode="after")
    def _fits(self) -> BucketConfig:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise PydanticCustomError("credential", "access_key_id and secret_access_key go together; set both")
        if self.session_token is not None and self.access_key_id is None:
            raise PydanticCustomError("credential", "session_token needs access_key_id and secret_access_key; set them")
        if self.account_key is not None and self.sas_token is not None:
            raise PydanticCustomError("credential", "account_key and sas_token are both set; keep one")
        if self.endpoint is not None:
            parts = urlsplit(self.endpoint)
            if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
                raise PydanticCustomError("url", "endpoint is not a URL such as https://s3.example.com; write one")
            if parts.scheme == "http" and parts.hostname not in _LOOPBACK and not self.insecure:
                raise PydanticCustomError("url", "endpoint is http://, so all could read it; use https://")
        return self

    def misplaced(self, kind: str) -> str | None:
        """Return the name of a setting that a bucket of this kind (`s3`, `gs`, `az`) does not have."""
        others = set().union(*(names for other, names in _OF_KIND.items() if other != kind))
        fields = type(self).model_fields
        return min((name for name in others if getattr(self, name) != fields[name].default), default=None)
