"""Renders a bill of materials as a CycloneDX 1.6 document: every package, for those who look for flaws."""

import json
from datetime import UTC, datetime
from typing import Any, Final

from imagefactory.core.bill import Bill, Installed

_SYSTEM: Final = "system"

Element = dict[str, Any]


def render(bill: Bill) -> str:
    """JSON with a line for each component. Files are left to SPDX: no scanner of this format reads them."""
    components = [_component(bill, package) for package in bill.packages]
    head: Element = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{bill.id}",
        "version": 1,
        "metadata": {
            "timestamp": f"{datetime.fromtimestamp(bill.epoch, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "tools": {
                "components": [
                    {"type": "application", "name": "imagefactory", "version": bill.tool}
                ]
            },
            "component": {
                "type": "operating-system",
                "bom-ref": _SYSTEM,
                "name": bill.distribution,
                "version": bill.release,
                "description": bill.name,
            },
        },
    }
    dependencies = [{"ref": _SYSTEM, "dependsOn": [each["bom-ref"] for each in components]}]
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    lines.append('"components": [\n' + ",\n".join(map(json.dumps, components)) + "\n]")
    lines.append(f'"dependencies": {json.dumps(dependencies)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _component(bill: Bill, package: Installed) -> Element:
    url = bill.package_url(package)
    element: Element = {"type": "library", "bom-ref": url}
    if package.supplier is not None:
        element["supplier"] = {"name": package.supplier.name}
        if package.supplier.email:
            element["supplier"]["contact"] = [{"email": package.supplier.email}]
    element["name"] = package.name
    element["version"] = (
        package.version if package.epoch is None else f"{package.epoch}:{package.version}"
    )
    if package.summary is not None:
        element["description"] = package.summary
    if package.sha256 is not None:
        element["hashes"] = [{"alg": "SHA-256", "content": package.sha256}]
    if package.licensing.expression is not None:
        element["licenses"] = [
            {"expression": package.licensing.expression, "acknowledgement": "declared"}
        ]
    element["purl"] = url
    references = {"distribution": package.url, "website": package.homepage}
    element["externalReferences"] = [
        {"type": kind, "url": place} for kind, place in references.items() if place is not None
    ]
    element["properties"] = [
        {"name": "imagefactory:source", "value": package.source},
        {
            "name": "imagefactory:source-version",
            "value": package.source_version or package.version,
        },
    ]
    return element
