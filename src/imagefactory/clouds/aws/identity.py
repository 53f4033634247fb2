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
        *("role_arn", "external_id", "credential_source"),
        # of bundles that were signed and uploaded by an instance; taken, and not needed any more
        *("account_number", "certificate", "x509_public", "key", "x509_private"),
    }
)

_INSTANCE: Final = "Ec2InstanceMetadata"  # AWS's own word in its configuration files


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who asks: a key pair, perhaps a temporary one, and the role that it then takes on."""

    access_key: str  #: empty where it is the instance's
    secret_key: Secret
    session_token: Secret | None = None
    role: str | None = None  #: ARN
    external_id: str | None = None  #: what the role's owner wants to hear
    of_instance: bool = False  #: whether the keys are those of the factory's own instance

    @classmethod
    def read(
        cls, credentials: Secret, *, element: str, service: str, instance: bool = False
    ) -> Self:
        """`element` is the XML element that counts; `service` is what messages call the cloud.

        `instance`: whether clients may use the keys of the factory's own instance.
        """
        fields = Fields.read(credentials.reveal(), what="credentials", element=element).only(_KEYS)
        if source := fields.text("credential_source"):
            return cls._of_instance(fields, source, allowed=instance)
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

    @classmethod
    def _of_instance(cls, fields: Fields, source: str, *, allowed: bool) -> Self:
        if source != _INSTANCE:
            msg = f'The key "credential_source" of the credentials is not "{_INSTANCE}"'
            raise RequestError(msg)
        if not allowed:
            msg = "The credentials ask for the keys of the factory's own instance, which it gives to nobody"
            raise RequestError(msg, hint='The operator may set "ec2_instance_keys"')
        return cls(
            access_key="",
            secret_key=Secret(""),
            role=fields.text("role_arn"),
            external_id=fields.text("external_id"),
            of_instance=True,
        )

    @property
    def name(self) -> str:
        """What messages and records call it."""
        return self.access_key or "the instance's role"

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """What no message may show."""
        return tuple(filter(None, (self.secret_key, self.session_token)))
