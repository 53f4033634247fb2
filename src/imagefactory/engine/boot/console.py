"""What a machine says on its serial console, made readable and watched for patterns."""

import codecs
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final

LOG_LIMIT: Final = 64 << 20  #: bytes of a console that are kept; a guest may talk without end
TAIL_LINES: Final = 40
_KEPT: Final = 200  # lines; the cause of a failure may stand long before its end
_LINE_LIMIT: Final = 4096  # characters; a longer line is cut, so that no line fills the memory

# ECMA-48 sequences; the lengths are bounded so that a stray ESC cannot swallow what follows it.
_ESCAPE: Final = re.compile(
    r"\x1b\[[0-?]{0,32}[ -/]{0,4}[@-~]"  # CSI: colours, cursor, modes
    r"|\x1b[\]PX^_][^\x07\x1b]{0,256}(?:\x07|\x1b\\)"  # OSC and other strings
    r"|\x1b[ -/]{0,4}[0-Z\\^-~]"  # two-character sequences, character sets
)
_UNFINISHED: Final = re.compile(
    r"(?:\x1b\[[0-?]{0,32}[ -/]{0,4}|\x1b[\]PX^_][^\x07\x1b]{0,256}\x1b?|\x1b[ -/]{0,4}|\r)\Z"
)
# Firmware and GRUB place text with the cursor, or clear the screen, instead of ending a line; SeaBIOS
# also sends the cursor to where it is already, in the middle of a word.
_NEW_LINE: Final = re.compile(
    r"\r\n?|\x1b\[(?:[0-9]{0,9}(?:;0{0,9}1?)?[Hf]|[0-9]{0,9}[EFd]|[23]J)|\x1bc"
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Cleaner:
    """Turns the bytes of a terminal into text without escape sequences, however they were cut up."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._pending = ""

    def feed(self, data: bytes) -> str:
        """The text of these bytes; an unfinished sequence at their end waits for the next ones."""
        text = self._pending + self._decoder.decode(data)
        rest = _UNFINISHED.search(text)
        end = rest.start() if rest else len(text)
        text, self._pending = text[:end], text[end:]
        return _CONTROL.sub("", _ESCAPE.sub("", _NEW_LINE.sub("\n", text)))


@dataclass(kw_only=True)
class Watch:
    """Remembers the first line that matches, and how many seconds after the start it was said."""

    pattern: re.Pattern[str]
    line: str | None = None
    seconds: float | None = None
    before: Sequence[str] = ()  #: the lines said just before it
    open: bool = (
        False  #: whether the line that matched has not ended yet, so that more of it may come
    )

    @property
    def seen(self) -> bool:
        """Whether a line has matched."""
        return self.line is not None


@dataclass(kw_only=True)
class Console:
    """Takes the bytes of a console: raw to the log, cleaned to the tail and to all watches.

    A line that has not ended yet is looked at too, for a prompt never ends. `lines` are the last ones.
    """

    log: BinaryIO | None = None
    clock: Callable[[], float] = time.monotonic
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT))
    _started: float = 0.0
    _cleaner: Cleaner = field(default_factory=Cleaner)
    _watches: list[Watch] = field(default_factory=list)
    _partial: str = ""
    _logged: int = 0

    def start(self) -> None:
        """Count seconds from now."""
        self._started = self.clock()

    def watch(self, pattern: re.Pattern[str]) -> Watch:
        """Look for a pattern in all that is said from now on."""
        watch = Watch(pattern=pattern)
        self._watches.append(watch)
        return watch

    def feed(self, data: bytes) -> None:
        """Take what the machine said."""
        self._keep(data)
        *whole, partial = (self._partial + self._cleaner.feed(data)).split("\n")
        for line in whole:
            self._look(line, ended=True)
            if line.strip():
                self.lines.append(line.rstrip()[:_LINE_LIMIT])
        self._partial = partial[-_LINE_LIMIT:]
        if partial.strip():
            self._look(self._partial, ended=False)

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines, cleaned, without empty ones."""
        partial = self._partial.strip()
        return (*self.lines, *([partial] if partial else []))[-TAIL_LINES:]

    def _keep(self, data: bytes) -> None:
        if self.log is not None and self._logged < LOG_LIMIT:
            self._logged += self.log.write(data[: LOG_LIMIT - self._logged])

    def _look(self, line: str, *, ended: bool) -> None:
        for watch in self._watches:
            if watch.open:
                watch.line, watch.open = line.strip(), not ended
            elif not watch.seen and watch.pattern.search(line):
                watch.line, watch.open = line.strip(), not ended
                watch.seconds = round(self.clock() - self._started, 2)
                watch.before = tuple(self.lines)


def quote(lines: Sequence[str], *, limit: int = 300) -> str:
    """The end of what was said, as one piece of text for a message."""
    text = " / ".join(line.strip() for line in lines if line.strip()).replace('"', "'")
    return text if len(text) <= limit else "…" + text[1 - limit :]
