"""Renders a bill of materials as an SPDX 2.3 document: every package, and every file with its digests."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from imagefactory.core.bill import Bill, Installed, Supplier

_SYSTEM: Final = "SPDXRef-System"
_NONE: Final = "NOASSERTION"
_UNFIT: Final = re.compile(r"[^A-Za-z0-9.-]")  # in an identifier

Element = dict[str, Any]


def render(bill: Bill) -> str:
    """JSON with a line for each element, so that two documents can be compared."""
    paths = _Owned(bill)
    packages = [_system(bill, paths.others())]
    packages += [_package(bill, package, paths.of(package)) for package in bill.packages]
    contained = [
        {
            "spdxElementId": _SYSTEM,
            "relationshipType": "CONTAINS",
            "relatedSpdxElement": _package_id(package),
        }
        for package in bill.packages
    ]
    head = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": bill.name,
        "documentNamespace": f"urn:uuid:{bill.id}",
        "creationInfo": {
            "created": f"{datetime.fromtimestamp(bill.epoch, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "creators": [f"Tool: imagefactory-{bill.tool}"],
        },
        "documentDescribes": [_SYSTEM],
    }
    lists = {
        "packages": packages,
        "hasExtractedLicensingInfos": _texts(bill.packages),
        "files": [_file(bill, path) for path in sorted(bill.files)],
        "relationships": contained,
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    lines += [f"{json.dumps(key)}: {_lines(value)}" for key, value in lists.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


class _Owned:
    """Which files of a system belong to which package.

    A package may name a file by a folder that is a link, as those that were made before `/bin` became one do.
    """

    def __init__(self, bill: Bill) -> None:
        self._files = bill.files
        self._by_package = {id(package): self._found(package.files) for package in bill.packages}

    def of(self, package: Installed) -> list[str]:
        return self._by_package[id(package)]

    def others(self) -> list[str]:
        """What no package has brought."""
        return sorted(set(self._files).difference(*self._by_package.values()))

    def _found(self, paths: Iterable[str]) -> list[str]:
        places = (path if path in self._files else f"/usr{path}" for path in paths)
        return sorted({path for path in places if path in self._files})


def _system(bill: Bill, paths: list[str]) -> Element:
    return {
        "SPDXID": _SYSTEM,
        "name": bill.name,
        "versionInfo": bill.release,
        "primaryPackagePurpose": "OPERATING-SYSTEM",
        "downloadLocation": _NONE,
        "licenseConcluded": _NONE,
        "licenseDeclared": _NONE,
        "copyrightText": _NONE,
        **_analysed(bill, paths),
    }


def _package(bill: Bill, package: Installed, paths: list[str]) -> Element:
    element: Element = {
        "SPDXID": _package_id(package),
        "name": package.name,
        "versionInfo": package.version
        if package.epoch is None
        else f"{package.epoch}:{package.version}",
        "supplier": _supplier(package.supplier),
        "downloadLocation": package.url or _NONE,
        "licenseConcluded": _NONE,
        "licenseDeclared": package.licensing.expression or _NONE,
        "copyrightText": _NONE,
        "sourceInfo": f"built from {package.source} {package.source_version or package.version}",
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": bill.package_url(package),
            }
        ],
    }
    if package.url is not None:
        element["packageFileName"] = package.url.rpartition("/")[2]
    if package.sha256 is not None:
        element["checksums"] = [{"algorithm": "SHA256", "checksumValue": package.sha256}]
    if package.homepage is not None:
        element["homepage"] = package.homepage
    if package.summary is not None:
        element["summary"] = package.summary
    return {**element, **_analysed(bill, paths)}


def _analysed(bill: Bill, paths: list[str]) -> Element:
    """The files of a package, and one digest over theirs (SPDX 2.3, section 7.9)."""
    if not paths:
        return {"filesAnalyzed": False}
    sums = "".join(sorted(bill.files[path].sha1 for path in paths))
    code = hashlib.sha1(sums.encode(), usedforsecurity=False).hexdigest()
    return {
        "filesAnalyzed": True,
        "packageVerificationCode": {"packageVerificationCodeValue": code},
        "hasFiles": [_file_id(path) for path in paths],
    }


def _supplier(supplier: Supplier | None) -> str:
    if supplier is None:
        return _NONE
    kind = "Person" if supplier.person else "Organization"
    return f"{kind}: {supplier.name}" + (f" ({supplier.email})" if supplier.email else "")


def _texts(packages: Iterable[Installed]) -> list[Element]:
    texts: dict[str, str] = {}
    for package in packages:
        texts |= package.licensing.texts
    return [{"licenseId": name, "extractedText": texts[name]} for name in sorted(texts)]


def _file(bill: Bill, path: str) -> Element:
    digests = bill.files[path]
    return {
        "SPDXID": _file_id(path),
        "fileName": f".{path}",
        "checksums": [
            {"algorithm": "SHA1", "checksumValue": digests.sha1},
            {"algorithm": "SHA256", "checksumValue": digests.sha256},
        ],
    }


@lru_cache(maxsize=1 << 16)  # asked of each file twice, and of most again for the next target
def _file_id(path: str) -> str:
    name = hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()
    return f"SPDXRef-File-{name[:20]}"


def _package_id(package: Installed) -> str:
    name = f"{package.name}-{package.version}-{package.arch}"
    return "SPDXRef-Package-" + _UNFIT.sub(lambda sign: f".{ord(sign[0]):02X}", name)


def _lines(elements: Iterable[Mapping[str, Any]]) -> str:
    return "[\n" + ",\n".join(map(json.dumps, elements)) + "\n]"
