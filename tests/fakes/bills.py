"""Holds bills of materials against the official schema of CycloneDX and the SPDX project's own validator."""

import json
import warnings
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.jsonlikedict.json_like_dict_parser import JsonLikeDictParser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document


def check_cyclonedx(text: str) -> dict[str, Any]:
    """The document, which holds to the schema of CycloneDX 1.6."""
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert fault is None, fault
    document: dict[str, Any] = json.loads(text)
    return document


def check_spdx(text: str, *, files: int = 1000) -> dict[str, Any]:
    """The document, which holds to SPDX 2.3.

    The validator looks every element up among all others, and would take minutes for a whole system: of
    its packages all are checked, of each the first `files` files.
    """
    document: dict[str, Any] = json.loads(text)
    shortened = json.loads(text)
    kept = set()
    for package in shortened["packages"]:
        if "hasFiles" in package:
            package["hasFiles"] = package["hasFiles"][:files]
            kept.update(package["hasFiles"])
    shortened["files"] = [file for file in shortened["files"] if file["SPDXID"] in kept]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parsed = JsonLikeDictParser().parse(shortened)  # type: ignore[no-untyped-call]
        faults = validate_full_spdx_document(parsed)
    assert not faults, [fault.validation_message for fault in faults]
    return document
