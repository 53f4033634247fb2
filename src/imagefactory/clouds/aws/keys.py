"""Gives AWS's client library the keys of an identity: its own, those of a role, or of this very instance."""

from collections.abc import Callable
from typing import Any, Final

from imagefactory.clouds.aws.identity import Identity
from imagefactory.core.errors import CloudError

METADATA: Final = "http://169.254.169.254/"  #: the instance metadata service (IMDS) of EC2
_PATIENCE: Final = 1  # seconds that it may take; elsewhere nobody answers at that address


class Chain:
    """The library's chain of places where keys are looked for, cut down to one."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials

    def load_credentials(self) -> Any:
        """What the library asks for."""
        return self._credentials


def of(identity: Identity, make_client: Callable[..., Any]) -> Chain:
    """The keys; `make_client` makes the client by which a role is taken on. `CloudError` where there are none."""
    from botocore import credentials as known  # noqa: PLC0415 - an extra

    given = _of_this_instance() if identity.of_instance else _own(identity)
    if not identity.role:
        return Chain(given)
    wanted = {"RoleSessionName": "imagefactory", "ExternalId": identity.external_id}
    fetcher = known.AssumeRoleCredentialFetcher(
        client_creator=make_client,
        source_credentials=given,
        role_arn=identity.role,
        extra_args={key: value for key, value in wanted.items() if value},
    )
    return Chain(
        known.DeferredRefreshableCredentials(
            method="assume-role", refresh_using=fetcher.fetch_credentials
        )
    )


def _own(identity: Identity) -> Any:
    from botocore.credentials import Credentials  # noqa: PLC0415 - an extra

    token = identity.session_token
    return Credentials(
        identity.access_key, identity.secret_key.reveal(), token.reveal() if token else None
    )


def _of_this_instance() -> Any:
    """The keys of the role that the machine of the factory has, which change by themselves."""
    from botocore.credentials import InstanceMetadataProvider  # noqa: PLC0415 - an extra
    from botocore.exceptions import MetadataRetrievalError  # noqa: PLC0415 - an extra
    from botocore.utils import InstanceMetadataFetcher  # noqa: PLC0415 - an extra

    fetcher = InstanceMetadataFetcher(
        timeout=_PATIENCE, base_url=METADATA, env={}, config={"ec2_metadata_v1_disabled": True}
    )
    try:
        found = InstanceMetadataProvider(iam_role_fetcher=fetcher).load()
    except MetadataRetrievalError:  # nobody answers there
        found = None
    if found is None:
        msg = "The machine of the factory gets no keys from EC2"
        raise CloudError(msg, hint="Give its instance a role, or the credentials keys")
    return found
