"""The certificate of the daemon: the operator's, or one that the first start signs itself."""

import ipaddress
import logging
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from imagefactory.core.config import Config
from imagefactory.core.errors import ConfigError
from imagefactory.engine.files import write_atomically

log: Final = logging.getLogger(__name__)

_LIFE: Final = timedelta(days=3650)
_SKEW: Final = timedelta(days=1)  # clocks of clients differ
_OWNER_ONLY: Final = 0o600


def certificate_file(config: Config) -> Path:
    """The PEM file with key and certificates, made where the configuration names none.

    `ConfigError` when it cannot be used.
    """
    own = config.ssl_pem == "*"
    path = config.state / "tls.pem" if own else Path(config.ssl_pem)
    if own and (not path.exists() or _is_over(path)):
        write_atomically(path, _signed_by_itself(config.address), mode=_OWNER_ONLY)
        digest = fingerprint(path)
        log.warning("A certificate was made in %s; its SHA-256 fingerprint is %s", path, digest)
    _check(path)
    return path


def fingerprint(path: Path) -> str:
    """The SHA-256 digest of the certificate, in hex with colons, as clients show it."""
    digest = _certificate(path).fingerprint(hashes.SHA256())
    return digest.hex(":").upper()


def _is_over(path: Path) -> bool:
    return _certificate(path).not_valid_after_utc < datetime.now(UTC)


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _unusable(path, error) from error


def _check(path: Path) -> None:
    try:
        # An encrypted key would ask for its passphrase at the terminal: nobody sits at a daemon's.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(path, password=_no_passphrase)
    except (OSError, ValueError) as error:
        raise _unusable(path, error) from error


def _no_passphrase() -> str:
    msg = "its key is encrypted"
    raise ValueError(msg)


def _unusable(path: Path, error: Exception) -> ConfigError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    msg = f'The certificate file "{path}" cannot be used: {reason}'
    return ConfigError(msg, hint="It has to hold a private key and its certificate, in PEM")


def _signed_by_itself(address: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, socket.gethostname()[:64])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectAlternativeName(_names(address)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def _names(address: str) -> list[x509.GeneralName]:
    """What clients may call this machine: its host names, loopback, and the address it listens on."""
    hosts = dict.fromkeys((socket.gethostname(), socket.getfqdn(), "localhost"))
    names: list[x509.GeneralName] = [x509.DNSName(host) for host in hosts if host.isascii()]
    addresses = {ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")}
    try:
        listening = ipaddress.ip_address(address)
    except ValueError:
        listening = ipaddress.ip_address("127.0.0.1")
    if not listening.is_unspecified:
        addresses.add(listening)
    return names + [x509.IPAddress(known) for known in sorted(addresses, key=str)]
