"""Commands of the instructor's program: ``python -m grading --help``, run in ``exercises``."""

import sys

from .commands import main

if __name__ == "__main__":
    sys.exit(main())
