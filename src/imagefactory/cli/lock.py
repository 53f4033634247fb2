"""The sub-command `template lock`: resolves a template to exact packages."""

import argparse
import logging
import sys

from imagefactory.cli.files import parameters_of, template_of
from imagefactory.cli.service import open_drafts
from imagefactory.cli.show import write_json
from imagefactory.core.config import Config
from imagefactory.core.errors import RequestError
from imagefactory.engine.files import write_atomically

log = logging.getLogger(__name__)


def lock(options: argparse.Namespace, config: Config) -> int:
    """`imagefactory template lock FILE [-o LOCK]`: to standard output unless a file is named."""
    with open_drafts(config) as drafts:
        found = drafts.lock(
            template_of(options.file),
            parameters_of(options),
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
