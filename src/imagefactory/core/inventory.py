"""What a system holds, file by file, and how it is started: what two images are compared by."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from imagefactory.core.errors import StoreError

FORMAT: Final = "imagefactory-inventory/1"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file, folder or link of a system."""

    type: str  #: as find(1) tells it: `f`, `d`, `l`, …
    mode: str  #: octal, e.g. `4755`
    owner: str  #: user and group by number, e.g. `0:42`
    size: int  #: bytes of a file or of a link's target, else 0
    sha256: str | None = None  #: of a file
    link: str | None = None  #: where a link leads


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """All of a system but what is made anew at each start."""

    kernel_arguments: tuple[str, ...]
    files: Mapping[str, Entry]  #: by absolute path

    def dumps(self) -> str:
        """JSON with a line for each file, in the order of their paths."""
        lines = (f"{json.dumps(path)}: {_brief(self.files[path])}" for path in sorted(self.files))
        files = ",\n".join(lines)
        arguments = json.dumps(self.kernel_arguments)
        return (
            f'{{"format": "{FORMAT}", "kernel_arguments": {arguments}, "files": {{\n{files}\n}}}}\n'
        )

    @classmethod
    def loads(cls, text: str) -> Self:
        """What `dumps` wrote; `StoreError` when it is something else."""
        try:
            content: dict[str, Any] = json.loads(text)
            if content["format"] != FORMAT:
                raise KeyError(FORMAT)
            return cls(
                kernel_arguments=tuple(content["kernel_arguments"]),
                files={path: Entry(**entry) for path, entry in content["files"].items()},
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            msg = f'The inventory is not in the format "{FORMAT}"'
            raise StoreError(msg) from error


def _brief(entry: Entry) -> str:
    # `asdict` copies each value, which of 30,000 files takes longer than all the rest.
    return json.dumps({key: value for key, value in vars(entry).items() if value is not None})
