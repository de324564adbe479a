"""One implementation in its own process: reads names of quantities, answers with seconds.

Every line on standard input is a JSON object ``{"quantity": ..., "repeat": bool}``; every answer a
line ``{"seconds": ..., "peak_bytes": ...}``. The first answer lists what there is.
"""

import importlib
import json
import os
import resource
import sys
import time

import curvature_problems as common
import numpy as np

IMPLEMENTATIONS = {
    "aniso": ("engine_aniso", "engine"),
    "autograd": ("engine_aniso", "autograd"),
    "torch eager": ("peers_torch", "eager"),
    "torch.func": ("peers_torch", "functional"),
    "torch tiled": ("peers_torch", "tiled"),
    "BackPACK": ("peers_torch", "backpack"),
    "curvlinops": ("peers_torch", "curvlinops"),
    "JAX": ("peers_jax", "compiled"),
    "JAX tiled": ("peers_jax", "tiled"),
}


def main():
    """Serve one implementation until standard input ends."""
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not enter the answers
    implementation, model, dtype, num_examples = sys.argv[1:5]
    module, function = IMPLEMENTATIONS[implementation]
    try:
        source = importlib.import_module(module)
    except ImportError as error:
        return _answer(channel, {"missing": str(error)})
    problem = common.problem(model, int(num_examples)).cast(np.dtype(dtype))
    found = getattr(source, function)(problem)
    if "gradient" in found and model == "fashion":
        found["gradient_100"] = getattr(source, function)(problem.head(100))["gradient"]
    _answer(channel, {"quantities": sorted(found)})
    for line in sys.stdin:
        request = json.loads(line)
        run = found[request["quantity"]]
        result = None  # freed first: a second copy would be paid for in page faults
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        result = run()
        seconds = time.perf_counter() - start
        answer = {"seconds": seconds}
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answer["peak_bytes"] = 1024 * peak
        answer["grown_bytes"] = 1024 * (peak - before)
        if request.get("checksum"):
            array = source.as_array(result) if hasattr(source, "as_array") else np.asarray(result)
            answer["checksum"] = float(np.linalg.norm(np.asarray(array, dtype=np.float64)))
        _answer(channel, answer)
    return 0


def _answer(channel, content):
    channel.write(json.dumps(content) + "\n")
    channel.flush()


if __name__ == "__main__":
    sys.exit(main())
