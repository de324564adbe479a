"""Machine and time of a measurement."""

import datetime
import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path

import psutil

from aniso import threads

PACKAGES = (
    "aniso", "numpy", "scipy", "numba", "autograd", "torch", "jax", "backpack-for-pytorch",
    "curvlinops-for-pytorch", "diffrax", "torchsde",
)  # fmt: skip


def processor():
    """Return the name of the processor, with the vector instructions that libraries choose by."""
    name, flags = platform.processor() or platform.machine(), ""
    path = Path("/proc/cpuinfo")
    if path.exists():
        entries = dict(
            (part.strip() for part in line.split(":", 1))
            for line in path.read_text().splitlines()
            if ":" in line
        )
        name, flags = entries.get("model name", name), entries.get("flags", "")
    widest = next((label for flag, label in _VECTORS.items() if flag in flags.split()), None)
    return f"{name} with {widest}" if widest else name


_VECTORS = {"avx512f": "AVX-512", "avx2": "AVX2"}


def environment(tuning):
    """Return machine, versions, load and date as plain data."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    card = graphics_processor()
    return ({} if card is None else {"device": card}) | {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": processor(),
        "cores": threads.available_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "load_before": load(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions,
        "tuning": tuning,
    }


def graphics_processor():
    """Return the name of the first graphics processor of NVIDIA; None where there is none."""
    if shutil.which("nvidia-smi") is None:
        return None
    told = subprocess.run(
        ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    names = told.stdout.splitlines()
    return names[0].strip() if told.returncode == 0 and names else None


def load():
    """Return the mean number of running processes over the last minute; None where unknown."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
