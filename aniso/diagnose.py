"""The command ``python -m aniso.diagnose``: curvature and noise of a problem of one's own."""

from aniso.diagnostics import command

if __name__ == "__main__":
    command.program()
