"""Credentials are kept encrypted, and come back as they were or not at all."""

import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import text

from fakes.images import an_id
from imagefactory.core.errors import NotFound, StoreError
from imagefactory.core.images import ProviderImage
from imagefactory.core.secret import Secret
from imagefactory.store.database import Store
from imagefactory.store.vault import Vault

HUSH = Secret("<password>hüsh</password>")


@pytest.fixture
def key(database: Path) -> Path:
    return database.parent / "vault.key"


@pytest.fixture
def vault(store: Store, key: Path) -> Vault:
    return Vault.open(store, key)


def test_a_secret_comes_back(vault: Vault, store: Store, key: Path) -> None:
    texts = [HUSH.reveal(), "", "half a pair: \ud800"]
    refs = [vault.put(Secret(text)) for text in texts]
    again = Vault.open(store, key)
    assert [again.get(ref).reveal() for ref in refs] == texts
    vault.remove(refs[0])
    vault.remove(refs[0])
    with pytest.raises(NotFound, match=f'The credentials "{refs[0]}" are not kept any more'):
        vault.get(refs[0])


def test_nothing_on_the_disk_or_in_a_log_shows_it(vault: Vault, key: Path) -> None:
    vault.put(HUSH)
    for path in key.parent.iterdir():
        assert b"sh</password>" not in path.read_bytes()
    assert key.read_text().strip() not in repr(vault)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_what_was_tampered_with_is_refused(vault: Vault, store: Store) -> None:
    one, two, three = vault.put(HUSH), vault.put(Secret("other")), vault.put(HUSH)
    with store.engine.begin() as connection:
        connection.execute(
            text("UPDATE credentials SET sealed = (SELECT sealed FROM credentials WHERE ref = :two) WHERE ref = :one"),
            {"one": one, "two": two},
        )  # fmt: skip
        connection.execute(
            text("UPDATE credentials SET sealed = x'00' WHERE ref = :ref"), {"ref": three}
        )
    for ref in (one, three):
        with pytest.raises(StoreError, match=f'The credentials "{ref}" cannot be decrypted'):
            vault.get(ref)
    assert vault.get(two).reveal() == "other"


def test_another_key_opens_nothing(vault: Vault, store: Store, key: Path) -> None:
    ref = vault.put(HUSH)
    key.unlink()
    with pytest.raises(StoreError, match="cannot be decrypted"):
        Vault.open(store, key).get(ref)


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 44, b"A" * 43])
def test_a_damaged_key_is_named_and_kept(store: Store, key: Path, content: bytes) -> None:
    key.write_bytes(content)
    key.chmod(0o600)
    with pytest.raises(StoreError, match=f'The key of the vault "{key}" is damaged'):
        Vault.open(store, key)
    assert key.read_bytes() == content


def test_a_key_that_others_may_read_is_refused(store: Store, key: Path) -> None:
    Vault.open(store, key)
    key.chmod(0o640)
    with pytest.raises(StoreError, match="may be read by others"):
        Vault.open(store, key)


def test_those_who_start_together_have_one_key(store: Store, key: Path) -> None:
    key.unlink()
    start = Barrier(8)

    def open_vault(_number: int) -> str:
        start.wait()
        return Vault.open(store, key).seal.key.reveal()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(open_vault, range(8)))) == 1
    assert not list(key.parent.glob(".*"))


def test_a_secret_goes_with_its_image_or_without_one(vault: Vault, store: Store) -> None:
    ref, stray = vault.put(HUSH), vault.put(HUSH)
    store.add(ProviderImage(id=an_id(1), target="t", provider="p", credentials_ref=ref))
    vault.sweep()
    assert vault.get(stray) == HUSH  # its image may be about to be added
    vault.sweep(older_than=timedelta())
    with pytest.raises(NotFound):
        vault.get(stray)
    assert vault.get(ref) == HUSH
    store.delete(an_id(1))
    with pytest.raises(NotFound):
        vault.get(ref)


def test_a_wiped_secret_is_gone_from_the_file(vault: Vault, store: Store, database: Path) -> None:
    ref = vault.put(HUSH)
    sealed = store.credentials(ref)
    assert sealed is not None
    vault.remove(ref)
    store.close()
    with closing(Store.open(database)) as reopened:
        reopened.ids()
    assert sealed not in database.read_bytes()


def test_what_an_image_was_asked_for_with_is_not_readable_in_the_file(
    store: Store, database: Path, key: Path
) -> None:
    image = ProviderImage(
        id=an_id(1),
        target="t",
        provider='{"password": "marker-1"}',
        template="<rootpw>marker-2</rootpw>",
        parameters={"answer": "marker-3"},
    )
    store.add(image)
    assert replace(store.image(an_id(1), ProviderImage), updated=image.updated) == image
    kept = b"".join(path.read_bytes() for path in database.parent.iterdir())
    assert b"marker-" not in kept
    store.close()
    key.unlink()
    with (
        closing(Store.open(database)) as other,
        pytest.raises(StoreError, match=f'The template of the image "{an_id(1)}" cannot be'),
    ):
        other.get(an_id(1))
