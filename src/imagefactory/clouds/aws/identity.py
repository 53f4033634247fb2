"""Reads the credentials that clients of AWS send: the original's XML, and JSON with AWS's own names."""

from dataclasses import dataclass
from typing import Final, Self

from imagefactory.core.errors import RequestError
from imagefactory.core.secret import Secret
from imagefactory.plugins.texts import Fields

_KEYS: Final = frozenset(
    {
        *("access_key", "aws_access_key_id", "AccessKeyId"),
        *("secret_access_key", "secret_key", "aws_secret_access_key", "SecretAccessKey"),
        *("session_token", "aws_session_token", "SessionToken", "Expiration"),
        *("role_arn", "external_id"),
        # of bundles that were signed and uploaded by an instance; taken, and not needed any more
        *("account_number", "certificate", "x509_public", "key", "x509_private"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who asks: a key pair, perhaps a temporary one, and the role that it then takes on."""

    access_key: str
    secret_key: Secret
    session_token: Secret | None = None
    role: str | None = None  #: ARN
    external_id: str | None = None  #: what the role's owner wants to hear

    @classmethod
    def read(cls, credentials: Secret, *, element: str, service: str) -> Self:
        """`element` is the XML element that counts; `service` is what messages call the cloud."""
        fields = Fields.read(credentials.reveal(), what="credentials", element=element).only(_KEYS)
        secret = fields.secret(
            "secret_access_key", "secret_key", "aws_secret_access_key", "SecretAccessKey"
        )
        access = fields.text("access_key", "aws_access_key_id", "AccessKeyId")
        if access is None or secret is None:
            missing = "access_key" if access is None else "secret_access_key"
            msg = f"No {service} {missing} available"
            raise RequestError(msg, hint=f'Give the credentials an "{missing}"')
        return cls(
            access_key=access,
            secret_key=secret,
            session_token=fields.secret("session_token", "aws_session_token", "SessionToken"),
            role=fields.text("role_arn"),
            external_id=fields.text("external_id"),
        )

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What no message may show."""
        return tuple(filter(None, (self.secret_key, self.session_token)))
