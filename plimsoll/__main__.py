"""`python -m plimsoll` is the `plimsoll` command."""

import sys

from plimsoll.cli import main

sys.exit(main())
