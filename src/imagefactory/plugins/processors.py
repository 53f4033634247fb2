"""Which processors a cloud's machines have."""

from collections.abc import Collection
from typing import Final

from imagefactory.core.errors import RequestError
from imagefactory.core.template import Template

_FOREIGN: Final = frozenset({"aarch64", "ppc64le", "s390x"})


def check_processor(template: Template, target: str, *, served: Collection[str] = ()) -> None:
    """`RequestError` for an image whose processor this target's machines do not have; those of PCs always fit."""
    arch = template.os.arch
    if arch in _FOREIGN and arch not in served:
        msg = f'The target "{target}" takes no image for "{arch}"'
        others = "".join(f", {name}" for name in sorted(served))
        raise RequestError(msg, hint=f"Its machines are made for x86_64{others}")
