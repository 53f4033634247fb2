"""Reads licences out of machine-readable `debian/copyright` files (DEP-5, Debian Policy 12.5)."""

import re
from typing import Final

from imagefactory.core.bill import Licensing
from imagefactory.engine.packages.deb822 import stanzas

_FORMAT: Final = re.compile(r"\s*Format(-Specification)?:", re.IGNORECASE)
_NO_TEXT: Final = "The copyright file names this licence and has no text of it."

#: Debian's short names that mean one licence of SPDX's list; those that may mean several, as "MIT" and
#: "Artistic" do, are none of it.
_SAME: Final = {
    name.lower(): name
    for name in (
        "0BSD", "AFL-2.1", "Apache-1.1", "Apache-2.0", "Artistic-2.0", "BSD-2-Clause", "BSD-3-Clause",
        "BSD-4-Clause", "BSD-4-Clause-UC", "BSL-1.0", "bzip2-1.0.6", "CC-BY-3.0", "CC-BY-4.0",
        "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC0-1.0", "CDDL-1.0", "curl", "EPL-1.0", "EPL-2.0", "FSFAP", "FSFUL",
        "FSFULLR", "HPND", "ISC", "MIT-0", "MPL-1.1", "MPL-2.0", "NTP", "OFL-1.1", "OpenSSL",
        "PostgreSQL", "PSF-2.0", "SMLNJ", "Unlicense", "Unicode-DFS-2016", "Vim", "WTFPL", "X11", "Zlib",
    )
} | {
    "expat": "MIT",
    "apache-2": "Apache-2.0",
    "cc0": "CC0-1.0",
    "psf-2": "PSF-2.0",
    "wtfpl-2": "WTFPL",
}  # fmt: skip
_GNU: Final = re.compile(
    r"(A?GPL|LGPL|GFDL)-?v?(\d(?:\.\d)?)(?:\.0)?(\+|-or-later|-only)?", re.IGNORECASE
)
_GNU_VERSIONS: Final = {
    "GPL": {"1.0", "2.0", "3.0"},
    "LGPL": {"2.0", "2.1", "3.0"},
    "AGPL": {"1.0", "3.0"},
    "GFDL": {"1.1", "1.2", "1.3"},
}
_JOINED: Final = re.compile(r"\s+(and|or)\s+", re.IGNORECASE)
_NAME: Final = re.compile(r"[A-Za-z0-9.+_-]+")
_UNFIT: Final = re.compile(r"[^A-Za-z0-9.-]+")


def read_copyright(text: str, *, source: str) -> Licensing:
    """What the file of a source package says; nothing when it is not in the machine-readable form."""
    if not _FORMAT.match(text):
        return Licensing()
    given = [each["License"] for each in stanzas(text) if each.get("License", "").strip()]
    with_files = [
        each["License"]
        for each in stanzas(text)
        if "Files" in each and each.get("License", "").strip()
    ]
    texts = {_synopsis(license_): _text(license_) for license_ in given if _text(license_)}
    wanted = sorted({_synopsis(license_) for license_ in with_files or given} - {""})
    reader = _Reader(source)
    terms = sorted({term for name in wanted for term in reader.terms(name)})
    expression = " AND ".join(_grouped(term, alone=len(terms) == 1) for term in terms)
    named = {reference: texts.get(name, _NO_TEXT) for name, reference in reader.references.items()}
    return Licensing(expression=expression or None, texts=named)


class _Reader:
    """Turns the names in one file into SPDX expressions, and remembers what it had to name itself."""

    def __init__(self, source: str) -> None:
        self._source = source
        self.references: dict[str, str] = {}  #: by Debian's name

    def terms(self, synopsis: str) -> list[str]:
        """What `GPL-2+ and Expat` and the like ask for; said in another way, it is one licence of its own."""
        words = _JOINED.split(synopsis)
        names, operators = words[::2], {word.upper() for word in words[1::2]}
        if len(operators) > 1 or not all(map(_NAME.fullmatch, names)):
            return [self._own(synopsis)]
        terms = [spdx_id(name) or self._own(name) for name in names]
        return [" OR ".join(dict.fromkeys(terms))] if operators == {"OR"} else terms

    def _own(self, name: str) -> str:
        fit = _UNFIT.sub("-", name.replace("+", "-or-later")).strip("-")
        reference = f"LicenseRef-{_UNFIT.sub('-', self._source)}-{fit}"
        self.references[name] = reference
        return reference


def spdx_id(name: str) -> str | None:
    """The SPDX licence that one of Debian's short names means beyond doubt."""
    found = _GNU.fullmatch(name)
    if found is None:
        return _SAME.get(name.lower())
    family, version, later = found[1].upper(), found[2], found[3]
    version = version if "." in version else f"{version}.0"
    if version not in _GNU_VERSIONS[family]:
        return None
    return f"{family}-{version}-" + ("or-later" if later in {"+", "-or-later"} else "only")


def _grouped(term: str, *, alone: bool) -> str:
    return term if alone or " OR " not in term else f"({term})"


def _synopsis(license_: str) -> str:
    return " ".join(license_.partition("\n")[0].split())


def _text(license_: str) -> str:
    lines = license_.split("\n")[1:]
    return "\n".join("" if line.strip() == "." else line for line in lines).strip()
