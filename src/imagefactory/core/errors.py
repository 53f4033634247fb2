"""The exceptions that people are meant to see.

FactoryError                     IF-1000
├── RequestError                 IF-1001   the client's mistake: 400
│   ├── TemplateError            IF-1002   the template is not valid TDL
│   ├── NotFound                 IF-1003   404
│   └── Conflict                 IF-1004   409
├── ConfigError                  IF-1101   the operator's configuration
├── BuildError                   IF-2000   a build cannot go on
│   ├── PackageError             IF-2001   a package is unknown or cannot be installed
│   ├── FetchError               IF-2002   something could not be fetched
│   ├── VerificationError        IF-2003   a signature or checksum is missing or wrong
│   ├── CommandFailed            IF-2004   a tool exited with an error
│   ├── SpaceError               IF-2005   a disk, the image's or the host's, is too small
│   ├── BootError                IF-2006   the image did not boot
│   ├── ToolMissing              IF-2007   a program that the host needs is not installed
│   └── Cancelled                IF-2008   somebody asked the build to stop
├── CloudError                   IF-3000   a cloud refused, or could not be reached
├── StoreError                   IF-4000   the store is damaged or newer than this program
└── ServerError                  IF-5000   the daemon that the command line asks is not there, or refuses

`brief` is one sentence that names the thing in double quotes; `hint` says what to do about it.
Anything that is not a `FactoryError` is a bug, and is shown to nobody but the log.
"""

from collections.abc import Sequence
from typing import ClassVar


class FactoryError(Exception):
    """An error that people are shown, with a stable code (see `docs/errors.md`)."""

    code: ClassVar[str] = "IF-1000"

    def __init__(self, brief: str, *, hint: str | None = None) -> None:
        super().__init__(brief)
        self.brief = brief
        self.hint = hint

    def __str__(self) -> str:
        return self.brief


class RequestError(FactoryError):
    """What the client asked for cannot be understood or done."""

    code = "IF-1001"


class TemplateError(RequestError):
    """A template is not valid TDL; `faults` holds one `(line, message)` for each thing that is wrong."""

    code = "IF-1002"

    def __init__(
        self, brief: str, *, hint: str | None = None, faults: Sequence[tuple[int, str]] = ()
    ) -> None:
        super().__init__(brief, hint=hint)
        self.faults = tuple(faults)


class NotFound(RequestError):
    """There is no such thing."""

    code = "IF-1003"


class Conflict(RequestError):
    """The thing is not in a state that allows this."""

    code = "IF-1004"


class ConfigError(FactoryError):
    """The configuration is wrong; the program does not start."""

    code = "IF-1101"


class BuildError(FactoryError):
    """A build cannot go on; the image becomes FAILED with this sentence."""

    code = "IF-2000"


class PackageError(BuildError):
    """A package is unknown, or cannot be installed."""

    code = "IF-2001"


class FetchError(BuildError):
    """Something could not be fetched, after all retries."""

    code = "IF-2002"


class VerificationError(BuildError):
    """A signature or a checksum is missing or wrong."""

    code = "IF-2003"


class CommandFailed(BuildError):
    """A tool exited with an error; told once, where tools are started."""

    code = "IF-2004"

    def __init__(
        self, brief: str, *, exit_status: int, tail: str = "", hint: str | None = None
    ) -> None:
        super().__init__(brief, hint=hint)
        self.exit_status = exit_status
        self.tail = tail


class SpaceError(BuildError):
    """A disk is too small, and the message says how much is needed."""

    code = "IF-2005"


class BootError(BuildError):
    """The image did not boot; the message says what the console said last, `tail` its last lines."""

    code = "IF-2006"

    def __init__(self, brief: str, *, tail: str = "", hint: str | None = None) -> None:
        super().__init__(brief, hint=hint)
        self.tail = tail


class ToolMissing(BuildError):
    """A program that the host needs is not installed; the hint installs it."""

    code = "IF-2007"


class Cancelled(BuildError):
    """Somebody asked the build to stop."""

    code = "IF-2008"


class CloudError(FactoryError):
    """A cloud refused, or could not be reached."""

    code = "IF-3000"


class StoreError(FactoryError):
    """The store is damaged, or was written by a newer program."""

    code = "IF-4000"


class ServerError(FactoryError):
    """The daemon that the command line asks cannot be reached or trusted, or refuses to serve it."""

    code = "IF-5000"
