"""Partitions lie where firmware and growth want them, and hold what they must."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagefactory.core.errors import SpaceError
from imagefactory.engine.disk.layout import (
    DEFAULT_SIZE,
    GIB,
    MIB,
    Contents,
    Firmware,
    Layout,
    Partition,
    check_room,
    lay_out,
)

SMALL = Contents(blocks=100_000, inodes=14_000)


def parts(layout: Layout) -> list[Partition]:
    return [part for part in (layout.bios, layout.esp, layout.root) if part]


def test_a_disk_for_both_kinds_of_firmware() -> None:
    layout = lay_out(SMALL, size=DEFAULT_SIZE, firmware=Firmware.BOTH, name="web")
    assert layout == Layout(
        size=10 * GIB,
        bios=Partition(number=14, start=MIB, size=MIB),
        esp=Partition(number=15, start=2 * MIB, size=64 * MIB),
        root=Partition(number=1, start=66 * MIB, size=10 * GIB - 67 * MIB),
        inodes=(10 * GIB - 67 * MIB) // 16384,
    )


@pytest.mark.parametrize(
    ("firmware", "bios", "esp"),
    [(Firmware.BOTH, True, True), (Firmware.BIOS, True, False), (Firmware.UEFI, False, True)],
)
def test_only_what_the_firmware_needs_is_there(firmware: Firmware, bios: bool, esp: bool) -> None:
    layout = lay_out(SMALL, size=GIB, firmware=firmware, name="web")
    assert (layout.bios is not None, layout.esp is not None) == (bios, esp)
    assert layout.root.number == 1


contents = st.builds(Contents, blocks=st.integers(0, 1 << 30), inodes=st.integers(1, 1 << 26))


@given(contents, st.integers(1, 1 << 44), st.sampled_from(Firmware))
def test_partitions_are_aligned_apart_and_in_order_with_the_root_last(
    held: Contents, size: int, firmware: Firmware
) -> None:
    try:
        layout = lay_out(held, size=size, firmware=firmware, name="web")
    except SpaceError:
        return
    assert size <= layout.size < size + MIB
    assert layout.size % MIB == 0
    found = parts(layout)
    assert all(part.start % MIB == part.size % MIB == 0 for part in found)
    assert found[0].start >= MIB
    assert all(left.end <= right.start for left, right in pairwise(found))
    assert found[-1] == layout.root
    assert layout.root.end == layout.size - MIB, "room for the second table"
    assert layout.inodes >= held.inodes
    assert layout.root.size > held.blocks * 4096 + layout.inodes * 256


@given(contents)
def test_the_size_that_is_said_to_be_needed_is_enough(held: Contents) -> None:
    with pytest.raises(SpaceError) as refusal:
        lay_out(held, size=MIB, firmware=Firmware.BOTH, name="web")
    number, unit = refusal.value.brief.split("at least ")[1].split()
    needed = int(float(number) * {"MiB": MIB, "GiB": GIB}[unit])
    lay_out(held, size=needed, firmware=Firmware.BOTH, name="web")


def test_a_disk_that_is_too_small_is_refused_with_what_to_do() -> None:
    big = replace(SMALL, blocks=280_000)
    with pytest.raises(SpaceError) as refusal:
        lay_out(big, size=GIB, firmware=Firmware.BOTH, name="web")
    assert str(refusal.value) == 'The disk of "web" is 1 GiB, but the system needs at least 1.4 GiB'
    assert refusal.value.hint == "Raise <size> under <disk> in the template"


def test_sizes_below_a_gibibyte_are_said_in_mebibytes() -> None:
    with pytest.raises(SpaceError, match="is 300 MiB, but the system needs at least 675 MiB"):
        lay_out(SMALL, size=300 * MIB, firmware=Firmware.BOTH, name="web")


def test_many_small_files_get_the_inodes_that_they_need() -> None:
    many = Contents(blocks=200_000, inodes=1_000_000)
    layout = lay_out(many, size=4 * GIB, firmware=Firmware.BOTH, name="web")
    assert layout.inodes == 1_250_000


@given(contents, st.lists(st.integers(1, 1 << 40), max_size=5))
def test_others_lie_before_the_root_and_are_never_smaller_than_asked(
    held: Contents, sizes: list[int]
) -> None:
    try:
        layout = lay_out(held, size=1 << 44, firmware=Firmware.BOTH, name="web", others=sizes)
    except SpaceError:
        return
    found = [layout.bios, layout.esp, *layout.others, layout.root]
    places = [part for part in found if part]
    assert all(left.end == right.start for left, right in pairwise(places))
    assert [part.number for part in layout.others] == list(range(2, 2 + len(sizes)))
    assert all(0 <= part.size - size < MIB for part, size in zip(layout.others, sizes, strict=True))


def test_a_disk_has_room_for_its_others_too() -> None:
    lay_out(SMALL, size=2 * GIB, firmware=Firmware.BOTH, name="web")
    with pytest.raises(SpaceError, match=r"at least 3\.\d GiB"):
        lay_out(
            SMALL, size=2 * GIB, firmware=Firmware.BOTH, name="web", others=[3 * GIB - 600 * MIB]
        )


@given(contents, st.integers(16 * MIB, 1 << 44))
def test_a_file_system_beside_the_root_holds_what_it_is_said_to(held: Contents, size: int) -> None:
    try:
        inodes = check_room(held, size=size, mount="/var")
    except SpaceError:
        return
    assert inodes >= held.inodes
    assert held.blocks * 4096 + inodes * 256 < size


def test_one_that_is_too_small_is_told_with_its_place() -> None:
    with pytest.raises(SpaceError, match='"/var" is 100 MiB, and 391 MiB of files are to fit'):
        check_room(SMALL, size=100 * MIB, mount="/var")
