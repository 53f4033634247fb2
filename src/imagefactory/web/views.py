"""How images, plugins and targets look over HTTP: the documented keys, no more and no less."""

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from imagefactory.core.images import KINDS, BaseImage, Image, ProviderImage, TargetImage
from imagefactory.core.masking import masked, masked_text
from imagefactory.core.redaction import redacted
from imagefactory.store.rows import Event, Family, Summary

View = dict[str, Any]

_ROWS: Final = 5000  #: of lists that are kept encoded; some hundred bytes each

_NOUNS: Final = {kind.kind: kind.noun for kind in KINDS.values()}
#: what an image was made from, and what is made from it
_RELATIVES: Final[Mapping[type[Image], tuple[type[Image] | None, type[Image] | None]]] = {
    BaseImage: (None, TargetImage),
    TargetImage: (BaseImage, ProviderImage),
    ProviderImage: (TargetImage, None),
}


def listed(noun: str, images: Iterable[Image | Summary], here: str) -> View:
    """A collection: each image by type, id and address below `here`."""
    return {f"{noun}s": [{noun: _reference(image, f"{here}/{image.id}")} for image in images]}


def listed_in_json(noun: str, images: Iterable[Summary], here: str) -> str:
    """`listed`, encoded: what a list shows of an image never changes, and clients poll the same lists."""
    rows = ",".join([_row(noun, image, here) for image in images])
    return f'{{"{noun}s":[{rows}]}}'


@lru_cache(maxsize=_ROWS)
def _row(noun: str, image: Summary, here: str) -> str:
    view = {noun: _reference(image, f"{here}/{image.id}")}
    return json.dumps(view, ensure_ascii=False, separators=(",", ":"))


def created(image: Image, here: str) -> View:
    """The answer to a POST at `here`."""
    view = _common(image, f"{here}/{image.id}", template=image.template)
    match image:
        case TargetImage():
            view |= {"target": image.target, "base_image_id": image.base_image_id}
        case ProviderImage():
            view |= _provider(image) | {"target_image_id": image.target_image_id}
    return {image.noun: view}


def detailed(family: Family, here: str, *, root: str, secretive: bool = False) -> View:
    """One image at the address `here`, with its parent and its children by their API words.

    With `secretive` its template is shown without passwords.
    """
    image = family.image
    template = redacted(image.template) if secretive and image.template else image.template
    view = _common(image, here, template=template)
    match image:
        case TargetImage():
            view |= {"target": image.target}
        case ProviderImage():
            view |= _provider(image)
    view |= _relatives(family, root)
    return {image.noun: view}


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


def _relatives(family: Family, root: str) -> View:
    """An image's parent and children: null and an empty list where its kind has some and it has none."""
    made_from, made_into = _RELATIVES[type(family.image)]
    view: View = {}
    if made_from is not None:
        # A target image may be packed from another one, which it shows under the word of a base.
        parent = family.parent
        view[made_from.noun] = parent and _reference(
            parent, f"{root}/{_NOUNS[parent.kind]}s/{parent.id}"
        )
    if made_into is not None:
        noun = made_into.noun
        view[f"{noun}s"] = listed(noun, family.children, f"{root}/{noun}s")
    return view


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
