"""The plain fields of a `multipart/form-data` body; the files in it are passed over, as ever."""

from dataclasses import dataclass, field
from typing import Final

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from imagefactory.core.errors import RequestError

_MOST: Final = 1000  #: parts


def fields(body: bytes, content_type: str) -> dict[str, str]:
    """Names and texts; of a repeated name the last. `RequestError` for what is no such form."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        msg = 'The multipart form has no "boundary" in its content type'
        raise RequestError(msg)
    parts = _Parts()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": parts.begin,
                "on_header_field": parts.header_name,
                "on_header_value": parts.header_value,
                "on_header_end": parts.header_end,
                "on_part_data": parts.data,
                "on_part_end": parts.end,
                "on_end": parts.finish,
            },
        )
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        msg = f"The multipart form cannot be read: {error}"
        raise RequestError(msg) from error
    if not parts.finished:
        msg = "The multipart form ends before its last boundary"
        raise RequestError(msg)
    return parts.texts


@dataclass(kw_only=True)
class _Parts:
    """Collects what the parser calls out."""

    texts: dict[str, str] = field(default_factory=dict)
    finished: bool = False
    seen: int = 0
    header: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    disposition: bytes = b""
    content: bytearray = field(default_factory=bytearray)

    def begin(self) -> None:
        self.seen += 1
        if self.seen > _MOST:
            msg = f"The multipart form has more than {_MOST} parts"
            raise RequestError(msg)
        self.disposition = b""
        self.content = bytearray()

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self.header += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def header_end(self) -> None:
        if self.header.lower() == b"content-disposition":
            self.disposition = bytes(self.value)
        self.header.clear()
        self.value.clear()

    def data(self, data: bytes, start: int, end: int) -> None:
        self.content += data[start:end]

    def end(self) -> None:
        _, options = parse_options_header(self.disposition)
        name = options.get(b"name")
        if name is None or b"filename" in options:
            return
        try:
            self.texts[name.decode()] = self.content.decode()
        except UnicodeDecodeError as error:
            msg = f'The field "{name.decode(errors="replace")}" of the multipart form is not UTF-8'
            raise RequestError(msg) from error

    def finish(self) -> None:
        self.finished = True
