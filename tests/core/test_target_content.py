"""What an operator adds to target images, and to which."""

import pytest

from contract import template
from imagefactory.core.errors import ConfigError
from imagefactory.core.target_content import parse

DOCUMENT = """
<template_includes>
  <include target="ec2" os="Debian" version="12" arch="x86_64"><packages>
    <package name="exact"/></packages></include>
  <include target="ec2" os="Debian" version="12"><packages><package name="first"/></packages></include>
  <include target="ec2" os="Debian" version="12"><packages><package name="second"/></packages></include>
  <include target="ec2" os="Debian"><packages><package name="system"/></packages></include>
  <include target="ec2"><packages><package name="target"/></packages></include>
  <include>
    <packages><package name="any"/></packages>
    <repositories><repository name="tools"><url>http://mirror.example.org/tools</url>
      <persisted>no</persisted></repository></repositories>
  </include>
</template_includes>
"""
LOCAL = (
    '<repositories><repository name="a"><url>http://localhost/</url></repository></repositories>'
)


@pytest.mark.parametrize(
    ("target", "system", "version", "found"),
    [
        ("ec2", "Debian", "12", "exact"),
        ("ec2", "Debian", "13", "system"),
        ("ec2", "Fedora", "12", "target"),
        ("gce", "Debian", "12", "any"),
    ],
)
def test_the_first_of_those_that_say_most_is_taken(
    target: str, system: str, version: str, found: str
) -> None:
    content = parse(DOCUMENT.encode(), origin="f")
    include = content.include(target, template(name=system, version=version))
    assert include is not None
    assert [package.name for package in include.packages] == [found]


def test_of_two_that_say_the_same_the_first_is_taken() -> None:
    content = parse(DOCUMENT.replace(' arch="x86_64"', ' arch="s390x"').encode(), origin="f")
    include = content.include("ec2", template())
    assert include is not None
    assert [package.name for package in include.packages] == ["first"]


def test_repositories_are_those_of_templates() -> None:
    include = parse(DOCUMENT.encode(), origin="f").include("gce", template())
    assert include is not None
    [repository] = include.repositories
    assert (repository.name, repository.url) == ("tools", "http://mirror.example.org/tools")
    assert not repository.persisted


def test_what_fits_no_include_gets_nothing() -> None:
    content = parse(b'<template_includes><include target="ec2"/></template_includes>', origin="f")
    assert content.include("gce", template()) is None


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("<template_includes>", 'The file "f" cannot be read at line 1'),
        ("<includes/>", 'has "includes" where "template_includes" belongs, at line 1'),
        ("<template_includes>\n<packages/></template_includes>", 'has "packages" .* at line 2'),
        ('<template_includes><include os="Debian"/></template_includes>', 'no attribute "target"'),
        ('<template_includes><include name="a"/></template_includes>', 'unknown attribute "name"'),
        (
            "<template_includes><include><files/></include></template_includes>",
            'unknown element "files"',
        ),
        (
            "<template_includes><include><packages><p/></packages></include></template_includes>",
            'a wrong element "packages": Unknown element <p>',
        ),
        (
            f"<template_includes><include>{LOCAL}</include></template_includes>",
            "cannot be localhost",
        ),
        ('<!DOCTYPE a SYSTEM "x"><template_includes/>', "document type"),
    ],
)
def test_a_fault_is_told_with_its_place(document: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse(document.encode(), origin="f")
