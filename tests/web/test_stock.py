"""Until all images of the storage folder are known, nobody hears of any."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from fakes.api import ROOT, an_api
from imagefactory.core.errors import StoreError
from imagefactory.core.images import BaseImage

ID = "a" * 8 + "-0000-0000-0000-" + "b" * 12


@pytest.mark.parametrize(
    ("path", "shown"),
    [("/base_images", ID), ("/base_images?label=a%3Db", ""), (f"/base_images/{ID}", ID)],
)
def test_questions_about_images_wait_until_all_are_known(
    tmp_path: Path, path: str, shown: str
) -> None:
    stock: Future[None] = Future()
    with an_api(tmp_path / "state", stock=stock) as api, ThreadPoolExecutor(1) as thread:
        asked = thread.submit(api.http.get, ROOT + path)
        with pytest.raises(TimeoutError):
            asked.result(0.3)
        assert api.http.get("/healthz").status_code == 200
        assert api.http.get(ROOT).status_code == 200
        ready = api.http.get("/readyz")
        assert (ready.status_code, ready.json()) == (
            503,
            {"status": "The storage folder is still being looked through"},
        )
        api.shop.workshop.store.add(BaseImage(id=ID))
        stock.set_result(None)
        answer = asked.result(20)
        assert answer.status_code == 200
        assert shown in answer.text
        assert "looked through" not in api.http.get("/readyz").text


def test_without_a_stock_there_is_no_answer(tmp_path: Path) -> None:
    stock: Future[None] = Future()
    with an_api(tmp_path / "state", stock=stock) as api:
        stock.set_exception(StoreError('The file "x" cannot be read'))
        for path in ("/base_images", f"/base_images/{ID}"):
            assert api.http.get(ROOT + path).status_code == 500
        assert api.http.get("/readyz").status_code == 500
        assert api.http.get("/healthz").status_code == 200
