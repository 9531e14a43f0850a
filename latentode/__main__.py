"""``python -m latentode`` is the command line."""

import sys

from latentode.cli import main

if __name__ == "__main__":
    sys.exit(main())
