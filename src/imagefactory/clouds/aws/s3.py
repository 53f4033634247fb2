"""S3 as a cloud: a disk in any format becomes one object, on AWS or any server that speaks like it."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args
from urllib.parse import urlsplit

from imagefactory.clouds.aws import client, s3_login
from imagefactory.clouds.aws.client import connected
from imagefactory.clouds.aws.objects import Objects
from imagefactory.clouds.aws.s3_login import S3Login
from imagefactory.core.config import Config
from imagefactory.core.errors import CloudError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Template
from imagefactory.engine.formats.convert import Convert
from imagefactory.engine.formats.detect import inspect
from imagefactory.engine.formats.kinds import Compression, FormatName, Output
from imagefactory.engine.plan import Plan, Report
from imagefactory.plugins.builtin import info
from imagefactory.plugins.contract import Customization, Info, Pushed
from imagefactory.plugins.progress import Progress

log = logging.getLogger(__name__)

_FORMATS: Final[tuple[FormatName, ...]] = get_args(FormatName)
_COMPRESSIONS: Final[tuple[Compression, ...]] = get_args(Compression)


class S3:
    """The target `s3`. Making target images needs no client library, pushing them does."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def info(self) -> Info:
        description = "S3: objects on AWS or any server that speaks like it, in any format"
        if not client.installed():
            description += f". Cannot push: the client library is missing. {client.INSTALL}"
        return info("S3", "cloud", description)

    @property
    def targets(self) -> Sequence[str]:
        return ("s3",)

    def login(self, provider: str, credentials: Secret) -> S3Login:
        return s3_login.read(provider, credentials, instance=self._config.ec2_instance_keys)

    def customization(self, template: Template) -> Customization:
        return Customization()

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        form = parameters.choice("format", _FORMATS, default="raw")
        compression: Compression | None = None
        if parameters.text("compression"):
            compression = parameters.choice("compression", _COMPRESSIONS, default="none")
        Output(format=form, compression=compression).chosen()
        return (Convert(format=form, compression=compression),)

    def check(self, login: S3Login) -> None:
        doing = f'open the bucket "{login.bucket}"'
        with connected(login.identity, login.place, doing, seconds=client.ASKING) as aws:
            Objects(aws=aws, login=login).check()

    def push(self, image: ProviderImage, disk: Path, login: S3Login, report: Report) -> Pushed:
        progress = Progress(report, size=disk.stat().st_size)
        doing = f'put the image into the bucket "{login.bucket}"'
        with connected(login.identity, login.place, doing, proceed=progress.proceed) as aws:
            objects = Objects(aws=aws, login=login)
            if (key := objects.whole(image.id)) is None:
                key = f"{objects.folder(image.id)}{image.name or 'image'}.{inspect(disk).format}"
                progress(0, f'Uploading the image to "{login.bucket}/{key}"')
                try:
                    objects.upload(key, disk, token=image.id, progress=progress)
                except BaseException:
                    self._undo(image.id, login)
                    raise
            progress(disk.stat().st_size, f'Uploaded "{login.bucket}/{key}"')
            return _pushed(key, login)

    def find(self, token: str, login: S3Login) -> Pushed | None:
        doing = f'list the bucket "{login.bucket}"'
        with connected(login.identity, login.place, doing) as aws:
            objects = Objects(aws=aws, login=login)
            if key := objects.whole(token):
                return _pushed(key, login)
            objects.abort(token)
            return None

    def delete(self, identifier: str, login: S3Login) -> None:
        parts = urlsplit(identifier)
        if parts.scheme != "s3" or parts.netloc != login.bucket:
            msg = f'The object "{identifier}" is not in the bucket "{login.bucket}"'
            raise CloudError(msg)
        doing = f'delete the object "{identifier}"'
        with connected(login.identity, login.place, doing) as aws:
            Objects(aws=aws, login=login).delete(identifier.split("/", 3)[3])

    def _undo(self, token: str, login: S3Login) -> None:
        """Give up what was half sent, if the server still answers; the fault is told by another."""
        try:
            with connected(
                login.identity, login.place, "undo a push", seconds=client.UNDOING
            ) as aws:
                objects = Objects(aws=aws, login=login)
                objects.abort(token)
                if key := objects.whole(token):
                    objects.delete(key)
        except CloudError:
            log.warning("What was half sent for %s stays with S3", token)


def _pushed(key: str, login: S3Login) -> Pushed:
    return Pushed(identifier=f"s3://{login.bucket}/{key}", account=login.identity.name)
