"""The daemon's certificate: strong, made once, for its owner alone, and good for a client that trusts it."""

import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from imagefactory.core.config import Config
from imagefactory.core.errors import ConfigError
from imagefactory.web import tls


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(state=tmp_path / "state", address="192.0.2.7")


def test_a_certificate_is_made_once_and_for_its_owner_alone(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    path = tls.certificate_file(config)
    [told] = caplog.messages
    assert str(path) in told
    assert tls.fingerprint(path) in told
    made = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert tls.certificate_file(config) == path
    assert len(caplog.messages) == 1
    assert path.read_bytes() == made


def test_it_is_for_every_name_of_this_machine(config: Config) -> None:
    certificate = x509.load_pem_x509_certificate(tls.certificate_file(config).read_bytes())
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"localhost", socket.gethostname()} <= set(names.get_values_for_type(x509.DNSName))
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    assert addresses == {"127.0.0.1", "::1", "192.0.2.7"}


def test_a_client_that_trusts_it_is_content(config: Config) -> None:
    path = tls.certificate_file(config)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    client = ssl.create_default_context(cafile=path)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    here, there = socket.socketpair()
    thread = threading.Thread(target=lambda: server.wrap_socket(there, server_side=True).close())
    thread.start()
    with client.wrap_socket(here, server_hostname="localhost") as connection:
        assert connection.version() in {"TLSv1.2", "TLSv1.3"}
    thread.join()


def test_its_fingerprint_is_what_other_tools_show(config: Config) -> None:
    path = tls.certificate_file(config)
    shown = tls.fingerprint(path)
    assert len(shown) == 95
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    assert shown.replace(":", "").lower() == certificate.fingerprint(hashes.SHA256()).hex()


def test_one_that_is_over_is_replaced(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "_LIFE", timedelta(seconds=-1))
    over = tls.certificate_file(config).read_bytes()
    monkeypatch.undo()
    assert tls.certificate_file(config).read_bytes() != over


def test_the_operators_own_is_used_as_it_is(config: Config, tmp_path: Path) -> None:
    own = tmp_path / "own.pem"
    own.write_bytes(tls.certificate_file(config).read_bytes())
    assert tls.certificate_file(Config(state=tmp_path / "other", ssl_pem=str(own))) == own
    assert not (tmp_path / "other").exists()


def encrypted() -> bytes:
    """A PEM file whose key needs a passphrase."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    now = datetime.now(UTC)
    certificate = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(1))
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"hush"),
    ) + certificate.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "cannot be used"),
        (b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", "cannot be used"),
        (encrypted(), "its key is encrypted"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "own.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=reason) as caught:
        tls.certificate_file(Config(ssl_pem=str(path)))
    assert str(path) in str(caught.value)
    assert caught.value.hint
