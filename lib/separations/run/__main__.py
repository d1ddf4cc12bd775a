"""`python -m separations.run`."""

import sys

from .execute import main

sys.exit(main())
