"""A type checker reads these programs; pytest does not collect them."""

collect_ignore_glob = ["*.py"]
