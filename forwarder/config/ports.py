"""The two ports of the forwarder: what it shows, and where it is sent events.

`load_admin` reads the settings of the first alone: it is all that `status` needs of a configuration to ask a daemon.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from forwarder.contracts.component import ComponentConfig
from forwarder.contracts.declared import (
    AfterValidator,
    Field,
    PydanticCustomError,
    ValidationError,
    field_validator,
    model_validator,
)
from forwarder.contracts.errors import ConfigError
from forwarder.contracts.secret import Secret
from forwarder.contracts.units import ByteSize, Within
from forwarder.net.addresses import is_host, parse_listen
from forwarder.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def _listen(value: str) -> str:
    try:
        if is_host(parse_listen(value, "listen")[0]):
            return value
    except ConfigError:
        pass
    raise PydanticCustomError(
        "listen",
        "not an address and port; write 127.0.0.1:9464, [::1]:9464, or 0.0.0.0:9464 for all of this machine's",
    )


def _time_zone(value: str) -> str:
    if value == "UTC":
        return value
    from zoneinfo import ZoneInfo, available_timezones  # noqa: PLC0415 -- needed only where there is one

    try:
        return ZoneInfo(value).key
    except (KeyError, ValueError, OSError):
        known = available_timezones()
    fix = "write one such as Europe/Berlin, or leave it out for UTC"
    if not known:
        fix = "this machine knows none: install tzdata, or leave it out for UTC"
    elif guess := _nearest_zone(value.strip().replace(" ", "_"), known):
        fix = f"did you mean {guess}?"
    raise PydanticCustomError("time_zone", "not the name of a time zone; {fix}", {"fix": fix})


def _nearest_zone(value: str, known: set[str]) -> str | None:
    """Return the zone that is likely meant, by its name or by its city alone."""
    places = [name for name in sorted(known) if "/" in name and not name.startswith("Etc/")]
    if "/" in value:
        return nearest(value, places, cutoff=0.7)
    cities = {name.rpartition("/")[2]: name for name in reversed(places)}
    city = nearest(value, cities, cutoff=0.8)
    return cities[city] if city else None


class AdminConfig(ComponentConfig):
    """The port for metrics, probes, status and the page."""

    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:9464"
    """Address and port; metrics and probes need no token."""
    token: Secret | None = None
    """Token for the status, as Bearer or as the password of HTTP Basic, for the page at `/`, where one signs in with
    it, and for the pages under `/investigate`; without one, status and page are shown on loopback only, and there is
    nothing under `/investigate`."""
    acts_without_token: bool = False
    """Let everybody on this machine act on the page while there is no `token`: pause, retry, discard, reload. Without
    either, the page is to look at only, and names the command instead."""
    people: Path | None = None
    """CSV file of people for the pages under `/investigate`: id, email, name, key; accounts of one row are one
    person's."""
    time_zone: Annotated[str, AfterValidator(_time_zone)] = "UTC"
    """Time zone, such as `Europe/Berlin`, that is shown beside UTC: on the page, by `status` and in the text of daily
    reports; and that of a question under `/investigate` which names none."""
    allowed_hosts: list[str] | None = None
    """Host names a request may use; default: the address listened on, and loopback."""

    @field_validator("allowed_hosts")
    @classmethod
    def _are_hosts(cls, value: list[str] | None) -> list[str] | None:
        for name in value or ():
            bare = re.sub(r":[0-9]{1,5}$", "", name) if "]" in name or name.count(":") == 1 else name
            if not is_host(bare.removeprefix("[").removesuffix("]")):
                raise PydanticCustomError(
                    "hosts", "not the name of a host; write it alone, such as forwarder.corp.net, without scheme and *"
                )
        return value

    @property
    def address(self) -> tuple[str, int]:
        """Return host (without brackets) and port; port 0 means any free one."""
        return parse_listen(self.listen, "admin.listen")


class ReceiverConfig(ComponentConfig):
    """The port at which sources with a `webhook` receive events; it is open only when there is one."""

    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:9465"
    """Address and port."""
    cert_file: Path | None = None
    """PEM file of the certificate to show, and of those between it and the authority; without one no TLS is spoken."""
    key_file: Path | None = None
    """PEM file of its private key, when not in `cert_file`."""
    key_password: Secret | None = None
    """Password of the private key."""
    insecure: bool = False
    """Allow to listen beyond loopback without TLS; for a proxy that ends TLS in front of it."""
    max_body: Annotated[ByteSize, Within("1KB", "8MiB")] = 2**20
    """Largest body of a request."""
    requests_per_minute: Annotated[float, Field(ge=1, le=10_000_000)] = 6000.0
    """Requests for one source that are taken in a minute from all together; what is more is answered with 429."""
    peer_requests_per_minute: Annotated[float, Field(ge=1, le=10_000_000)] = 6000.0
    """The same for each address that connects; behind a proxy that is the proxy's."""

    @property
    def address(self) -> tuple[str, int]:
        """Return host (without brackets) and port; port 0 means any free one."""
        return parse_listen(self.listen, "receiver.listen")

    @model_validator(mode="after")
    def _has_a_certificate(self) -> ReceiverConfig:
        if self.key_file is not None and self.cert_file is None:
            raise PydanticCustomError("receiver", "key_file is set and cert_file is not; set both")
        return self


def load_admin(
    config_path: Path | None, env: Mapping[str, str], secrets_dir: Path | None, overrides: Sequence[str]
) -> AdminConfig | None:
    """Read every layer and return this section alone, however the others are; None where `load` says what is wrong.

    Args:
        config_path: As `load` takes it, like the rest.
        env: The environment.
        secrets_dir: Directory with one setting per file.
        overrides: `path.to.setting=value`, strongest of all.
    """
    from forwarder.config.readings import read_all  # noqa: PLC0415 -- a daemon has its settings from elsewhere
    from forwarder.config.shape import fit  # noqa: PLC0415

    found = read_all(config_path, env, secrets_dir, overrides)
    if found.problems or found.nothing:
        return None
    try:
        return AdminConfig.model_validate(fit(AdminConfig, found.tree.get("admin", {})))
    except ValidationError:
        return None
