"""Second derivatives of a network at one theta."""
