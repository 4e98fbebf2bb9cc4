"""Whether a request brings the secret: compared in a time that tells nothing of it."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from forwarder.contracts import AuthFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forwarder.contracts import WebhookConfig

SHORTEST = 16
"""Characters a secret must have: anybody may try one."""


FIX = "Fix the secret of the webhook; it is read again without a restart."


def secrets_of(webhook: WebhookConfig, setting: str) -> list[bytes]:
    """Return the secrets that are taken now. Raises AuthFailed when there is none that can be used.

    A previous one that can no longer be read is not taken; that is how a replacement ends.
    """
    found = [webhook.secret.present(f"{setting}.secret")]
    if webhook.previous_secret is not None:
        try:
            found.append(webhook.previous_secret.present(f"{setting}.previous_secret"))
        except AuthFailed:
            found = found[:1]
    long_enough = [secret.encode("utf-8", "surrogateescape") for secret in found if len(secret) >= SHORTEST]
    if not long_enough:
        raise AuthFailed(
            f"The secret in {setting} is shorter than {SHORTEST} characters.",
            fix="Make a long one, such as with openssl rand -hex 32, and set it on both sides.",
        )
    return long_enough


def brings(values: Sequence[bytes], secrets: Sequence[bytes]) -> bool:
    """Say whether the values of the header are one, and that is a secret, or a word and a secret."""
    whole = values[0].strip() if len(values) == 1 else b""
    given = [_digest(whole), _digest(whole.partition(b" ")[2].strip())]
    found = False
    for secret in map(_digest, secrets):
        for each in given:
            found |= hmac.compare_digest(each, secret)
    return found


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()
