"""EC2 as a cloud: a raw disk becomes an EBS snapshot block by block, and an AMI is made of it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imagefactory.clouds.aws import client, ec2_login, images
from imagefactory.clouds.aws.client import Aws, connected
from imagefactory.clouds.aws.ec2_login import Ec2Login
from imagefactory.clouds.aws.images import REGIONS, WHOLE, BootMode, Registration
from imagefactory.clouds.aws.manifest import Manifests
from imagefactory.clouds.aws.snapshots import NAME, TOKEN, Uploader
from imagefactory.core import template as tdl
from imagefactory.core.config import Config
from imagefactory.core.errors import CloudError, RequestError
from imagefactory.core.images import ProviderImage
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import Secret
from imagefactory.core.template import Template
from imagefactory.engine.formats.convert import Convert
from imagefactory.engine.formats.detect import inspect
from imagefactory.engine.plan import Plan, Report
from imagefactory.plugins.builtin import info
from imagefactory.plugins.cloud_init import cloud_init
from imagefactory.plugins.contract import Customization, Info, Pushed
from imagefactory.plugins.progress import Progress

if TYPE_CHECKING:
    from types_boto3_ec2.type_defs import RegionTypeDef

log = logging.getLogger(__name__)

_GIB: Final = 1 << 30
_NO_SNAPSHOT: Final = "snap-00000000000000000"
#: of the original, whose images were file systems for paravirtual machines; a full disk needs none
_OLD_SWITCHES: Final = ("skip_ec2_modifications", "ec2_flatten", "ec2_modify")


class EC2:
    """The target `ec2`. Making target images needs no client library, pushing them does."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def info(self) -> Info:
        description = "Amazon EC2: AMIs for HVM machines, without a bucket or a helper instance"
        if not client.installed():
            description += f". Cannot push: the client library is missing. {client.INSTALL}"
        return info("EC2", "cloud", description)

    @property
    def targets(self) -> Sequence[str]:
        return ("ec2",)

    def login(self, provider: str, credentials: Secret) -> Ec2Login:
        return ec2_login.read(provider, credentials, instance=self._config.ec2_instance_keys)

    def customization(self, template: Template) -> Customization:
        """What EC2 asks of an image; Debian's kernels have ENA and NVMe.

        The clock is that of the Nitro system, on a link-local address in every network.
        """
        return cloud_init(template, "EC2", sources=["Ec2"], time_server="169.254.169.123")

    def plan_target(self, template: Template, parameters: Parameters) -> Plan:
        for switch in _OLD_SWITCHES:
            parameters.boolean(switch, default=False)
        parameters.choice("ec2_image_format", ("raw",), default="raw")
        self._require_ebs(parameters)
        _boot_mode(parameters, template.os.arch)
        return (Convert(format="raw"),)

    def check(self, login: Ec2Login) -> None:
        with connected(login.identity, login.place, "take images", seconds=client.ASKING) as aws:
            aws.retry(lambda: aws.sts().get_caller_identity())
            _check_regions(aws, login)
            _check_rights(aws)

    def push(self, image: ProviderImage, disk: Path, login: Ec2Login, report: Report) -> Pushed:
        parameters = Parameters(image.parameters or {})
        self._require_ebs(parameters)
        wanted = _wanted(image, disk, login, parameters)
        whole = disk.stat().st_size * 20 // 19  # the last twentieth is what EC2 does by itself
        progress = Progress(report, size=whole)
        doing = "take the image"
        with connected(login.identity, login.place, doing, proceed=progress.proceed) as aws:
            if made := _whole(aws, image.id):
                return self._pushed(made, login)
            try:
                identifier = self._make(aws, disk, login, wanted, progress)
            except BaseException:
                self._undo(image.id, login)
                raise
            progress(whole, f'Registered the image "{identifier}"')
            return self._pushed(identifier, login)

    def find(self, token: str, login: Ec2Login) -> Pushed | None:
        with connected(login.identity, login.place, "list its images") as aws:
            if whole := _whole(aws, token):
                return self._pushed(whole, login)
            self._remove_half(aws, token, login)
            return None

    def delete(self, identifier: str, login: Ec2Login) -> None:
        with connected(login.identity, login.place, f'delete the image "{identifier}"') as aws:
            images.remove(aws, identifier, login, forget=self._manifests.forget)

    def _make(
        self, aws: Aws, disk: Path, login: Ec2Login, wanted: Registration, progress: Progress
    ) -> str:
        """From a disk to an AMI with which nothing is left to do; every step may have been done before."""
        progress(0, f'Looking for what {login.place.name} has of "{wanted.name}"')
        uploader = Uploader(aws=aws, manifests=self._manifests, progress=progress)
        snapshot = uploader.upload(disk, tags=wanted.tags, kms_key=login.kms_key)
        sent = disk.stat().st_size
        progress(sent, f'Registering the snapshot "{snapshot}" as an AMI')
        known = images.of_token(aws, wanted.token)
        image = known[0]["ImageId"] if known else images.register(aws, wanted, snapshot)
        images.wait(aws, image)
        images.share(aws, image, login.share)
        if login.copies:
            images.mark(aws, [image], **{REGIONS: " ".join(login.copies)})
        copies = {region: images.copy(aws, image, wanted, region=region) for region in login.copies}
        for region, copy in copies.items():
            progress(sent, f'Waiting for the copy "{copy}" in "{region}"')
            images.wait(aws, copy, region=region)
            images.share(aws, copy, login.share, region=region)
        images.mark(aws, [image], **{WHOLE: "true"})
        return image

    def _undo(self, token: str, login: Ec2Login) -> None:
        """Remove what was half made, if the servers still answer; the fault is told by another."""
        try:
            with connected(
                login.identity, login.place, "undo a push", seconds=client.UNDOING
            ) as aws:
                self._remove_half(aws, token, login)
        except CloudError:
            log.warning("What was half made for %s stays with EC2", token)

    def _remove_half(self, aws: Aws, token: str, login: Ec2Login) -> None:
        for region in (*login.copies, login.region):
            for snapshot in images.remove_token(aws, token, region=region):
                self._manifests.forget(snapshot)

    @property
    def _manifests(self) -> Manifests:
        return Manifests(folder=self._config.cache / "ec2")

    def _require_ebs(self, parameters: Parameters) -> None:
        """Refuse what EC2 does not make any more; paravirtual machines become HVM without a word."""
        kind = parameters.text("ec2_ami_type") or self._config.ec2_ami_type
        if kind not in {"ebs", "s3"}:
            msg = f"Invalid or unspecified EC2 AMI type ({kind}) in config file or parameters"
            raise RequestError(msg)
        if kind == "s3":
            msg = 'The EC2 AMI type "s3" is not made any more: no current machine starts from it'
            raise RequestError(msg, hint='Give "ec2_ami_type" the value "ebs"')
        virtual = parameters.text("ec2_virt_type") or "hvm"
        if virtual not in {"hvm", "paravirtual"}:
            msg = f"Invalid 'ec2_virt_type' ({virtual}) - must be 'hvm' or 'paravirtual'"
            raise RequestError(msg)

    def _pushed(self, identifier: str, login: Ec2Login) -> Pushed:
        return Pushed(identifier=identifier, account=login.identity.name)


def _whole(aws: Aws, token: str) -> str | None:
    """The AMI of a token with which nothing is left to do."""
    for image in images.of_token(aws, token):
        if any(tag["Key"] == WHOLE for tag in image.get("Tags", ())):
            return image["ImageId"]
    return None


def _wanted(
    image: ProviderImage, disk: Path, login: Ec2Login, parameters: Parameters
) -> Registration:
    facts = inspect(disk)
    if facts.format != "raw":
        msg = "Input image is a not in raw format - cannot push to provider"
        raise CloudError(msg, hint='Push a target image of the target "ec2"')
    arch = tdl.parse(image.template).os.arch if image.template else "x86_64"
    name = image.name or "image"
    given: Mapping[str, str] = {"Name": name, **login.tags, TOKEN: image.id, NAME: name}
    return Registration(
        token=image.id,
        name=name,
        architecture=arch,
        boot_mode=_boot_mode(parameters, arch),
        size=-(-facts.virtual_size // _GIB),
        volume_type=login.volume_type,
        tags=given,
    )


def _boot_mode(parameters: Parameters, arch: str) -> BootMode:
    modes: tuple[BootMode, ...] = ("uefi-preferred", "uefi", "legacy-bios")
    if arch == "aarch64":
        modes = ("uefi",)
    default: BootMode = "uefi-preferred" if arch == "x86_64" else "uefi"
    return parameters.choice("ec2_boot_mode", modes, default=default)


def _check_regions(aws: Aws, login: Ec2Login) -> None:
    """`CloudError` for a region that is not there, or that the account has not switched on."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - an extra

    def ask(region: str) -> list["RegionTypeDef"]:
        try:
            return aws.ec2().describe_regions(RegionNames=[region], AllRegions=True)["Regions"]
        except ClientError as error:
            if not client.code_of(error).startswith("InvalidParameter"):
                raise
            return []

    for region in (login.region, *login.copies):
        found = aws.retry(partial(ask, region))
        if not found or found[0].get("OptInStatus") == "not-opted-in":
            msg = f'The EC2 region "{region}" is not there, or not switched on for this account'
            raise CloudError(msg, hint="Look at the account's regions")


def _check_rights(aws: Aws) -> None:
    """Ask for what cannot be done, so that only who may not do it at all hears of that."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - an extra

    def seal_nothing() -> None:
        aws.ebs().complete_snapshot(SnapshotId=_NO_SNAPSHOT, ChangedBlocksCount=0)

    def register_nothing() -> None:
        aws.ec2().register_image(
            Name="imagefactory check",
            RootDeviceName="/dev/xvda",
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": _NO_SNAPSHOT}}],
            DryRun=True,
        )

    def ask(request: Callable[[], None]) -> None:
        try:
            request()
        except ClientError as error:
            if not client.answers(error):
                raise

    for request in (seal_nothing, register_nothing):
        aws.retry(partial(ask, request))
