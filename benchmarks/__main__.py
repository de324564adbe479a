"""``python -m benchmarks``."""

import sys

from benchmarks import command

if __name__ == "__main__":
    sys.exit(command.main())
