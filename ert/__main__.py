"""``python -m ert`` is the command line."""

import sys

from ert.cli.main import main

sys.exit(main())
