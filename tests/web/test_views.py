"""A list that is put together from encoded rows is the list."""

from fastapi.responses import JSONResponse
from hypothesis import given
from hypothesis import strategies as st

from imagefactory.core.images import KINDS
from imagefactory.store.rows import Summary
from imagefactory.web import views

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SUMMARIES = st.builds(
    Summary, id=TEXTS, kind=st.sampled_from(sorted(k.kind for k in KINDS.values()))
)


@given(st.lists(SUMMARIES), TEXTS)
def test_encoded_rows_make_the_document_that_would_be_encoded(
    images: list[Summary], here: str
) -> None:
    whole = JSONResponse(views.listed("base_image", images, here)).body
    assert views.listed_in_json("base_image", images, here).encode() == whole
