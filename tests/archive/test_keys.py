from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from forwarder.archive.keys import PublicKey, read_signing_key, write_new_key
from forwarder.contracts.errors import ConfigError


def test_a_key_is_written_for_its_owner_only_and_read_again(tmp_path: Path) -> None:
    made = write_new_key(tmp_path / "key.pem")
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    read = read_signing_key(tmp_path / "key.pem")
    assert read.id == made.id
    assert PublicKey.from_pem(made.public.pem).signed(b"text", read.sign(b"text"))


def test_a_key_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    write_new_key(tmp_path / "key.pem")
    before = (tmp_path / "key.pem").read_bytes()
    with pytest.raises(ConfigError, match="is not overwritten"):
        write_new_key(tmp_path / "key.pem")
    assert (tmp_path / "key.pem").read_bytes() == before


@pytest.mark.parametrize(
    ("signed", "signature"),
    [
        (b"other", lambda right: right),
        (b"text", lambda right: right[:-1]),
        (b"text", lambda right: right + b"\0"),
        (b"text", lambda right: b""),
        (b"text", lambda right: bytes([right[0] ^ 1]) + right[1:]),
    ],
    ids=["other text", "cut off", "longer", "empty", "a flipped bit"],
)
def test_a_signature_is_of_these_bytes_and_by_this_key(tmp_path: Path, signed, signature) -> None:
    key = write_new_key(tmp_path / "key.pem")
    assert not key.public.signed(signed, signature(key.sign(b"text")))


def test_openssl_checks_what_is_signed_and_makes_keys_that_are_taken(tmp_path: Path) -> None:
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "key.pem"], check=True)
    key = read_signing_key(tmp_path / "key.pem")
    (tmp_path / "pub.pem").write_bytes(key.public.pem)
    (tmp_path / "text").write_bytes(b"text\n")
    (tmp_path / "sig").write_bytes(key.sign(b"text\n"))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "pub.pem", "-rawin", "-in", "text"]
    subprocess.run([*command, "-sigfile", "sig"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    der = subprocess.check_output(["openssl", "pkey", "-pubin", "-in", "pub.pem", "-outform", "DER"], cwd=tmp_path)
    assert hashlib.sha256(der).hexdigest().startswith(key.id)


def _pem(key, encryption=None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "archive keygen"),
        (b"", "no private key"),
        (b"geheim", "no private key"),
        (_pem(ec.generate_private_key(ec.SECP256R1())), "not one of Ed25519"),
        (_pem(ed25519.Ed25519PrivateKey.generate(), BestAvailableEncryption(b"x")), "passphrase"),
        (b"\xff\xfe", "UTF-16"),
        (
            ed25519.Ed25519PrivateKey.generate()
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "no private key",
        ),
    ],
    ids=["missing", "empty", "no PEM", "another kind", "locked", "UTF-16", "the public half"],
)
def test_what_is_wrong_with_a_key_file_is_said_and_nothing_of_it_shown(tmp_path: Path, content, says) -> None:
    if content is not None:
        (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(ConfigError, match=says) as raised:
        read_signing_key(tmp_path / "key.pem")
    assert "geheim" not in str(raised.value)


@pytest.mark.parametrize("pem", [b"", b"x", b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_public_key_is_refused(pem: bytes) -> None:
    with pytest.raises(ValueError, match=r"Ed25519|PEM|key"):
        PublicKey.from_pem(pem)
