"""`python -m separations.run`."""

import sys

try:
    from .execute import main
except KeyboardInterrupt:  # while it is imported, before it listens to signals
    sys.stderr.write("separations.run: stopped by SIGINT\n")
    sys.exit(130)

sys.exit(main())
