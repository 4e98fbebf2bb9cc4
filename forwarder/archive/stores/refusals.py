"""What an error of a bucket means. Its words hold keys and signatures: only its status and code are shown."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from forwarder.archive.stores.store import NotStored
from forwarder.contracts.errors import AuthFailed, ErrorKind, Held, Retryable

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z0-9_.]{1,60})</Code>|\"(?:code|reason)\": ?\\?\"([A-Za-z0-9_.]{1,60})")

_GONE = {"", "NoSuchKey", "BlobNotFound", "NoSuchVersion", "notFound"}
_NO_CREDENTIALS = ("metadata", "credential", "Credential", "token request", "imds")
_OF_THE_MACHINE = ("token request", "169.254.169.254")
"""In the words of a request for the credentials of the machine: its status is not one of the bucket."""
_RIGHTS = "Let it list, read and create objects there; for retention, delete them as well."
_CREDENTIALS = "Put valid credentials into the settings of the bucket, or give the machine a role."


class _Meaning(NamedTuple):
    """What is said of the bucket, what a person can do about it, and which error that is."""

    says: str
    fix: str = ""
    kind: ErrorKind = "other"
    error: Literal["held", "auth", "retryable"] = "held"

    def about(self, place: str, named: str) -> Exception:
        words = f"{place} {self.says}{f' ({named})' if named else ''}"
        if self.error == "retryable":
            return Retryable(words, kind=self.kind, sent=True, suspect=False, fix=self.fix)
        return (
            AuthFailed(f"{words}.", fix=self.fix)
            if self.error == "auth"
            else Held(f"{words}.", fix=self.fix, kind=self.kind)
        )


NO_BUCKET = _Meaning("is not there", "Create it, or correct url, account, endpoint and path_style.", "not_found")
_WRONG_KEY = _Meaning("refuses the credentials", _CREDENTIALS, error="auth")
_OLD_TOKEN = _Meaning(
    "says that the session token has expired or is wrong",
    "Write a new one into the file that session_token_file names, with the key that belongs to it.",
    error="auth",
)
_OLD_SIGNATURE = _Meaning(
    "says that the shared access signature has expired, or is not valid yet",
    "Write a new one into the file that sas_token_file names.",
    error="auth",
)
_WITHOUT_CREDENTIALS = _Meaning("needs credentials, and there are none", _CREDENTIALS, error="auth")
_WRONG_REGION = _Meaning("is in another region", "Set region to that of the bucket.")
_NO_ROOM = _Meaning("has no room", "Raise its quota.", "disk_full")
_BUSY = _Meaning("is busy", kind="rate_limited", error="retryable")
_FAILED = _Meaning("failed", kind="server_error", error="retryable")
_BY_CODE = {
    **dict.fromkeys(("NoSuchBucket", "ContainerNotFound", "ResourceNotFound", "InvalidBucketName"), NO_BUCKET),
    **dict.fromkeys(
        (
            "InvalidAccessKeyId",
            "XAdminUserNotFound",
            "SignatureDoesNotMatch",
            "AuthenticationFailed",
            "InvalidAuthenticationInfo",
            "NoAuthenticationInformation",
            "AuthenticationRequired",
            "InvalidSecurity",
        ),
        _WRONG_KEY,
    ),
    **dict.fromkeys(("ExpiredToken", "InvalidToken", "TokenRefreshRequired", "ExpiredTokenException"), _OLD_TOKEN),
    **dict.fromkeys(
        ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"), _WRONG_REGION
    ),
    **dict.fromkeys(("QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "AccountLimitExceeded"), _NO_ROOM),
    **dict.fromkeys(
        ("BlobImmutableDueToPolicy", "RetentionPolicyNotMet"),
        _Meaning(
            "keeps it under a lock that has not ended",
            "Let the lock be no longer than what retain_months keeps.",
            "forbidden",
        ),
    ),
    "RequestTimeTooSkewed": _Meaning("says that the clock here is wrong", "Set the clock of this machine."),
}
_KMS = _Meaning("cannot use the KMS key", "Check kms_key, and the rights to use it.")
_BY_WORDS = {
    "Signature not valid in the specified time frame": _OLD_SIGNATURE,
    "failed to authenticate the request": _WRONG_KEY,
}
"""Of what Azure says beside a code that has several meanings; the first that is in the answer counts."""
_BY_STATUS = {
    401: _WRONG_KEY,
    403: _Meaning("forbids it", _RIGHTS, "forbidden"),
    **dict.fromkeys((301, 307), _WRONG_REGION),
    **dict.fromkeys((429, 503), _BUSY),
    **dict.fromkeys((408, 409, 500, 502, 504), _FAILED),
    501: _Meaning(
        "cannot store an object on the condition that there is none of its name",
        "Use a service that knows If-None-Match on PUT.",
    ),
    507: _NO_ROOM,
}
_REFUSED = _Meaning("refuses it", "Check the settings of the bucket.", "unexpected_status")
_AWAY = "See that url, endpoint and the network between are right."
_WITHOUT_ANSWER = {
    "path segment": _Meaning("holds an object whose name cannot be read", "Remove what does not belong there."),
    "certificate": _Meaning("shows a certificate that is not trusted", "Name its authority as ca_file.", "tls"),
    "UnknownIssuer": _Meaning("shows a certificate that is not trusted", "Name its authority as ca_file.", "tls"),
    "dns error": _Meaning("has a host that DNS does not know", _AWAY, "connection", "retryable"),
    "Connection refused": _Meaning("cannot be reached: nothing listens there", _AWAY, "connection", "retryable"),
    "Timeout": _Meaning("did not answer in time", _AWAY, "timeout", "retryable"),
    "timed out": _Meaning("did not answer in time", _AWAY, "timeout", "retryable"),
    **dict.fromkeys(_NO_CREDENTIALS, _WITHOUT_CREDENTIALS),
    "": _Meaning("cannot be reached", _AWAY, "connection", "retryable"),
}
"""By a part of the library's words; the first that is among them counts."""


def refusal(error: Exception, place: str, name: str) -> Exception:
    """Return what to raise for an error of the library: Held and AuthFailed with the fix, Retryable or NotStored.

    Args:
        error: As it was raised.
        place: The bucket.
        name: The object or prefix that was asked for.
    """
    words = str(error)
    found, named = _STATUS.search(words), _CODE.search(words)
    status, code = int(found[1]) if found else 0, (named[1] or named[2]) if named else ""
    meaning = next((each for part, each in _BY_WORDS.items() if part in words), None)
    if meaning is None:
        meaning = _KMS if code.startswith("KMS") else _BY_CODE.get(code)
    if meaning is None and status // 100 == 4 and any(part in words for part in _OF_THE_MACHINE):
        meaning = _WITHOUT_CREDENTIALS
    if meaning is None and isinstance(error, FileNotFoundError) and code in _GONE:
        return NotStored(name)
    if meaning is None:
        said = (each for part, each in _WITHOUT_ANSWER.items() if part in words)
        meaning = _BY_STATUS.get(status, _REFUSED) if status else next(said)
    return meaning.about(place, " ".join(str(part) for part in (status, code) if part))
