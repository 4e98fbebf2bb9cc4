"""TLS for every connection: one context for equal settings, and plain words for what goes wrong.

Invariant: what is trusted is `tls.ca_file`, else the system's store; nothing that a library brings along.
"""

from __future__ import annotations

import ssl
from functools import lru_cache
from pathlib import Path

from forwarder.contracts import Held, Secret, TlsConfig
from forwarder.contracts.secret_file import refuse_odd

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

_UNKNOWN_CA = "name the authority that signed it in tls.ca_file"
# OpenSSL's X509_V_ERR_* numbers, with the likely fix.
_CERTIFICATE_FIXES = {
    9: "check the clock of this machine; the certificate is not valid yet",
    10: "renew the server's certificate, or check the clock of this machine",
    18: _UNKNOWN_CA,
    19: _UNKNOWN_CA,
    20: _UNKNOWN_CA,
    21: _UNKNOWN_CA,
    62: "use the name that the certificate was made for in the address, or put it into tls.server_name",
    64: "use the name that the certificate was made for instead of an address, or put it into tls.server_name",
}
# Fragments of OpenSSL's reasons, with what they mean here; the first that fits counts.
_REASONS = (
    ("WRONG_VERSION_NUMBER", "the other side does not speak TLS on this port; use another port, or no TLS"),
    ("HTTP_REQUEST", "the other side does not speak TLS on this port; use another port, or no TLS"),
    ("RECORD_LAYER_FAILURE", "the other side does not speak TLS on this port; use another port, or no TLS"),
    ("CERTIFICATE_REQUIRED", "the other side asks for a client certificate; set tls.cert_file and tls.key_file"),
    ("ALERT_UNKNOWN_CA", "the other side does not trust our client certificate; check tls.cert_file"),
    ("ALERT_BAD_CERTIFICATE", "the other side refuses our client certificate; check tls.cert_file"),
    ("ALERT_CERTIFICATE", "the other side refuses our client certificate; check tls.cert_file"),
    (
        "HANDSHAKE_FAILURE",
        "nothing in common with the other side; set tls.cert_file if it asks for a client certificate",
    ),
    ("PROTOCOL_VERSION", "no TLS version in common; see tls.min_version"),
    ("UNSUPPORTED_PROTOCOL", "no TLS version in common; see tls.min_version"),
)


def build_ssl_context(tls: TlsConfig) -> ssl.SSLContext:
    """Return the context for these settings; equal settings and unchanged files share one.

    Raises Held when a file cannot be read or used: it may be in the middle of a rotation.
    """
    try:
        password = tls.key_password.reveal() if tls.key_password else None
        files = [path.expanduser() if path else None for path in (tls.ca_file, tls.cert_file, tls.key_file)]
        stats = [path.stat() for path in files if path]
        for found in stats:
            refuse_odd(found.st_mode)  # a pipe would wait for its writer
        stamps = tuple((found.st_mtime_ns, found.st_size, found.st_ino) for found in stats)
        return _build(*files, password, tls.min_version, tls.verify, tls.server_name, stamps)
    except ssl.SSLError as error:
        reason = f"The TLS files cannot be used: {error.reason or 'not PEM'}."
    except OSError as error:
        reason = f"A TLS file cannot be read: {error.filename or ''} {error.strerror or type(error).__name__}."
    except ValueError as error:
        reason = f"The password of the TLS key, or a TLS file, cannot be used: {str(error).partition('; ')[0]}."
    raise Held(reason, fix="Check tls.ca_file, tls.cert_file, tls.key_file and tls.key_password.", kind="tls")


@lru_cache(maxsize=32)
def _build(
    ca_file: Path | None,
    cert_file: Path | None,
    key_file: Path | None,
    password: str | None,
    min_version: str,
    verify: bool,
    server_name: str | None,
    _stamps: tuple[tuple[int, int, int], ...],
) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file) if server_name is None else _named(server_name, ca_file)
    context.minimum_version = _VERSIONS[min_version]
    if cert_file is not None:
        # Without a password OpenSSL would ask for one on the terminal, and wait.
        context.load_cert_chain(cert_file, key_file, password if password is not None else "")
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class ServerTls:
    """What a port of ours shows: a certificate that may be renewed while it is open.

    Args:
        cert_file: PEM file of the certificate, and of those between it and the authority.
        key_file: PEM file of its private key, when not in `cert_file`.
        key_password: Password of the private key.
    """

    def __init__(self, cert_file: Path, key_file: Path | None, key_password: Secret | None) -> None:
        self._files = tuple(path.expanduser() for path in (cert_file, key_file) if path is not None)
        self._password = key_password
        self._stamps: list[tuple[int, int, int]] = []
        self._context: ssl.SSLContext | None = None

    def __call__(self) -> ssl.SSLContext:
        """Return the context; the one before when the files cannot be used now. Raises Held when there is none yet."""
        try:
            stats = [path.stat() for path in self._files]
            stamps = [(found.st_mtime_ns, found.st_size, found.st_ino) for found in stats]
            if self._context is None or stamps != self._stamps:
                for found in stats:
                    refuse_odd(found.st_mode)  # a pipe would wait for its writer
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                context.load_cert_chain(*self._chain(), self._password.reveal() if self._password else "")
                self._context, self._stamps = context, stamps
        except (OSError, ValueError) as error:  # also what TLS says of a file: an SSLError is an OSError
            if self._context is not None:
                return self._context
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error).partition("; ")[0]
            raise Held(
                f"The certificate or its key cannot be used: {reason or type(error).__name__}.",
                fix="Check that both are PEM files, that they belong together, and that this user may read them.",
                kind="tls",
            ) from None
        return self._context

    def _chain(self) -> tuple[Path, Path | None]:
        return self._files[0], self._files[1] if len(self._files) > 1 else None


class _NamedContext(ssl.SSLContext):
    """Asks every server for one name, whoever opens the connection: ours, a proxy's tunnel, a stream."""

    server_name = ""

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,  # noqa: ARG002 -- it is replaced, that is what this is for
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Wrap as any context does, for `server_name`."""
        return super().wrap_bio(incoming, outgoing, server_side, self.server_name, session)


def _named(server_name: str, ca_file: Path | None) -> ssl.SSLContext:
    context = _NamedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.server_name = server_name
    usual = ssl.create_default_context(cafile=ca_file)
    context.verify_flags = usual.verify_flags
    if ca_file is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(ca_file)
    return context


def explain(error: ssl.SSLError) -> str:
    """Say in plain words what went wrong and the likely fix, without anything the other side may choose."""
    what, fix, reason = _parts(error)
    return "; ".join(filter(None, (what, fix))) + reason


def diagnose(error: ssl.SSLError) -> tuple[str, str]:
    """Return the same as what went wrong, and the fix as a sentence; that is empty when there is none."""
    what, fix, reason = _parts(error)
    return what + reason, f"{fix[:1].upper()}{fix[1:]}." if fix else ""


def _parts(error: ssl.SSLError) -> tuple[str, str, str]:
    if isinstance(error, ssl.SSLCertVerificationError):
        what = f"the server's certificate is refused ({error.verify_message.rstrip('.')})"
        return what, _CERTIFICATE_FIXES.get(error.verify_code, "see the tls settings"), ""
    reason = (error.reason or "").upper()
    meaning = next((text for fragment, text in _REASONS if fragment in reason), "TLS failed")
    what, _, fix = meaning.partition("; ")
    return what, fix, f" ({reason or type(error).__name__})"


def refused_our_certificate(error: ssl.SSLError) -> bool:
    """Tell whether the server ended the handshake because of our certificate: what was written was never read.

    With TLS 1.3 our side of the handshake is over by then, so this arrives as a failure to read the answer.
    """
    reason = (error.reason or "").upper()
    return "ALERT" in reason and ("CERTIFICATE" in reason or "UNKNOWN_CA" in reason)
