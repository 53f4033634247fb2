"""The sub-command `diff`: how two images differ."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from imagefactory.cli.service import open_service
from imagefactory.cli.show import write_json
from imagefactory.core.config import Config


def diff(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory diff ID ID`: `-` is in the first only, `+` in the second only, `~` in both."""
    with open_service(config) as service:
        facts = service.diff(options.id, options.other)
    if options.output == "json":
        write_json({"diff": facts}, config)
    else:
        sys.stdout.writelines(f"{line}\n" for line in _lines(facts))
    return 0


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    old, new = facts["from"]["size"], facts["to"]["size"]
    if old != new:
        yield f"~ size {old} {new}"
    for noun, key in (("kernel_argument", "argument"), ("package", "name"), ("file", "path")):
        changes = facts[f"{noun}s"]
        word = noun.replace("_", " ")
        if changes is None:
            yield f"? {word}s: one of the two has no record of them"
            continue
        for change in (entry[noun] for entry in changes):
            yield f"{_sign(change)} {word} {change[key]}{_detail(change)}"


def _sign(change: Mapping[str, Any]) -> str:
    if change["from"] is None:
        return "+"
    return "-" if change["to"] is None else "~"


def _detail(change: Mapping[str, Any]) -> str:
    match change["from"], change["to"]:
        case str() as old, str() as new:
            return f" {old} -> {new}"
        case dict() as old, dict() as new:
            named = [key for key in old if old[key] != new[key] and key != "sha256"]
            shown = "".join(f" {key} {old[key]} -> {new[key]}" for key in named)
            return shown or " content"
        case (None, str() as only) | (str() as only, None):
            return f" {only}"
        case _:
            return ""
