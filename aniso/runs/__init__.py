"""Long computations: run directories, executors, interruptions, whole files, provenance."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[
        "array_files",
        "executors",
        "files",
        "interruptions",
        "processes",
        "provenance",
        "run_directory",
    ],
    submod_attrs={
        "_identity": ["parameter_differences"],
        "_directory_lock": ["DirectoryInUse"],
        "provenance": ["show_versions"],
    },
)
