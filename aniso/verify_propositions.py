"""The command ``python -m aniso.verify_propositions``: does the theory hold, in numbers?"""

import sys

from aniso.propositions import command

if __name__ == "__main__":
    sys.exit(command.program())
