"""Presents the credentials of a source: one after the other, so that a new one takes over without a gap.

The one that was taken last is presented until it is refused or has ended; then the other one is. What decides is the
answer, so a day that was written down wrongly loses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from forwarder.contracts import AuthFailed, Finding, ForwarderError, Held
from forwarder.contracts.credentials import countdown, good_until, stage_of, what_to_do
from forwarder.sources.refusals import is_page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from forwarder.contracts import Clock
    from forwarder.contracts.credentials import Credential
    from forwarder.net.http import Response

_FOLLOWS = "_next"
"""The end of the setting of a credential that follows another one: a refusal speaks of the first, unless it says so."""

_AGAIN = "Try again in some minutes; if it stays, see what the other findings say of the address and the way to it."


class Asked(msgspec.Struct, frozen=True):
    """An answer, and what became of the credentials.

    Attributes:
        response: The first answer that is no 401, else that to the first credential.
        sent: All secrets that were sent.
        setting: Of the credential that `response` answers.
        refused: Settings of the others that were refused with 401.
        same: Settings of those that hold a secret which was sent for another one, with that one's setting.
        unreadable: Why those that could not be read could not.
    """

    response: Response
    sent: tuple[str, ...]
    setting: str
    refused: tuple[str, ...]
    same: tuple[tuple[str, str], ...]
    unreadable: tuple[AuthFailed, ...]

    def explained(self, error: AuthFailed) -> AuthFailed:
        """Return the error that `response` means, which says as well what became of the other credentials."""
        if not (self.refused or self.same or self.unreadable):
            return error
        as_well = " as well" if error.kind == "auth" else ""
        about = f"{self.setting} was refused" if error.kind == "auth" else f"this is about {self.setting}"
        words = [
            error.reason.rstrip("."),
            *([about] if self.setting.endswith(_FOLLOWS) else []),
            *(f"{setting} is refused{as_well}" for setting in self.refused),
            *(f"{setting} is the same as {other}" for setting, other in self.same),
            *(_within(cause.reason) for cause in self.unreadable),
        ]
        fix = " ".join((error.fix, *(cause.fix for cause in self.unreadable)))
        return AuthFailed(f"{'; '.join(words)}.", fix=fix, kind=error.kind)


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

    async def ask(self, send: Callable[[str], Awaitable[Response]]) -> Asked:
        """Send with the credential in use, and with the other one when that is refused with 401.

        Raises:
            AuthFailed: No credential can be read.
        """
        answers: dict[str, Response] = {}
        sent: dict[str, str] = {}
        same: list[tuple[str, str]] = []
        unreadable: list[AuthFailed] = []
        for credential in self._in_order():
            try:
                secret = credential.secret.present(credential.setting)
            except AuthFailed as error:
                unreadable.append(error)
                continue
            if secret in sent:
                same.append((credential.setting, sent[secret]))
                continue
            sent[secret] = credential.setting
            response = answers[credential.setting] = await send(secret)
            if response.status == 401:
                continue
            if response.status < 300:
                self._taken = credential.setting
            break
        if not answers:
            raise _none_readable(unreadable)
        answered = next((each for each in answers if answers[each].status != 401), next(iter(answers)))
        refused = tuple(each for each in answers if each != answered)
        return Asked(answers[answered], tuple(sent), answered, refused, tuple(same), tuple(unreadable))

    def check(self) -> None:
        """Raise AuthFailed when no credential can be read."""
        unreadable: list[AuthFailed] = []
        for credential in self._all:
            try:
                credential.secret.present(credential.setting)
            except AuthFailed as error:
                unreadable.append(error)
            else:
                return
        if unreadable:
            raise _none_readable(unreadable)

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
            response = await send(credential.secret.present(credential.setting))
        except Held as error:
            return Finding(credential.setting, ok=False, detail=error.reason, fix=error.fix)
        except ForwarderError as error:
            return Finding(credential.setting, ok=False, detail=f"it could not be tried: {error}", fix=_AGAIN)
        if response.status in {401, 403}:
            fix = f"Write one that works as {credential.setting}."
            detail = f"it is refused with {response.status}"
            return Finding(credential.setting, ok=False, detail=detail, fix=fix)
        if not is_page(response):
            web_page = " with something else than the API's JSON" if response.status == 200 else ""
            detail = f"it could not be tried: the answer is {response.status}{web_page}"
            return Finding(credential.setting, ok=False, detail=detail, fix=_AGAIN)
        return Finding(credential.setting, ok=True, detail=f"it works{in_use}")


def _none_readable(unreadable: Sequence[AuthFailed]) -> AuthFailed:
    """Return one error for all credentials that cannot be read."""
    if not unreadable:
        return AuthFailed("No credential is set.", fix="Write one into the settings of the source.")
    first, *others = unreadable
    reason = "; ".join((first.reason.rstrip("."), *(_within(other.reason) for other in others)))
    return AuthFailed(f"{reason}.", fix=" ".join(each.fix for each in unreadable), kind=first.kind)


def _within(sentence: str) -> str:
    """Return a sentence as a part of another one."""
    return f"{sentence[:1].lower()}{sentence[1:]}".rstrip(".")
