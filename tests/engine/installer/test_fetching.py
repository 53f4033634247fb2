"""The digests that an archive gives for its installer."""

from imagefactory.engine.installer.fetching import sums

ONE, TWO = "a" * 64, "b" * 64


def test_the_output_of_sha256sum_is_read() -> None:
    assert sums(f"{ONE}  ./netboot/linux\n{TWO}  ./netboot/initrd.gz\n") == {
        "netboot/linux": ONE,
        "netboot/initrd.gz": TWO,
    }


def test_the_digests_of_a_release_are_read() -> None:
    release = f"Origin: Debian\nMD5Sum:\n {'c' * 32} 7 main/x\nSHA256:\n {ONE}     78509 main/x/SHA256SUMS\n"
    assert sums(release) == {"main/x/SHA256SUMS": ONE}
