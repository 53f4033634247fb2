"""The key that vouches for images: made once, for its owner alone, and understood by other programs."""

import subprocess
from pathlib import Path

import pytest

from imagefactory.core.attestation import pre_authentication
from imagefactory.core.errors import ConfigError
from imagefactory.store.signing import Signer


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    first, second = Signer.open(tmp_path), Signer.open(tmp_path)
    assert first.keyid == second.keyid
    assert (tmp_path / "signing.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "signing.pub").stat().st_mode & 0o777 == 0o644
    assert second.has_signed(b"said", first.sign(b"said"))
    assert not second.has_signed(b"sad", first.sign(b"said"))


def test_openssl_understands_both(tmp_path: Path) -> None:
    own = tmp_path / "own.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", own], check=True)
    own.chmod(0o600)
    (tmp_path / "state").mkdir()
    signer = Signer.open(tmp_path / "state", own=str(own))
    message, signature = tmp_path / "message", tmp_path / "signature"
    message.write_bytes(pre_authentication(b'{"_type": "..."}'))
    signature.write_bytes(signer.sign(message.read_bytes()))
    words = "openssl pkeyutl -verify -pubin -rawin -inkey state/signing.pub -in message -sigfile"
    subprocess.run([*words.split(), "signature"], cwd=tmp_path, check=True, capture_output=True)
    message.write_bytes(b"something else")
    told = subprocess.run(
        [*words.split(), "signature"], cwd=tmp_path, check=False, capture_output=True
    )
    assert told.returncode == 1


def test_what_is_signed_is_what_the_specification_of_dsse_says() -> None:
    assert pre_authentication(b"hello") == b"DSSEv1 28 application/vnd.in-toto+json 5 hello"


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (None, 0o600, "No such file"),
        (b"secret text", 0o600, "is no Ed25519 key"),
        (b"secret text", 0o644, "may be read by others"),
    ],
)
def test_a_key_that_is_no_good_is_named(
    tmp_path: Path, content: bytes | None, mode: int, reason: str
) -> None:
    path = tmp_path / "own.pem"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(ConfigError, match=reason) as caught:
        Signer.open(tmp_path, own=str(path))
    assert str(path) in str(caught.value)
    assert "secret text" not in f"{caught.value}{caught.value.hint}"


def test_a_key_of_another_kind_is_named(tmp_path: Path) -> None:
    path = tmp_path / "own.pem"
    words = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run([*words, "-out", path], check=True, capture_output=True)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="is no Ed25519 key"):
        Signer.open(tmp_path, own=str(path))
