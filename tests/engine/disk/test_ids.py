"""The same build gets the same ids, and any other gets others."""

from dataclasses import astuple
from uuid import UUID

from imagefactory.engine.disk.ids import DiskIds, VolumeIds

IDS = DiskIds.derive(key="abc", name="web")


def test_ids_are_derived_and_stay_the_same_between_versions() -> None:
    assert DiskIds.derive(key="abc", name="web") == IDS
    assert IDS.disk == UUID("326978b0-8d17-5a5e-b99b-15bfb9962f3f")


def test_all_ids_differ_from_each_other_and_from_those_of_other_builds() -> None:
    every = [
        value
        for key, name in (("abc", "web"), ("abd", "web"), ("abc", "db"))
        for value in astuple(DiskIds.derive(key=key, name=name))
    ]
    assert len(set(every)) == 3 * 7
    assert {value.version for value in every if isinstance(value, UUID)} == {5}


def test_the_serial_is_written_as_linux_writes_it() -> None:
    assert IDS.volume_id == f"{IDS.serial >> 16:04X}-{IDS.serial & 0xFFFF:04X}"


def test_each_place_has_ids_of_its_own() -> None:
    made = [
        VolumeIds.derive(key="abc", name="web", mount=mount) for mount in ("/var", "/home", "/var")
    ]
    assert made[0] == made[2]
    ids = {*astuple(made[0]), *astuple(made[1]), *astuple(IDS)}
    assert len(ids) == 6 + len(astuple(IDS))
