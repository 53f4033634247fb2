"""The console: bytes of any terminal, cut up in any way, become lines."""

import io
import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imagefactory.engine.boot.console import LOG_LIMIT, Cleaner, Console, quote
from imagefactory.engine.boot.trial import BROKEN, STAGES

PIECES = st.sampled_from(
    [
        *("\x1b[0;32m", "\x1b[01;01H", "\x1b[05;22H", "\x1b[2J", "\x1b[K", "\x1bc", "\x1b(B"),
        *(
            "\x1b]0;a title\x07",
            "\x1b]8;;x\x1b\\",
            "\x1b[?2004h",
            "\x1b",
            "\x1b[",
            "\r",
            "\n",
            "\r\n",
        ),
        *("\x00", "\x08", "\x7f", "\t", "ö", "€", "login: ", "\ufffd"),
    ]
)


def clean(*pieces: bytes) -> str:
    """All the text of some bytes, an unfinished sequence at the end included."""
    cleaner = Cleaner()
    return "".join(cleaner.feed(piece) for piece in [*pieces, b"\n"])


@given(
    data=st.lists(PIECES | st.text(max_size=5)).map(lambda parts: "".join(parts).encode()),
    cuts=st.lists(st.integers(min_value=0, max_value=200), max_size=8),
)
@example(data=b"a\r\nb", cuts=[2])
@example(data="€".encode(), cuts=[1, 2])
def test_text_is_the_same_however_its_bytes_arrive(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(places)]
    assert clean(*pieces) == clean(data)


@given(st.binary(max_size=300))
def test_nothing_that_moves_a_terminal_is_left(data: bytes) -> None:
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", clean(data))


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "Zs"]), max_size=300))
def test_plain_text_is_left_alone(text: str) -> None:
    assert clean(text.encode()) == text + "\n"


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (b"[\x1b[0;32m  OK  \x1b[0m] Started\r\n", "[  OK  ] Started\n"),
        (b"one\x1b[02;01Htwo", "one\ntwo"),
        (b"device: 4\x1b[06;24H\x1b[06;25H6eec", "device: 46eec"),
        (b"\x1b]0;a title\x07prompt", "prompt"),
        (b"10 %\r20 %", "10 %\n20 %"),
        (b"\x1b" + b"[" + b"1" * 100 + b"m", "[" + "1" * 100 + "m"),
    ],
)
def test_sequences_of_real_consoles(said: bytes, read: str) -> None:
    assert clean(said) == read + "\n"


def test_a_prompt_is_seen_before_its_line_ends() -> None:
    console = Console()
    watch = console.watch(STAGES["login"])
    for letter in b"\r\nhere login":
        console.feed(bytes([letter]))
    assert not watch.seen
    console.feed(b": ")
    assert watch.line == "here login:"


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        ("kernel", "[    0.000000] Linux version 6.1.0-56-amd64"),
        ("systemd", "Welcome to Debian GNU/Linux 12 (bookworm)!"),
        ("systemd", "[    4.2] systemd[1]: systemd 252 running in system mode"),
        ("target", "[  OK  ] Reached target multi-user.target - Multi-User System."),
        ("target", "[  OK  ] Reached target Graphical Interface."),
        ("login", "localhost login: "),
        ("login", "login: "),
        ("login", "here login: [   20.123456] a kernel that talks in between"),
    ],
)
def test_stages_are_recognised(stage: str, line: str) -> None:
    assert STAGES[stage].search(line)


@pytest.mark.parametrize("line", ["Welcome to GRUB!", "Welcome to GRUB", "Welcome to"])
def test_the_boot_loader_is_not_systemd(line: str) -> None:
    assert not STAGES["systemd"].search(line)


@pytest.mark.parametrize("line", ["Last login: Mon Nov 23", "systemd-logind: New seat seat0"])
def test_a_word_is_not_a_prompt(line: str) -> None:
    assert not STAGES["login"].search(line)


@pytest.mark.parametrize(
    "line",
    [
        "No bootable device.",
        "BdsDxe: No bootable option or device was found.",
        "UEFI Interactive Shell v2.2",
        "grub rescue> ",
        "grub> ",
        "error: you need to load the kernel first.",
        "[    2.2] Kernel panic - not syncing: Attempted to kill init!",
        "ALERT!  UUID=46ee does not exist.  Dropping to a shell!",
        "(initramfs) ",
        "/bin/sh: 0: can't access tty; job control turned off",
        "No init found. Try passing init= bootarg.",
        'You are in emergency mode. After logging in, type "journalctl -xb"',
        "Cannot open access to console, the root account is locked.",
    ],
)
def test_hopeless_states_are_recognised(line: str) -> None:
    assert BROKEN.search(line)


def test_the_first_match_stays_with_what_came_before_it() -> None:
    console = Console(clock=iter([10.0, 13.5]).__next__)
    console.start()
    watch = console.watch(BROKEN)
    console.feed(
        b"error: one\n\nKernel panic - not syncing: first\nKernel panic - not syncing: more\n"
    )
    assert (watch.line, watch.seconds) == ("Kernel panic - not syncing: first", 3.5)
    assert watch.before == ("error: one",)


def test_a_line_that_matched_too_early_is_kept_whole() -> None:
    console = Console()
    watch = console.watch(BROKEN)
    for letter in b"Kernel panic - not syncing: No working init\nmore\n":
        console.feed(bytes([letter]))
    assert watch.line == "Kernel panic - not syncing: No working init"


def test_the_log_has_the_raw_bytes_up_to_a_limit() -> None:
    log = io.BytesIO()
    console = Console(log=log)
    console.feed(b"\x1b[31mred\r\n")
    assert log.getvalue() == b"\x1b[31mred\r\n"
    piece = b"x" * (LOG_LIMIT // 4)
    for _ in range(5):
        console.feed(piece)
    assert len(log.getvalue()) == LOG_LIMIT


def test_a_line_without_end_fills_no_memory() -> None:
    console = Console()
    for _ in range(100):
        console.feed(b"x" * 10_000)
    assert len(console.tail[-1]) <= 4096


def test_the_tail_is_what_was_said_last() -> None:
    console = Console()
    console.feed(b"".join(b"line %d\n\n" % number for number in range(100)) + b"prompt> ")
    assert len(console.tail) == 40
    assert console.tail[-2:] == ("line 99", "prompt>")


def test_a_quote_is_short_and_keeps_its_end() -> None:
    assert quote(["  one ", "", 'a "word"']) == "one / a 'word'"
    long = quote(["x" * 500, "the end"])
    assert len(long) == 300
    assert long.startswith("…")
    assert long.endswith("the end")
