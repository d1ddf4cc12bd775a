"""`python -m separations.book`."""

import sys

from .command import main

sys.exit(main())
