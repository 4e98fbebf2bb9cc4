"""Presents the credentials of a source: one after the other, so that a new one takes over without a gap.

The one that was taken last is presented until it is refused or has ended; then the other one is. What decides is the
answer, so a day that was written down wrongly loses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts import AuthFailed, Finding, ForwarderError, Held
from forwarder.contracts.credentials import countdown, good_until, stage_of, what_to_do

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from forwarder.contracts import Clock
    from forwarder.contracts.credentials import Credential
    from forwarder.net.http import Response


class Credentials:
    """The credentials of one source, and which of them is in use.

    Args:
        credentials: Those that are set, the first one in front.
        clock: When one has ended.

    Attributes:
        in_use: The setting of the one that was taken last, or is presented first; empty when there is none.
    """

    def __init__(self, credentials: Sequence[Credential], clock: Clock) -> None:
        self._all = tuple(credentials)
        self._clock = clock
        self._taken = ""

    @property
    def in_use(self) -> str:
        """Return the setting of the credential that is presented now, or nothing."""
        return next((credential.setting for credential in self._in_order()), "")

    def _in_order(self) -> list[Credential]:
        """Return what to present, the best first; one that has ended comes last, for the day may be wrong."""
        now = self._clock.time()
        return sorted(self._all, key=lambda each: (each.has_ended(now), each.setting != self._taken))

    async def ask(self, send: Callable[[str], Awaitable[Response]]) -> tuple[Response, tuple[str, ...]]:
        """Send with the credential in use, and with the other one when that is refused with 401.

        Returns:
            The first answer that is no 401, else that to the first credential, and all secrets that were sent.

        Raises:
            AuthFailed: No credential can be read.
        """
        refused: Response | None = None
        unreadable: AuthFailed | None = None
        sent: list[str] = []
        for credential in self._in_order():
            try:
                secret = credential.secret.present(credential.setting)
            except AuthFailed as error:
                unreadable = unreadable or error
                continue
            if secret in sent:
                continue
            sent.append(secret)
            response = await send(secret)
            if response.status == 401:
                refused = refused or response
                continue
            if response.status < 300:
                self._taken = credential.setting
            return response, tuple(sent)
        if refused is None:
            raise unreadable or AuthFailed("No credential is set.", fix="Write one into the settings of the source.")
        return refused, tuple(sent)

    def check(self) -> None:
        """Raise AuthFailed when no credential can be read."""
        unreadable: AuthFailed | None = None
        for credential in self._all:
            try:
                credential.secret.present(credential.setting)
            except AuthFailed as error:
                unreadable = unreadable or error
            else:
                return
        if unreadable is not None:
            raise unreadable

    def refused_by_all(self, error: AuthFailed) -> AuthFailed:
        """Return the error for a credential that is refused; it names the others that are refused, too."""
        others = [credential.setting for credential in self._all[1:]]
        if not others or error.kind != "auth":
            return error
        reason = f"{error.reason.rstrip('.')}; {' and '.join(others)} is refused as well."
        return AuthFailed(reason, fix=error.fix, kind=error.kind)

    # ------------------------------------------------------------------------------------------------- for `doctor`

    def findings(self) -> list[Finding]:
        """Say of each credential how long it is still good, as far as it is written down."""
        found = []
        now, last = self._clock.time(), self._all[-1].setting if self._all else ""
        for credential in self._all:
            subject = f"{credential.setting} expires"
            if credential.ends is None:
                detail = f"unknown: no API tells; {credential.ends_setting} is for its last day, which is counted down"
                found.append(Finding(subject, ok=True, detail=detail))
                continue
            follower = last if last != credential.setting else ""
            stage = stage_of(credential.ends, now)
            if stage is None:
                found.append(Finding(subject, ok=True, detail=good_until(credential.ends, now)))
                continue
            detail = countdown(credential.setting, credential.ends, now)
            fix = what_to_do(credential.setting, follower)
            ok = stage > 0 or bool(follower)
            found.append(Finding(subject, ok=ok, detail=detail, fix=f"{fix[:1].upper()}{fix[1:]}."))
        return found

    async def try_each(self, send: Callable[[str], Awaitable[Response]]) -> list[Finding]:
        """Try each credential by itself, when there are several: one that follows must work before it is needed.

        One that is refused while the one that follows it works interrupts nothing.
        """
        several = len(self._all) > 1
        tried = [await self._try(credential, send) for credential in self._all] if several else []
        works = any(finding.ok for finding in tried)
        return [
            msgspec.structs.replace(finding, ok=True) if works and finding.subject != self._all[-1].setting else finding
            for finding in tried
        ]

    async def _try(self, credential: Credential, send: Callable[[str], Awaitable[Response]]) -> Finding:
        in_use = " and is in use" if credential.setting == self.in_use else ""
        try:
            status = (await send(credential.secret.present(credential.setting))).status
        except Held as error:
            return Finding(credential.setting, ok=False, detail=error.reason, fix=error.fix)
        except ForwarderError as error:
            return Finding(credential.setting, ok=False, detail=str(error), fix="Try again in some minutes.")
        if status in {401, 403}:
            fix = f"Write one that works as {credential.setting}."
            return Finding(credential.setting, ok=False, detail=f"it is refused with {status}", fix=fix)
        return Finding(credential.setting, ok=True, detail=f"it is not refused{in_use}")
