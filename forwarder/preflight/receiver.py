"""The port of the sources that receive, and their secrets: what `run` could not use."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from forwarder.admin import probe
from forwarder.config.problems import Problem
from forwarder.config.references import webhooks_of
from forwarder.receiving.secrets import SHORTEST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwarder.config.settings import Settings


def short_secrets(settings: Settings) -> Iterator[Problem]:
    """Yield a problem for each secret of a webhook that is short enough to be guessed."""
    for name, webhook in webhooks_of(settings).items():
        for field, secret in (("secret", webhook.secret), ("previous_secret", webhook.previous_secret)):
            try:
                length = len(secret.reveal()) if secret is not None else SHORTEST
            except (OSError, ValueError):  # named by `unreadable_files`
                continue
            if length < SHORTEST:
                setting = f"sources.{name}.webhook.{field}{'_file' if secret is not None and secret.path else ''}"
                what = f"{length} characters are too few for a secret that anybody may try"
                fix = f"make one of {SHORTEST} at least, such as with openssl rand -hex 32, and set it on both sides"
                yield Problem(setting, what, fix)


def taken_receiver_port(settings: Settings) -> Iterator[Problem]:
    """Yield a problem when nothing could listen there now; the daemon of this spool may hold it."""
    if not webhooks_of(settings):
        return
    found = probe.examine(settings.receiver, settings.spool.path, setting="receiver.listen", is_ours=probe.anything)
    for finding in asyncio.run(found):
        if not finding.ok:
            yield Problem("receiver.listen", finding.detail, finding.fix[:1].lower() + finding.fix[1:].rstrip("."))
