"""Runs the daemon as `python -m imagefactory.daemon`."""

import sys

from imagefactory.daemon import main

sys.exit(main())
