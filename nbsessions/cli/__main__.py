"""``python -m nbsessions.cli``: the same as ``nbsessions``."""

import sys

from nbsessions.cli import main

sys.exit(main())
