"""What a worker may be limited to, and which of that a job needs."""

from collections.abc import Iterable

from imagefactory.builds.work import ABILITIES, PUSH, Job
from imagefactory.core.errors import ConfigError, TemplateError
from imagefactory.core.images import Image, ProviderImage
from imagefactory.core.template import parse


def checked(abilities: Iterable[str]) -> frozenset[str]:
    """The abilities of a worker, none for one that does everything; `ConfigError` names what is none."""
    found = frozenset(abilities)
    if unknown := sorted(found - {*ABILITIES}):
        msg = f'There is no ability "{unknown[0]}"'
        raise ConfigError(msg, hint="These are known: " + ", ".join(f'"{a}"' for a in ABILITIES))
    return found


def need_of(job: Job, image: Image) -> str | None:
    """The ability that a job needs; None for what any worker does."""
    match job, image:
        case ((Job.BUILD | Job.DELETE), ProviderImage()):
            return PUSH
        case Job.BUILD, Image(template=str(text)):
            try:
                arch = parse(text).os.arch
            except TemplateError:
                return None  # whoever takes it says what is wrong
            return arch if arch in ABILITIES else None
    return None
