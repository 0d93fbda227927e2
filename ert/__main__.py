"""``python -m ert`` is the command line."""

import sys

from ert.cli import main

sys.exit(main())
