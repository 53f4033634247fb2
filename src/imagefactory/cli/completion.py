"""The sub-command `completion`: what a shell has to know to complete our command line."""

import argparse
import sys

import shtab

from imagefactory.cli.parser import make_parser
from imagefactory.core.config import Config


def completion(options: argparse.Namespace, _config: Config) -> int:
    """`imagefactory completion bash|zsh|fish|tcsh`."""
    sys.stdout.write(shtab.complete(make_parser(), shell=options.shell))
    return 0
