"""The digests that an archive gives for its installer."""

import pytest

from imagefactory.engine.installer.fetching import images, sums

ONE, TWO = "a" * 64, "b" * 64


def test_the_output_of_sha256sum_is_read() -> None:
    assert sums(f"{ONE}  ./netboot/linux\n{TWO}  ./netboot/initrd.gz\n") == {
        "netboot/linux": ONE,
        "netboot/initrd.gz": TWO,
    }


def test_the_digests_of_a_release_are_read() -> None:
    release = f"Origin: Debian\nMD5Sum:\n {'c' * 32} 7 main/x\nSHA256:\n {ONE}     78509 main/x/SHA256SUMS\n"
    assert sums(release) == {"main/x/SHA256SUMS": ONE}


TREE = f"""
[general]
family = CentOS
[images-x86_64]
kernel = images/pxeboot/vmlinuz
initrd = images/pxeboot/initrd.img
[checksums]
images/pxeboot/vmlinuz = sha256:{ONE}
images/pxeboot/initrd.img = sha256:{TWO}
"""


def test_a_tree_says_where_its_installer_lies() -> None:
    assert images(TREE, "x86_64") == (
        ("images/pxeboot/vmlinuz", ONE),
        ("images/pxeboot/initrd.img", TWO),
    )


def test_an_old_tree_gives_no_digests() -> None:
    found = images(TREE.partition("[checksums]")[0], "x86_64")
    assert found == (("images/pxeboot/vmlinuz", ""), ("images/pxeboot/initrd.img", ""))


@pytest.mark.parametrize(
    "text", ["", "<html>", "[images-aarch64]\nkernel = a\n", "[images-x86_64]\nkernel = a"]
)
def test_what_names_no_installer(text: str) -> None:
    assert images(text, "x86_64") is None
