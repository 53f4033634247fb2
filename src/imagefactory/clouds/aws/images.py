"""Registers AMIs, shares them, copies them to regions, finds them again and removes all of them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from imagefactory.clouds.aws import snapshots
from imagefactory.clouds.aws.client import Aws, code_of
from imagefactory.clouds.aws.ec2_login import Ec2Login
from imagefactory.clouds.aws.snapshots import TOKEN
from imagefactory.core.errors import CloudError

if TYPE_CHECKING:
    from types_boto3_ec2.type_defs import (
        FilterTypeDef,
        ImageTypeDef,
        LaunchPermissionTypeDef,
        RegisterImageRequestTypeDef,
        TagSpecificationTypeDef,
    )

BootMode = Literal["uefi-preferred", "uefi", "legacy-bios"]

WHOLE: Final = "imagefactory_whole"  #: the tag of an AMI with which nothing is left to do
REGIONS: Final = "imagefactory_regions"  #: the tag that says where copies are
_OF: Final = "imagefactory_image"  #: the tag by which a delete that died finds its snapshots
_ROOT: Final = "/dev/xvda"
_AVAILABLE: Final = 3600.0  # seconds that EC2 may take to make an AMI or a copy of one
_GONE: Final = frozenset({"InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"})
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9()\[\] ./'@_-]+")  # in an AMI's name
_ARCHITECTURES: Final = {"aarch64": "arm64"}


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What an AMI is to be, beside its snapshot."""

    token: str
    name: str  #: the template's
    architecture: str  #: the template's word
    boot_mode: BootMode
    size: int  #: of the root volume, GiB
    volume_type: str
    tags: Mapping[str, str]  #: of the AMI and of its snapshots

    @property
    def unique_name(self) -> str:
        """What EC2 accepts only once in a region, so that no second try makes a second AMI."""
        return f"{_UNSAFE.sub('-', self.name)[:80].strip() or 'image'} {self.token}"


def of_token(aws: Aws, token: str, *, region: str | None = None) -> list["ImageTypeDef"]:
    """The account's own AMIs of a push, whole or not."""
    return _described(aws, f"tag:{TOKEN}", token, region)


def register(aws: Aws, wanted: Registration, snapshot: str) -> str:
    """The id of the new AMI, or of the one that an earlier try with an answer that got lost made."""
    from botocore.exceptions import ClientError  # noqa: PLC0415 - an extra

    def try_once() -> str:
        try:
            return aws.ec2().register_image(**_registration(wanted, snapshot))["ImageId"]
        except ClientError as error:
            if code_of(error) != "InvalidAMIName.Duplicate":
                raise
            made = _ask(aws, "name", wanted.unique_name, None)
            if not made:
                raise
            return made[0]["ImageId"]

    return aws.retry(try_once)


def _registration(wanted: Registration, snapshot: str) -> "RegisterImageRequestTypeDef":
    """HVM, with the drivers of current machines announced: paravirtual machines are no more."""
    return {
        "Name": wanted.unique_name,
        "Description": f"ImageFactory created AMI - {wanted.token}",
        "Architecture": _architecture(wanted.architecture),
        "RootDeviceName": _ROOT,
        "BlockDeviceMappings": [
            {
                "DeviceName": _ROOT,
                "Ebs": {
                    "SnapshotId": snapshot,
                    "VolumeSize": wanted.size,
                    "VolumeType": wanted.volume_type,  # type: ignore[typeddict-item]
                    "DeleteOnTermination": True,
                },
            }
        ],
        "VirtualizationType": "hvm",
        "BootMode": wanted.boot_mode,
        "EnaSupport": True,
        "SriovNetSupport": "simple",
        "ImdsSupport": "v2.0",
        "TagSpecifications": [_tags("image", wanted.tags)],
    }


def _architecture(word: str) -> Literal["arm64", "i386", "x86_64"]:
    match _ARCHITECTURES.get(word, word):
        case "arm64":
            return "arm64"
        case "i386":
            return "i386"
        case "x86_64":
            return "x86_64"
        case _:
            msg = f'EC2 has no machines of the architecture "{word}"'
            raise CloudError(msg)


def wait(aws: Aws, image: str, *, region: str | None = None) -> None:
    """Until an AMI can be used; `CloudError` when it never can."""

    def look() -> str | None:
        states = {found["State"] for found in _ask(aws, "image-id", image, region)}
        return next(iter(states - {"pending", "transient"}), None)

    state = aws.retry.until(look, seconds=_AVAILABLE)
    if state != "available":
        msg = f'EC2 did not finish the image "{image}": {state or "it takes too long"}'
        raise CloudError(msg)


def share(aws: Aws, image: str, accounts: tuple[str, ...], *, region: str | None = None) -> None:
    """Let these accounts, or `all`, start machines from an AMI."""
    if accounts:
        add: list[LaunchPermissionTypeDef] = [
            {"Group": "all"} if account == "all" else {"UserId": account} for account in accounts
        ]
        aws.retry(
            lambda: aws.ec2(region).modify_image_attribute(
                ImageId=image, LaunchPermission={"Add": add}
            )
        )


def copy(aws: Aws, image: str, wanted: Registration, *, region: str) -> str:
    """The id of an AMI's copy in another region, which an earlier life may have asked for."""
    made = of_token(aws, wanted.token, region=region)
    if made:
        return made[0]["ImageId"]
    answer = aws.retry(
        lambda: aws.ec2(region).copy_image(
            Name=wanted.unique_name,
            Description=f"ImageFactory created AMI - {wanted.token}",
            SourceImageId=image,
            SourceRegion=aws.place.region,
            ClientToken=f"{wanted.token}-{image[-17:]}",
            TagSpecifications=[_tags("image", wanted.tags), _tags("snapshot", wanted.tags)],
        )
    )
    return answer["ImageId"]


def mark(aws: Aws, resources: list[str], *, region: str | None = None, **tags: str) -> None:
    """Give resources more tags."""
    given = [{"Key": key, "Value": value} for key, value in tags.items()]
    aws.retry(lambda: aws.ec2(region).create_tags(Resources=resources, Tags=given))  # type: ignore[arg-type]


def remove(aws: Aws, image: str, login: Ec2Login, *, forget: Callable[[str], None]) -> None:
    """Deregister an AMI, its copies in other regions, and delete the snapshots of all; last its own.

    A delete that died is finished by the next: the snapshots say whose they are.
    """
    held: list[str] = []
    for found in _described(aws, "image-id", image, None):
        tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags", ())}
        if token := tags.get(TOKEN):
            for region in {*login.copies, *tags.get(REGIONS, "").split()} - {login.region}:
                remove_token(aws, token, region=region)
        held = _snapshots_of(found)
        if held:
            mark(aws, held, **{_OF: image})
        _deregister(aws, image, None)
    held += [snapshot["SnapshotId"] for snapshot in snapshots.tagged(aws, _OF, image)]
    for snapshot in dict.fromkeys(held):
        snapshots.delete(aws, snapshot)
        forget(snapshot)


def remove_token(aws: Aws, token: str, *, region: str | None = None) -> list[str]:
    """Remove all that a push has made in one region, whole or not; the snapshots that there were."""
    held: list[str] = []
    for found in of_token(aws, token, region=region):
        held += _snapshots_of(found)
        _deregister(aws, found["ImageId"], region)
    held += [s["SnapshotId"] for s in snapshots.tagged(aws, TOKEN, token, region=region)]
    for snapshot in dict.fromkeys(held):
        snapshots.delete(aws, snapshot, region=region)
    return held


def _deregister(aws: Aws, image: str, region: str | None) -> None:
    from botocore.exceptions import ClientError  # noqa: PLC0415 - an extra

    def try_once() -> None:
        try:
            aws.ec2(region).deregister_image(ImageId=image)
        except ClientError as error:
            if code_of(error) not in _GONE:
                raise

    aws.retry(try_once)


def _described(aws: Aws, key: str, value: str, region: str | None) -> list["ImageTypeDef"]:
    return aws.retry(lambda: _ask(aws, key, value, region))


def _ask(aws: Aws, key: str, value: str, region: str | None) -> list["ImageTypeDef"]:
    """By a filter and not by id: of an AMI that is not known everywhere yet, no error comes."""
    filters: Sequence[FilterTypeDef] = [{"Name": key, "Values": [value]}]
    return aws.ec2(region).describe_images(Owners=["self"], Filters=filters)["Images"]


def _snapshots_of(image: "ImageTypeDef") -> list[str]:
    mappings = image.get("BlockDeviceMappings", ())
    held = (mapping.get("Ebs", {}).get("SnapshotId") for mapping in mappings)
    return [snapshot for snapshot in held if snapshot]


def _tags(kind: Literal["image", "snapshot"], tags: Mapping[str, str]) -> "TagSpecificationTypeDef":
    return {
        "ResourceType": kind,
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }
