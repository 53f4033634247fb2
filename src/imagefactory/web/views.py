"""How images and plugins look over HTTP: the documented keys, no more and no less."""

from collections.abc import Iterable, Mapping
from typing import Any

from imagefactory.core.images import BaseImage, Image, ProviderImage, TargetImage

View = dict[str, Any]


def listed(noun: str, images: Iterable[Image], here: str) -> View:
    """A collection: each image by type, id and address below `here`."""
    return {f"{noun}s": [{noun: _reference(image, f"{here}/{image.id}")} for image in images]}


def created(image: Image, here: str) -> View:
    """The answer to a POST at `here`."""
    view = _common(image, f"{here}/{image.id}")
    match image:
        case TargetImage():
            view |= {"target": image.target, "base_image_id": image.base_image_id}
        case ProviderImage():
            view |= _provider(image) | {"target_image_id": image.target_image_id}
    return {image.noun: view}


def detailed(
    image: Image, here: str, *, root: str, relatives: Mapping[str, Image | list[Image] | None]
) -> View:
    """One image at the address `here`; `relatives` are its parent and children by their API word."""
    view = _common(image, here)
    match image:
        case TargetImage():
            view["target"] = image.target
        case ProviderImage():
            view |= _provider(image)
    for word, relative in relatives.items():
        match relative:
            case list():
                noun = word.removesuffix("s")
                view[word] = listed(noun, relative, f"{root}/{word}")
            case None:
                view[word] = None
            case Image():
                view[word] = _reference(relative, f"{root}/{word}s/{relative.id}")
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


def _reference(image: Image, href: str) -> View:
    return {"_type": image.kind, "id": image.id, "href": href}


def _common(image: Image, href: str) -> View:
    return _reference(image, href) | {
        "status": image.status.value,
        "status_detail": {"activity": image.activity, "error": image.error},
        "percent_complete": image.percent,
        "icicle": image.icicle,
        "parameters": None if image.parameters is None else dict(image.parameters),
        "properties": dict(image.properties),
        "template": image.template,
    }


def _provider(image: ProviderImage) -> View:
    return {
        "provider": image.provider,
        "identifier_on_provider": image.identifier_on_provider,
        "provider_account_identifier": image.provider_account_identifier,
    }
