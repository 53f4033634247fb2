"""What a request for an image has to hold: all checks that need no look at the world."""

import json
import uuid
from collections.abc import Mapping
from typing import Any

from imagefactory.builds.planner import Planner
from imagefactory.builds.strictness import refuse_unknown
from imagefactory.core.errors import RequestError, TemplateError
from imagefactory.core.images import BaseImage, Image, ProviderImage, TargetImage
from imagefactory.core.masking import masked_text
from imagefactory.core.parameters import Parameters
from imagefactory.core.secret import REDACTED, Secret
from imagefactory.core.template import Template, parse


def new_id() -> str:
    """An id for a new image."""
    return str(uuid.uuid4())


def text(value: object, *, key: str) -> str | None:
    """A text from a request; an empty one counts as none. `RequestError` for anything else."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        msg = f'The value of "{key}" is not a text'
        raise RequestError(msg)
    return value


def either(template: str | None, parent_id: str | None, *, parent: type[Image]) -> None:
    """`RequestError` unless an image is made from one thing: a template, or an image that exists."""
    if template is not None and parent_id is not None:
        msg = f"Must specify either a template or a {parent.kind} ID, not both"
        raise RequestError(msg)
    if template is None and parent_id is None:
        msg = f"Must specify either a template or a {parent.kind} ID"
        raise RequestError(msg)


def provider_keys(
    provider: str | None, credentials: Secret | None, target: str | None
) -> tuple[str, Secret, str]:
    """All that a push needs; `RequestError` in the original's words when one is missing."""
    if provider and credentials and target:
        return provider, credentials, target
    shown = masked_text(provider) if provider else None
    hidden = REDACTED if credentials else None
    msg = (
        "Missing key/value pair: "
        f"provider({shown}), credentials({hidden}), target({target or None})"
    )
    raise RequestError(msg)


def wants_snapshot(parameters: Mapping[str, Any] | None, *, template: str | None) -> bool:
    """Whether the provider is to build the image itself; `RequestError` without a template for that."""
    wanted = Parameters(parameters or {}).boolean("snapshot", default=False)
    if wanted and template is None:
        msg = "Must specify a template when requesting a snapshot-style build"
        raise RequestError(msg)
    return wanted


def labels(parameters: Mapping[str, Any] | None) -> dict[str, str]:
    """The `labels` of a request: texts by name, as JSON where the client has nothing but texts."""
    given = (parameters or {}).get("labels")
    if isinstance(given, str):
        try:
            given = json.loads(given or "{}")
        except ValueError:
            given = False
    found = {} if given is None else given
    if isinstance(found, Mapping):
        texts = {name: str(value) for name, value in found.items() if _is_label(value)}
        if len(texts) == len(found):
            return texts
    msg = 'The parameter "labels" is not an object of texts'
    raise RequestError(msg, hint='Write {"team": "web"}')


def _is_label(value: object) -> bool:
    # XML has no types: what looks like a number there was meant as a text.
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def checked_name(document: str, parameters: Mapping[str, Any] | None) -> str | None:
    """The name in a template; None for what is no valid TDL, which the image's build will say.

    Clients poll for that; with the parameter `strict` they hear it at once, as `TemplateError`.
    """
    try:
        return parse(document).name
    except TemplateError:
        if is_strict(parameters):
            raise
        return None


def is_strict(parameters: Mapping[str, Any] | None) -> bool:
    """Whether every mistake is to be answered with a refusal."""
    return Parameters(parameters or {}).boolean("strict", default=False)


def check_plan(
    planner: Planner, image: BaseImage | TargetImage, *, source: str | None = None
) -> None:
    """`RequestError` when a parameter of the image is wrong for the plugins that will build it.

    `source` is the target of the image that it is made from, if that is a target image.

    A template that no plugin builds is recorded and fails, as clients expect; it is refused only under
    `strict`.
    """
    try:
        template = parse(image.template or "")
        _plan(planner, image, template, parameters={}, source=source)
    except RequestError:
        if is_strict(image.parameters):
            raise
        return
    if is_strict(image.parameters):
        refuse_unknown(planner, template, image.parameters)
    _plan(planner, image, template, parameters=image.parameters, source=source)


def _plan(
    planner: Planner,
    image: BaseImage | TargetImage,
    template: Template,
    *,
    parameters: Mapping[str, Any] | None,
    source: str | None,
) -> None:
    match image:
        case BaseImage():
            planner.base(template, Parameters(parameters or {}))
        case TargetImage():
            given = Parameters(parameters or {})
            planner.target(image.target, template, given, source=source)


def check_login(planner: Planner, image: ProviderImage, credentials: Secret) -> None:
    """`RequestError` when the plugin of the target does not understand the provider or credentials.

    A target that no plugin serves is recorded and fails, as clients expect, except under `strict`; so is a
    template that is not valid, from which the provider was to build the image itself.
    """
    try:
        planner.registry.cloud(image.target)
    except RequestError:
        if is_strict(image.parameters):
            raise
        return
    try:
        planner.provider(image, credentials)
    except TemplateError:
        if is_strict(image.parameters):
            raise
