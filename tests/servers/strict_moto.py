"""Moto as AWS, which checks and keeps what moto itself takes no notice of.

Runs in the servers' environment. Moto takes wrong checksums and any access key, knows no parent of a
snapshot, and forgets what an AMI is made of; so those requests are answered here.
"""

import base64
import hashlib
import io
import os
import re
from importlib import import_module
from typing import Any, Final

ACCESS_KEY: Final = "AKIAFACTORY0123456789"
READER: Final = "AKIAREADER0123456789"  # may look, and change nothing
_BLOCK: Final = 512 << 10

# A thousand AMIs of other owners, which every listing would go through.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"

ebs: Any = import_module("moto.ebs.responses")
stores: Any = import_module("moto.ebs.models").ebs_backends
amis: Any = import_module("moto.ec2.responses.amis")
models: Any = import_module("moto.ec2.models.amis")
refusal: Any = import_module("moto.ec2.exceptions").EC2ClientError
json_refusal: Any = import_module("moto.core.exceptions").JsonRESTError
done: Any = import_module("moto.core.responses").ActionResult


def digest(data: bytes) -> str:
    """As EBS writes it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


class Ebs(ebs.EBSResponse):  # type: ignore[misc]
    """Snapshots that begin with their parent's blocks, and are whole only when all is right."""

    def start_snapshot(self) -> Any:
        """Made once for a client token."""
        store, token = self.ebs_backend, self._get_param("ClientToken")
        made = [s for s in store.snapshots.values() if getattr(s, "client_token", 0) == token]
        parent = self._get_param("ParentSnapshotId")
        if parent is not None and parent not in store.snapshots:
            raise json_refusal("ResourceNotFoundException", f"no snapshot {parent}")
        result = super().start_snapshot() if not made else None
        snapshot = made[0] if made else list(store.snapshots.values())[-1]
        if not made:
            snapshot.client_token, snapshot.parent, snapshot.changed = token, parent, {}
            snapshot.blocks = dict(store.snapshots[parent].blocks) if parent else {}
            store.ec2_backend.snapshots[snapshot.snapshot_id].status = "pending"
        return result or done({"SnapshotId": snapshot.snapshot_id, "BlockSize": _BLOCK})

    def put_snapshot_block(self) -> Any:
        """Refused unless it is one whole block that hashes to what was said."""
        snapshot, data = self._pending(), self._get_param("BlockData")
        if self._get_param("Checksum") != digest(data) or len(data) != _BLOCK:
            raise json_refusal("ValidationException", "the checksum is another")
        snapshot.changed[int(self._get_param("BlockIndex"))] = hashlib.sha256(data).digest()
        return super().put_snapshot_block()

    def complete_snapshot(self) -> Any:
        """Refused unless as many blocks have come as were said, and those."""
        snapshot = self._pending()
        whole = digest(b"".join(sent for _, sent in sorted(snapshot.changed.items())))
        given = (int(self._get_param("ChangedBlocksCount")), self._get_param("Checksum"))
        if given != (len(snapshot.changed), whole):
            raise json_refusal("ValidationException", "the blocks are others")
        self.ebs_backend.ec2_backend.snapshots[snapshot.snapshot_id].status = "completed"
        return super().complete_snapshot()

    def _pending(self) -> Any:
        snapshot = self.ebs_backend.snapshots.get(self._get_param("SnapshotId"))
        if snapshot is None:
            raise json_refusal("ResourceNotFoundException", "no such snapshot")
        if snapshot.status != "pending":
            raise json_refusal("ValidationException", "the snapshot is whole")
        return snapshot


def register_image(self: Any) -> Any:
    """An AMI that is what was asked for, under a name that no other has."""
    name = self._get_param("Name")
    [mapping] = self._get_param("BlockDeviceMappings")
    self.error_on_dryrun()
    snapshot = self.ec2_backend.snapshots.get(mapping["Ebs"]["SnapshotId"])
    if any(ami.name == name for ami in self.ec2_backend.amis.values()):
        raise refusal("InvalidAMIName.Duplicate", f"{name} is in use")
    if snapshot is None or snapshot.status != "completed":
        raise refusal("InvalidSnapshot.NotFound", "no such snapshot")
    ami = self.ec2_backend.register_image(name, self._get_param("Description"))
    del self.ec2_backend.snapshots[ami.ebs_snapshot.id]
    for word in ("Architecture", "BootMode", "RootDeviceName", "VirtualizationType", "ImdsSupport"):
        setattr(ami, re.sub("(?<!^)(?=[A-Z])", "_", word).lower(), self._get_param(word))
    ami.ena_support, ami.mappings = self._get_param("EnaSupport"), [mapping]
    ami.root_device_type = "ebs"
    ami.ebs_snapshot, snapshot.from_ami = snapshot, ami.id
    _tag(ami, self, "image")
    return done({"ImageId": ami.id})


def copy_image(self: Any) -> Any:
    """With the blocks, and under tags of its own."""
    wanted = [self._get_param(word) for word in ("SourceImageId", "SourceRegion", "Name")]
    ami = self.ec2_backend.copy_image(*wanted, self._get_param("Description"))
    account, region = self.ec2_backend.account_id, self.ec2_backend.region_name
    source = import_module("moto.ec2.models").ec2_backends[account][wanted[1]].amis[wanted[0]]
    held = stores[account][wanted[1]].snapshots[source.ebs_snapshot.id]
    stores[account][region].snapshots[ami.ebs_snapshot.id] = held
    ami.ebs_snapshot.from_ami = ami.id
    _tag(ami, self, "image")
    _tag(ami.ebs_snapshot, self, "snapshot")
    return done({"ImageId": ami.id})


def _tag(resource: Any, asked: Any, kind: str) -> None:
    for given in asked._get_param("TagSpecifications", []):
        if given["ResourceType"] == kind:
            resource.add_tags({tag["Key"]: tag["Value"] for tag in given["Tags"]})


def _mappings(self: Any) -> list[Any]:
    own = [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": self.ebs_snapshot.id}}]
    return getattr(self, "mappings", own)


ebs_urls: Any = import_module("moto.ebs.urls")
ebs_urls.url_paths = dict.fromkeys(ebs_urls.url_paths, Ebs.dispatch)
amis.AmisResponse.register_image = register_image
amis.AmisResponse.copy_image = copy_image
models.Ami.block_device_mappings = property(_mappings)

moto: Any = import_module("moto.server")
_DENIED: Final = "AccessDeniedException"
_inner = moto.DomainDispatcherApplication(moto.create_backend_app)
_XML: Final = (
    b"<Response><Errors><Error><Code>AuthFailure</Code><Message>who?</Message></Error></Errors>"
    b"<Error><Code>InvalidClientTokenId</Code><Message>who?</Message></Error></Response>"
)


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """Refuse whoever is not our one user or one of his roles."""
    signed = re.search(r"Credential=([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    known = signed is None or signed[1] == ACCESS_KEY or signed[1].startswith("ASIA")
    if known:
        return _inner(environ, start_response)
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if signed and signed[1] == READER:
        if re.search(rb"Action=(Describe|GetCaller)", body):
            environ["wsgi.input"] = io.BytesIO(body)
            return _inner(environ, start_response)
        if "/ebs/" in environ["HTTP_AUTHORIZATION"]:
            words = [("Content-Type", "application/json"), ("x-amzn-ErrorType", _DENIED)]
            start_response("403 Forbidden", words)
            return [b'{"Message": "no"}']
        start_response("403 Forbidden", [("Content-Type", "text/xml")])
        return [_XML.replace(b"AuthFailure", b"UnauthorizedOperation")]
    start_response("403 Forbidden", [("Content-Type", "text/xml")])
    return [_XML]
