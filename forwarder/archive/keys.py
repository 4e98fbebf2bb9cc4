"""Keys of the archive: an Ed25519 key in a file signs digests; whoever has its public half can check them.

The id of a key is the first half of the SHA-256 of its public half in DER, as
`openssl pkey -pubin -in KEY.pem -outform DER | sha256sum` shows it. Needs the extra `archive`.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from forwarder.contracts.errors import ConfigError
from forwarder.contracts.secret_file import expanded, read_text

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ID_DIGITS = 32
_MAKE_ONE = "make one with: audit-forwarder archive keygen FILE"


class PublicKey:
    """Checks signatures.

    Args:
        key: As the library has it.
    """

    def __init__(self, key: Ed25519PublicKey) -> None:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415 -- an extra

        self._key = key
        self.pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.id = hashlib.sha256(der).hexdigest()[:ID_DIGITS]

    @classmethod
    def from_pem(cls, pem: bytes) -> PublicKey:
        """Read the public half of a key. Raises ValueError when it is not one of Ed25519, ConfigError as `require`."""
        require()
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 -- an extra
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415

        try:
            key = load_pem_public_key(pem)
        except UnsupportedAlgorithm:
            raise ValueError("not a public key of Ed25519") from None
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("not a public key of Ed25519")  # noqa: TRY004 -- what is in a file, not a type of ours
        return cls(key)

    def signed(self, data: bytes, signature: bytes) -> bool:
        """Tell whether a signature is of these bytes and by this key."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 -- an extra

        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """Signs. Its private half is in no text, log or message.

    Args:
        key: As the library has it.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    @property
    def id(self) -> str:
        """Return the id of the key."""
        return self.public.id

    def sign(self, data: bytes) -> bytes:
        """Return the signature of bytes, 64 bytes: the same one whenever it is made."""
        return self._key.sign(data)


def require() -> None:
    """Raise ConfigError when what signs and checks is not installed."""
    try:
        import cryptography  # noqa: F401, PLC0415 -- an extra
    except ImportError:
        raise ConfigError("signatures need the extra `archive`: pip install 'audit-forwarder[archive]'") from None


def read_signing_key(path: Path) -> SigningKey:
    """Read a key that signs. Raises ConfigError, whose words hold nothing of the file."""
    require()
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 -- an extra
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    try:
        text = read_text(expanded(path))
    except OSError as error:
        raise ConfigError(f"the key {path} cannot be read: {error.strerror or error}; {_MAKE_ONE}") from None
    except ValueError as error:
        raise ConfigError(f"the key {path} cannot be read: {error}") from None
    try:
        key = load_pem_private_key(text.encode(), None)
    except TypeError:
        raise ConfigError(f"the key {path} is locked with a passphrase; unlock it, or {_MAKE_ONE}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"the file {path} holds no private key in PEM; {_MAKE_ONE}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"the key {path} is not one of Ed25519; {_MAKE_ONE}")
    return SigningKey(key)


def write_new_key(path: Path) -> SigningKey:
    """Make a key and write its private half, readable by its owner only. Raises ConfigError, also when it is there."""
    require()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 -- an extra
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: PLC0415

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        place = expanded(path)
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise ConfigError(f"{path} is there already; a key is not overwritten: name another file") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}; name another file") from None
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    return SigningKey(key)
