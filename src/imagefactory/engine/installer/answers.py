"""How an installer is told everything beforehand: kickstart, preseed, AutoYaST."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["kickstart", "preseed", "autoyast"]


@dataclass(frozen=True, kw_only=True)
class Form:
    """Where the installers of one kind look for their answers, and what makes them do so."""

    file: str  #: in the root of the initrd
    arguments: tuple[str, ...]  #: of the installer's kernel


#: Debian's installer reads `/preseed.cfg` by itself. Anaconda has had two names for its argument, and
#: neither of its generations minds the other's.
FORMS: Final[Mapping[Kind, Form]] = {
    "preseed": Form(
        file="preseed.cfg", arguments=("auto=true", "priority=critical", "DEBIAN_FRONTEND=text")
    ),
    "kickstart": Form(file="ks.cfg", arguments=("inst.ks=file:/ks.cfg", "ks=file:/ks.cfg")),
    "autoyast": Form(file="autoinst.xml", arguments=("autoyast=file:///autoinst.xml",)),
}
