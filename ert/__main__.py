"""Run the command line as ``python -m ert``."""

import sys

from ert.cli.main import main

sys.exit(main())
