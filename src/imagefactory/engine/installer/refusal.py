"""What a template may not ask of a system that an installer makes."""

from typing import Final

from imagefactory.core.errors import RequestError
from imagefactory.core.template import Template

#: what only a direct build carries out, as the template calls it
_DIRECT: Final = {
    "repositories": "repositories",
    "files": "files",
    "commands": "commands",
    "precommands": "precommands",
    "additions": "customize",
}


def refuse_direct(template: Template, *, given: bool) -> None:
    """`RequestError` for the first element that nobody would carry out; `given` answers have their own packages."""
    direct = [name for field, name in _DIRECT.items() if getattr(template, field)]
    if given and template.packages:
        direct.append("packages")
    if direct:
        msg = f'The element "{direct[0]}" of the template is not carried out by an installer'
        hint = 'Let the "install_script" do it, or build directly, without "install_script"'
        raise RequestError(msg, hint=hint)
