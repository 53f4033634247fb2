"""The sub-command `template lock`: resolves a template to exact packages."""

import argparse
import logging
import sys

from imagefactory.builds.locking import resolve
from imagefactory.builds.planner import Planner
from imagefactory.cli.files import parameters_of, template_of
from imagefactory.cli.show import write_json
from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.core.parameters import Parameters
from imagefactory.core.template import parse
from imagefactory.engine.files import write_atomically
from imagefactory.plugins import registry

log = logging.getLogger(__name__)


def lock(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory template lock FILE [-o LOCK]`: to standard output unless a file is named."""
    found = resolve(
        parse(template_of(options.file)),
        Parameters(parameters_of(options)),
        planner=Planner(registry=registry.load(config)),
        config=config,
        log=lambda line: log.info("%s", line),
    )
    if options.out is None:
        sys.stdout.write(found.dumps())
        return 0
    try:
        write_atomically(options.out, found.dumps())
    except OSError as error:
        msg = f'The file "{options.out}" cannot be written: {error.strerror}'
        raise RequestError(msg) from error
    count, size = len(found.packages), sum(package.size for package in found.packages)
    if options.output == "json":
        write_json({"lock": str(options.out), "packages": count, "size": size}, config)
    else:
        sys.stdout.write(f'Locked {count} packages, {size / 1e6:.0f} MB, in "{options.out}"\n')
    return 0
