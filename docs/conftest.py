"""What pytest leaves alone here: programs that run when they are imported."""

collect_ignore_glob = [
    "conf.py",
    "check_*.py",
    "reference_pages.py",
    "required.py",
    "gallery/*",
    "examples/*",
    "_build/*",
]
