"""What a job needs, and what a worker may be limited to."""

import pytest

from fakes.plugins import a_template
from imagefactory.builds.abilities import checked, need_of
from imagefactory.builds.work import Job
from imagefactory.core.errors import ConfigError
from imagefactory.core.images import BaseImage, ProviderImage, TargetImage

X86 = a_template()
ARM = X86.replace("x86_64", "aarch64")
OTHER = X86.replace("x86_64", "s390x")


@pytest.mark.parametrize(
    ("job", "image", "need"),
    [
        (Job.BUILD, BaseImage(id="1", template=X86), "x86_64"),
        (Job.BUILD, TargetImage(id="1", template=ARM, target="mock"), "aarch64"),
        (Job.BUILD, BaseImage(id="1", template=OTHER), None),
        (Job.BUILD, BaseImage(id="1", template="<template/>"), None),
        (Job.BUILD, ProviderImage(id="1", template=ARM, target="mock", provider="p"), "push"),
        (Job.DELETE, ProviderImage(id="1", target="mock", provider="p"), "push"),
        (Job.DELETE, BaseImage(id="1", template=X86), None),
        (Job.CANCEL, ProviderImage(id="1", target="mock", provider="p"), None),
    ],
)
def test_what_a_job_needs(
    job: Job, image: BaseImage | TargetImage | ProviderImage, need: str | None
) -> None:
    assert need_of(job, image) == need


def test_an_ability_that_nobody_has_is_named() -> None:
    assert checked(["push", "aarch64"]) == {"push", "aarch64"}
    with pytest.raises(ConfigError, match='There is no ability "fly"') as caught:
        checked(["push", "fly"])
    assert '"push"' in str(caught.value.hint)
