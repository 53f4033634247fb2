"""A factory behind a daemon's API, for the commands that would else work in this process."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from imagefactory.builds.artifacts import Artifact
from imagefactory.cli.connection import Connection
from imagefactory.cli.service import Given
from imagefactory.core.errors import NotFound, TemplateError
from imagefactory.core.images import KINDS, BaseImage, Image, ProviderImage, Status, TargetImage
from imagefactory.core.secret import Secret
from imagefactory.core.template import parse
from imagefactory.core.verdict import Verdict
from imagefactory.store.meta import has, is_id, metadata
from imagefactory.store.rows import Event

_LINKS: Final = ("_type", "href")
_CHUNK: Final = 64 << 10


@dataclass(frozen=True, kw_only=True)
class Remote:
    """The same calls as `builds.factory.Factory`, each a request or a few."""

    connection: Connection
    #: image -> the word of its collection, which its address needs and its id does not say
    nouns: dict[str, str] = field(default_factory=dict)

    # Creating

    def create_base_image(self, *, template: object, parameters: Given = None) -> Image:
        """Build a base image from a template."""
        return self._create(BaseImage, template=template, parameters=parameters)

    def create_target_image(
        self,
        *,
        target: object,
        base_image_id: object = None,
        template: object = None,
        parameters: Given = None,
    ) -> Image:
        """Build a target image, from a base image or from a template."""
        return self._create(
            TargetImage,
            target=target,
            base_image_id=base_image_id,
            template=template,
            parameters=parameters,
        )

    def create_provider_image(
        self,
        *,
        provider: object,
        credentials: Secret | None,
        target: object,
        target_image_id: object = None,
        template: object = None,
        parameters: Given = None,
    ) -> Image:
        """Push a target image, or build all from a template and push that."""
        return self._create(
            ProviderImage,
            provider=provider,
            credentials=None if credentials is None else credentials.reveal(),
            target=target,
            target_image_id=target_image_id,
            template=template,
            parameters=parameters,
        )

    # Looking

    def find(self, image_id: str) -> Image | None:
        """The image with this id, of any kind."""
        if not is_id(image_id):
            return None
        known = self.nouns.get(image_id)
        for noun in KINDS if known is None else (known,):
            with suppress(NotFound):
                found = self.connection.get(f"/{noun}s/{_part(image_id)}")
                return self._image(noun, found[noun])
        return None

    def query(self, spec: Mapping[str, Any]) -> Sequence[Image]:
        """The images whose metadata has exactly these values, each kind oldest first."""
        found = (self.find(image_id) for image_id in self._candidates(spec))
        images = [image for image in found if image is not None]
        return [image for image in images if has(metadata(image, body=self.body(image.id)), spec)]

    def events(
        self, *, after: int = 0, image_id: str | None = None, limit: int = 1000
    ) -> Sequence[Event]:
        """What has happened since the event `after`, oldest first."""
        path = "/events" if image_id is None else f"{self._path(image_id)}/events"
        events: list[Event] = []
        with self.connection.stream("GET", path, params={"after": after}) as response:
            number = 0
            for line in response.iter_lines():
                name, colon, value = line.partition(":")
                if colon and not name:
                    break  # a comment: all that has happened so far was told
                if name == "id":
                    number = int(value)
                elif name == "data":
                    events.append(_event(number, json.loads(value)))
                    if len(events) == limit:
                        break
        return events

    def body(self, image_id: str) -> str:
        """The address of the body of an image."""
        return f"{self.connection.url}{self._path(image_id)}/raw_image"

    def log(self, image_id: str, *, offset: int = 0) -> bytes:
        """The log of an image from this byte on."""
        path = f"{self._path(image_id)}/log"
        return self.connection.send("GET", path, params={"offset": offset}).content

    def artifacts(self, image_id: str) -> Sequence[Artifact]:
        """The files beside the body of an image, by name."""
        found = self.connection.get(f"{self._path(image_id)}/artifacts")["artifacts"]
        shown = [entry["artifact"] for entry in found]
        return [Artifact(name=a["name"], size=a["size"], location=a["href"]) for a in shown]

    @contextmanager
    def artifact(self, image_id: str, name: str) -> Iterator[Iterator[bytes]]:
        """The content of one of these files; `NotFound` when there is none of this name."""
        path = f"{self._path(image_id)}/artifacts/{_part(name)}"
        with self.connection.stream("GET", path) as response:
            yield response.iter_bytes(_CHUNK)

    def diff(self, image_id: str, other_id: str) -> Mapping[str, Any]:
        """How the second image differs from the first."""
        if self.find(other_id) is None:
            raise _missing(other_id)
        facts: Mapping[str, Any] = self.connection.get(f"{self._path(image_id)}/diff/{other_id}")[
            "diff"
        ]
        return facts

    def verify(self, image_id: str) -> Verdict:
        """What the daemon finds when it reads the image."""
        found = self.connection.wait_for(f"{self._path(image_id)}/verify")
        return Verdict.read(found["verdict"])

    def verify_file(self, sha256: str) -> Verdict:
        """The same for a body that lies here, by its digest."""
        return Verdict.read(self.connection.get(f"/verify/{_part(sha256)}")["verdict"])

    def plugins(self) -> Sequence[Mapping[str, Any]]:
        """What all plugins say of themselves."""
        return [_plain(plugin) for plugin in self.connection.get("/plugins")["plugins"]]

    def plugin(self, plugin_id: str) -> Mapping[str, Any]:
        """What one plugin says of itself."""
        return _plain(self.connection.get(f"/plugins/{_part(plugin_id)}"))

    # Ending

    def cancel(self, image_id: str) -> None:
        """Stop the build of an image."""
        self.connection.send("POST", f"{self._path(image_id)}/cancel")

    def retry(self, image_id: str) -> Image:
        """Build a FAILED image again."""
        answer = self.connection.send("POST", f"{self._path(image_id)}/retry").json()
        [(noun, view)] = answer.items()
        return self._image(noun, view)

    def delete(
        self,
        image_id: str,
        *,
        credentials: Secret | None = None,
        provider: object = None,
        forget: bool = False,
    ) -> None:
        """Remove an image, here and on its provider."""
        path = self._path(image_id)
        fields: dict[str, object] = {"parameters": {"forget": forget}}
        if credentials is not None:
            fields["credentials"] = credentials.reveal()
        if provider is not None:
            fields["provider"] = provider
        self.connection.send("DELETE", path, json={self.nouns[image_id]: fields})

    def _create(self, kind: type[Image], **fields: Any) -> Image:
        given = {key: value for key, value in fields.items() if value is not None}
        answer = self.connection.send("POST", f"/{kind.noun}s", json={kind.noun: given})
        return self._image(kind.noun, answer.json()[kind.noun])

    def _candidates(self, spec: Mapping[str, Any]) -> Iterator[str]:
        """The ids of all images that may fit; the API knows less of them than a fetch-spec asks for."""
        if isinstance(spec.get("identifier"), str):
            yield spec["identifier"]
            return
        wanted = {"status": spec["status"]} if spec.get("status") in {*Status} else {}
        for kind in KINDS.values():
            if spec.get("type", kind.kind) == kind.kind:
                listed = self.connection.get(f"/{kind.noun}s", **wanted)[f"{kind.noun}s"]
                for entry in listed:
                    self.nouns[entry[kind.noun]["id"]] = kind.noun
                    yield entry[kind.noun]["id"]

    def _path(self, image_id: str) -> str:
        if image_id not in self.nouns and self.find(image_id) is None:
            raise _missing(image_id)
        return f"/{self.nouns[image_id]}s/{_part(image_id)}"

    def _image(self, noun: str, view: Mapping[str, Any]) -> Image:
        self.nouns[view["id"]] = noun
        common: dict[str, Any] = {
            "id": view["id"],
            "template": view["template"],
            "name": _name(view["template"]),
            "status": Status(view["status"]),
            "activity": view["status_detail"]["activity"],
            "error": view["status_detail"]["error"],
            "percent": view["percent_complete"],
            "icicle": view["icicle"],
            "parameters": view["parameters"],
            "properties": view["properties"],
        }
        match KINDS[noun]:
            case kind if kind is TargetImage:
                parent = _parent(view, BaseImage)
                return TargetImage(**common, target=view["target"], base_image_id=parent)
            case kind if kind is ProviderImage:
                return ProviderImage(
                    **common,
                    provider=view["provider"],
                    target="",  # the API does not say; its target image does
                    target_image_id=_parent(view, TargetImage),
                    identifier_on_provider=view["identifier_on_provider"],
                    provider_account_identifier=view["provider_account_identifier"],
                )
        return BaseImage(**common)


def _missing(image_id: str) -> NotFound:
    return NotFound(f"No image found with id: {image_id}")


def _part(text: str) -> str:
    """A part of a path: no slash of a user's leads elsewhere."""
    return quote(text, safe="")


def _parent(view: Mapping[str, Any], kind: type[Image]) -> str | None:
    """The parent's id: alone in the answer to a POST, within a reference otherwise."""
    reference = view.get(kind.noun)
    parent: str | None = reference["id"] if reference else view.get(f"{kind.noun}_id")
    return parent


def _name(template: str | None) -> str | None:
    try:
        return parse(template).name if template else None
    except TemplateError:
        return None


def _event(number: int, view: Mapping[str, Any]) -> Event:
    return Event(
        id=number,
        image_id=view["id"],
        kind=view["_type"],
        time=datetime.fromisoformat(view["time"]),
        status=Status(view["status"]),
        percent=view["percent_complete"],
        activity=view["status_detail"]["activity"],
        error=view["status_detail"]["error"],
    )


def _plain(plugin: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in plugin.items() if key not in _LINKS}
