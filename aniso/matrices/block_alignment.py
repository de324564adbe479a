"""INTERIM"""
from dataclasses import dataclass
import numpy as np
from aniso.matrices import exact_traces

@dataclass(frozen=True)
class BlockAlignment:
    names: tuple
    hessian_traces: np.ndarray
    noise_traces: np.ndarray
    alignments: np.ndarray
    isotropics: np.ndarray
    hessian_trace: float
    noise_trace: float
    alignment: float
    isotropic: float


def alignment_by_block(hessian, covariance, blocks):
    curved, noisy = map(exact_traces.significant_trace, (hessian, covariance))
    aligned = exact_traces.trace_of_product(hessian, covariance) if noisy else 0.0
    h, c = hessian.to_dense(), np.asarray(covariance.to_dense())
    ht = np.array([np.trace(h[b, b]) for b in blocks.values()])
    ct = np.array([np.trace(c[b, b]) for b in blocks.values()])
    al = np.array([np.sum(h[b, b] * c[b, b]) for b in blocks.values()])
    sizes = np.array([len(h[b]) for b in blocks.values()])
    return BlockAlignment(tuple(blocks), ht, ct, al, ht * ct / sizes, curved, noisy, aligned, curved * noisy / len(h))
