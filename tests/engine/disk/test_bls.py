"""Boot entries of the RPM family name their kernel, and the menu is one that any GRUB can read."""

from imagefactory.core.additions import Filesystem
from imagefactory.engine.disk.bls import ENTRIES, entries
from imagefactory.engine.disk.mounts import Mounts
from imagefactory.engine.disk.origin import Origin

MOUNTS = Mounts.of(Origin(key="abc", epoch=0), "web")
VERSIONS = ["6.9.5-200.fc42.x86_64", "6.14.2-300.fc42.x86_64"]
MENU = "/boot/grub2/grub.cfg"


def made(*, blscfg: bool, mounts: Mounts = MOUNTS) -> dict[str, str]:
    options = f"root=UUID={MOUNTS.root.filesystem} ro"
    return dict(entries(VERSIONS, title="Fedora", options=options, mounts=mounts, blscfg=blscfg))


def test_each_kernel_has_an_entry_with_its_own_initramfs() -> None:
    files = made(blscfg=True)
    assert len(files) == 3
    text = files[f"{ENTRIES}/{'f' * 32}-{VERSIONS[0]}.conf"]
    fields = dict(line.split(" ", 1) for line in text.splitlines())
    assert fields["linux"] == f"/boot/vmlinuz-{VERSIONS[0]}"
    assert fields["initrd"] == f"/boot/initramfs-{VERSIONS[0]}.img"
    assert fields["options"] == f"root=UUID={MOUNTS.root.filesystem} ro"


def test_grub_that_reads_entries_gets_no_second_list() -> None:
    menu = made(blscfg=True)[MENU]
    assert "blscfg\n" in menu
    assert "menuentry" not in menu
    assert f"--set=root {MOUNTS.root.filesystem}" in menu


def test_any_other_grub_finds_the_newest_kernel_first() -> None:
    menu = made(blscfg=False)[MENU]
    assert "blscfg" not in menu
    assert menu.index(VERSIONS[1]) < menu.index(VERSIONS[0])


def test_a_boot_folder_of_its_own_is_where_the_loader_begins() -> None:
    apart = Mounts.of(
        Origin(key="abc", epoch=0),
        "web",
        beside=[Filesystem(mount="/boot", type="xfs", size=1 << 30)],
    )
    files = made(blscfg=True, mounts=apart)
    assert f"--set=root {apart.boot.filesystem}" in files[MENU]
    assert "set blsdir=/loader/entries" in files[MENU]
    entry = files[f"{ENTRIES}/{'f' * 32}-{VERSIONS[0]}.conf"]
    assert f"linux /vmlinuz-{VERSIONS[0]}\n" in entry
    assert f"root=UUID={apart.root.filesystem}" in entry
