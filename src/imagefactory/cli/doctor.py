"""The sub-command `doctor`: what this machine can do, and what is missing for the rest."""

import argparse
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from imagefactory.cli.show import write_json
from imagefactory.core.config import Config
from imagefactory.core.errors import ToolMissing
from imagefactory.engine.host import FOREIGN_PROGRAMS, PROGRAMS, RPM_PROGRAMS, SEARCH_PATH
from imagefactory.engine.sandbox import SubordinateIds
from imagefactory.plugins.registry import load

_EXAMPLE_SPACE = 4 << 30  # bytes that a build of the example needs, its caches included


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    fine: bool
    remedy: str | None = None
    needed: bool = True  #: whether the main job cannot do without it


def doctor(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory doctor`: 0 when a template can become a tested image here."""
    findings = [*_programs(), _ids(), _space(config), *_plugins(config)]
    if options.output == "json":
        write_json([asdict(finding) for finding in findings], config)
    else:
        for finding in findings:
            mark = "ok     " if finding.fine else "MISSING" if finding.needed else "without"
            remedy = f": {finding.remedy}" if finding.remedy and not finding.fine else ""
            sys.stdout.write(f"{mark}  {finding.subject}{remedy}\n")
    return 0 if all(finding.fine or not finding.needed for finding in findings) else 1


def _programs() -> Iterator[Finding]:
    for program, package in PROGRAMS.items():
        yield Finding(
            subject=f'program "{program}"',
            fine=shutil.which(program, path=SEARCH_PATH) is not None,
            remedy=f"apt-get install {package}",
            needed=program not in RPM_PROGRAMS | FOREIGN_PROGRAMS,
        )


def _ids() -> Finding:
    subject = "subordinate ids for the sandbox"
    try:
        SubordinateIds.of_this_user()
    except ToolMissing as error:
        return Finding(subject=subject, fine=False, remedy=error.hint)
    return Finding(subject=subject, fine=True)


def _space(config: Config) -> Finding:
    folder = next(parent for parent in (config.state, *config.state.parents) if parent.exists())
    free = shutil.disk_usage(folder).free
    return Finding(
        subject=f'{free / (1 << 30):.1f} GiB free for "{config.state}"',
        fine=free >= _EXAMPLE_SPACE,
        remedy=f"at least {_EXAMPLE_SPACE >> 30} GiB are needed; choose another folder with --state",
    )


def _plugins(config: Config) -> Iterator[Finding]:
    for info in load(config).infos():
        yield Finding(
            subject=f'plugin "{info["id"]}"',
            fine="ERROR" not in info,
            remedy=str(info.get("ERROR", "")),
            needed=False,
        )
