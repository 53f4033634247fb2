"""Boot entries of the RPM family name their kernel, and the menu is one that any GRUB can read."""

from imagefactory.engine.disk.bls import ENTRIES, entries
from imagefactory.engine.disk.ids import DiskIds

IDS = DiskIds.derive(key="abc", name="web")
VERSIONS = ["6.9.5-200.fc42.x86_64", "6.14.2-300.fc42.x86_64"]
MENU = "/boot/grub2/grub.cfg"


def made(*, blscfg: bool) -> dict[str, str]:
    options = f"root=UUID={IDS.filesystem} ro"
    return dict(entries(VERSIONS, title="Fedora", options=options, ids=IDS, blscfg=blscfg))


def test_each_kernel_has_an_entry_with_its_own_initramfs() -> None:
    files = made(blscfg=True)
    assert len(files) == 3
    text = files[f"{ENTRIES}/{'f' * 32}-{VERSIONS[0]}.conf"]
    fields = dict(line.split(" ", 1) for line in text.splitlines())
    assert fields["linux"] == f"/boot/vmlinuz-{VERSIONS[0]}"
    assert fields["initrd"] == f"/boot/initramfs-{VERSIONS[0]}.img"
    assert fields["options"] == f"root=UUID={IDS.filesystem} ro"


def test_grub_that_reads_entries_gets_no_second_list() -> None:
    menu = made(blscfg=True)[MENU]
    assert "blscfg\n" in menu
    assert "menuentry" not in menu
    assert f"--set=root {IDS.filesystem}" in menu


def test_any_other_grub_finds_the_newest_kernel_first() -> None:
    menu = made(blscfg=False)[MENU]
    assert "blscfg" not in menu
    assert menu.index(VERSIONS[1]) < menu.index(VERSIONS[0])
