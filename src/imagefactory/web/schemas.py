"""The shapes of requests and answers, as JSON Schema: what the OpenAPI document is made with."""

from collections.abc import Mapping
from typing import Any, Final

from imagefactory.core.images import KINDS, BaseImage, Image, ProviderImage, Status, TargetImage

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
_NULLABLE: Final[Schema] = {"type": ["string", "null"]}
_ADDRESS: Final[Schema] = {"type": "string", "format": "uri"}
_OBJECT: Final[Schema] = {"type": "object"}
_PERCENT: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 100}
_BOOLEAN: Final[Schema] = {"type": "boolean"}
_GIVEN: Final[Schema] = {"type": "string", "minLength": 1}
_TEMPLATE: Final[Schema] = {**_GIVEN, "description": "A template in TDL"}


def ref(name: str) -> Schema:
    """A schema of the document, by name."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(fields: Mapping[str, Schema], *, optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object with exactly these keys."""
    return {
        "type": "object",
        "properties": {**fields, **(optional or {})},
        "required": list(fields),
        "additionalProperties": False,
    }


def many(noun: str, item: Schema) -> Schema:
    """A list of things, each under its own noun."""
    return record({f"{noun}s": {"type": "array", "items": record({noun: item})}})


def request_of(kind: type[Image]) -> Schema:
    """What a POST to a collection brings; a parent's id may stand in the path instead."""
    parameters: Schema = {
        "type": "object",
        "description": "How to build; what no plugin knows is passed over",
    }
    match kind.noun:
        case "base_image":
            fields, wanted = {"template": _TEMPLATE}, ["template"]
        case "target_image":
            fields = {"target": _GIVEN, "base_image_id": _GIVEN, "template": _TEMPLATE}
            wanted = ["target"]
        case _:
            wanted = ["provider", "target"]  # a configured provider has credentials of its own
            names = [*wanted, "credentials", "target_image_id"]
            fields = dict.fromkeys(names, _GIVEN) | {"template": _TEMPLATE}
    return {
        "type": "object",
        "properties": {**fields, "parameters": parameters},
        "required": wanted,
        "xml": {"name": kind.noun},
    }


def components() -> dict[str, Schema]:
    """All schemas that have a name."""
    named: dict[str, Schema] = {
        "Status": {"type": "string", "enum": [str(status) for status in Status]},
        "Problem": record(
            {"title": TEXT, "status": {"type": "integer"}, "detail": TEXT},
            optional={"code": TEXT, "hint": TEXT},
        ),
        "Version": record({"name": TEXT, "version": TEXT, "api_version": TEXT}),
        "Plugin": _plugin(),
        "Plugins": record({"plugins": {"type": "array", "items": ref("Plugin")}}),
        "Targets": many("target", _reference("target")),
        "Target": _target(),
        "Providers": many("provider", _reference("provider")),
        "Provider": record(
            {"provider": record(_keys("provider") | {"target": _reference("target")})}
        ),
        "Artifacts": many("artifact", _artifact()),
        "Difference": _difference(),
        "Verdict": _verdict(),
        "TemplateCheck": _check(),
        "TemplateRequest": record({"template": _TEMPLATE}),
        "DeleteRequest": _deletion(),
        "Health": record({"status": TEXT}),
        "Jeos": {"type": "object", "additionalProperties": TEXT},
        "JeosImages": {"type": "object", "additionalProperties": _OBJECT},
    }
    for kind in KINDS.values():
        named[f"{kind.kind}Request"] = request_of(kind)
        named[f"{kind.kind}Created"] = record({kind.noun: record(_common(kind) | _links(kind))})
        named[f"{kind.kind}Detail"] = record({kind.noun: record(_common(kind) | _relatives(kind))})
        named[f"{kind.kind}List"] = many(kind.noun, _reference(kind.kind))
    return named


def _keys(type_: str) -> dict[str, Schema]:
    return {"_type": {"const": type_}, "id": TEXT, "href": _ADDRESS}


def _reference(type_: str) -> Schema:
    return record(_keys(type_))


def _common(kind: type[Image]) -> dict[str, Schema]:
    fields: dict[str, Schema] = {
        **_keys(kind.kind),
        "status": ref("Status"),
        "status_detail": record({"activity": TEXT, "error": _NULLABLE}),
        "percent_complete": _PERCENT,
        "icicle": _NULLABLE,
        "parameters": {"type": ["object", "null"]},
        "properties": _OBJECT,
        "template": _NULLABLE,
    }
    if kind is TargetImage:
        fields["target"] = TEXT
    if kind is ProviderImage:
        fields |= {
            "provider": TEXT,
            "identifier_on_provider": _NULLABLE,
            "provider_account_identifier": _NULLABLE,
        }
    return fields


def _links(kind: type[Image]) -> dict[str, Schema]:
    if kind is TargetImage:
        return {"base_image_id": _NULLABLE}
    return {"target_image_id": _NULLABLE} if kind is ProviderImage else {}


def _relatives(kind: type[Image]) -> dict[str, Schema]:
    relatives: dict[str, Schema] = {}
    if kind is BaseImage:
        relatives["target_images"] = many("target_image", _reference("TargetImage"))
    if kind is TargetImage:
        relatives["base_image"] = {"anyOf": [_reference("BaseImage"), {"type": "null"}]}
        relatives["provider_images"] = many("provider_image", _reference("ProviderImage"))
    if kind is ProviderImage:
        relatives["target_image"] = {"anyOf": [_reference("TargetImage"), {"type": "null"}]}
    return relatives


def _plugin() -> Schema:
    """A plugin, or in its place why it could not be loaded."""
    maintainer = record({"name": TEXT, "email": TEXT, "url": TEXT})
    texts = dict.fromkeys(("description", "version", "license"), TEXT)
    working = {
        "type": {"enum": ["os", "cloud"]},
        "maintainer": maintainer,
        "targets": {"type": "array", "items": {"type": "array", "items": _NULLABLE}},
    }
    failed = record(_keys("plugin") | {"ERROR": TEXT})
    return {"anyOf": [record(_keys("plugin") | texts | working), failed]}


def _target() -> Schema:
    providers = many("provider", _reference("provider"))
    fields = _keys("target") | {"plugin": _reference("plugin"), "providers": providers}
    return record({"target": record(fields)})


def _artifact() -> Schema:
    size: Schema = {"type": "integer", "minimum": 0}
    return record({"_type": {"const": "artifact"}, "name": TEXT, "size": size, "href": _ADDRESS})


def _difference() -> Schema:
    """What differs; null stands for what was not recorded, or is not there."""

    def changes(noun: str, key: str, value: Schema) -> Schema:
        change = record({key: TEXT, "from": value, "to": value})
        return {"anyOf": [{"type": "array", "items": record({noun: change})}, {"type": "null"}]}

    side = record({"id": TEXT, "size": {"type": ["integer", "null"], "minimum": 0}})
    entry = record(
        dict.fromkeys(("type", "mode", "owner"), TEXT)
        | {"size": {"type": "integer"}, "sha256": _NULLABLE, "link": _NULLABLE}
    )
    facts = {
        "from": side,
        "to": side,
        "kernel_arguments": changes("kernel_argument", "argument", {"type": ["boolean", "null"]}),
        "packages": changes("package", "name", _NULLABLE),
        "files": changes("file", "path", {"anyOf": [entry, {"type": "null"}]}),
    }
    return record({"diff": record(facts)})


def _verdict() -> Schema:
    """What was looked at; `fine` is null for what the build has left nothing of."""
    finding = record({"subject": TEXT, "fine": {"type": ["boolean", "null"]}, "detail": TEXT})
    findings: Schema = {"type": "array", "items": finding}
    return record({"verdict": record({"fine": _BOOLEAN, "findings": findings})})


def _check() -> Schema:
    fault = record({"line": {"type": "integer"}, "message": TEXT})
    faults: Schema = {"type": "array", "items": fault}
    return record({"template": record({"valid": _BOOLEAN, "name": _NULLABLE, "faults": faults})})


def _deletion() -> Schema:
    parameters: Schema = {"type": "object", "properties": {"forget": _BOOLEAN}}
    fields = {"provider": TEXT, "credentials": TEXT, "target": TEXT, "parameters": parameters}
    return {"type": "object", "properties": fields, "xml": {"name": "provider_image"}}
