"""How images, plugins and targets look over HTTP: the documented keys, no more and no less."""

from collections.abc import Iterable, Mapping
from typing import Any

from imagefactory.core.images import BaseImage, Image, ProviderImage, TargetImage
from imagefactory.core.masking import masked, masked_text
from imagefactory.core.redaction import redacted
from imagefactory.store.rows import Event, Summary

View = dict[str, Any]


def listed(noun: str, images: Iterable[Image | Summary], here: str) -> View:
    """A collection: each image by type, id and address below `here`."""
    return {f"{noun}s": [{noun: _reference(image, f"{here}/{image.id}")} for image in images]}


def created(image: Image, here: str) -> View:
    """The answer to a POST at `here`."""
    view = _common(image, f"{here}/{image.id}", template=image.template)
    match image:
        case TargetImage():
            view |= {"target": image.target, "base_image_id": image.base_image_id}
        case ProviderImage():
            view |= _provider(image) | {"target_image_id": image.target_image_id}
    return {image.noun: view}


def detailed(
    image: Image,
    here: str,
    *,
    root: str,
    relatives: Mapping[str, Image | Iterable[Summary] | None],
    secretive: bool = False,
) -> View:
    """One image at the address `here`; `relatives` are its parent and children by their API word.

    With `secretive` its template is shown without passwords.
    """
    template = redacted(image.template) if secretive and image.template else image.template
    view = _common(image, here, template=template)
    match image:
        case TargetImage():
            view["target"] = image.target
        case ProviderImage():
            view |= _provider(image)
    for word, relative in relatives.items():
        match relative:
            case None:
                view[word] = None
            case Image():
                view[word] = _reference(relative, f"{root}/{relative.noun}s/{relative.id}")
            case _:
                view[word] = listed(word.removesuffix("s"), relative, f"{root}/{word}")
    return {image.noun: view}


def parent_word(image: Image) -> str | None:
    """The word under which an image shows its parent."""
    match image:
        case TargetImage():
            return BaseImage.noun
        case ProviderImage():
            return TargetImage.noun
    return None


def child_kind(image: Image) -> type[Image] | None:
    """The kind of image that is made from this one."""
    match image:
        case BaseImage():
            return TargetImage
        case TargetImage():
            return ProviderImage
    return None


def plugin(info: Mapping[str, Any], root: str) -> View:
    """One plugin, as the registry describes it."""
    return {"_type": "plugin", **info, "href": f"{root}/plugins/{info['id']}"}


def event(event: Event) -> View:
    """One change of an image."""
    return {
        "_type": event.kind,
        "id": event.image_id,
        "time": event.time.isoformat(),
        "status": event.status,
        "status_detail": {"activity": event.activity, "error": event.error},
        "percent_complete": event.percent,
    }


def _reference(image: Image | Summary, href: str) -> View:
    return {"_type": image.kind, "id": image.id, "href": href}


def _common(image: Image, href: str, *, template: str | None) -> View:
    return {
        **_reference(image, href),
        "status": image.status,
        "status_detail": {"activity": image.activity, "error": image.error},
        "percent_complete": image.percent,
        "icicle": image.icicle,
        "parameters": masked(image.parameters),
        "properties": masked(image.properties),
        "template": template,
    }


def _provider(image: ProviderImage) -> View:
    return {
        "provider": masked_text(image.provider),
        "identifier_on_provider": image.identifier_on_provider,
        "provider_account_identifier": image.provider_account_identifier,
    }
