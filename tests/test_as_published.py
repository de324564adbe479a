"""The dynamics of the published scripts beside the stated ones, paired by seed."""

import json
import re

import numpy as np
import pytest

from analysis import as_published, discrepancies, index
from analysis.fig3_fashion_mnist import ANISOTROPIC, DYNAMICS
from aniso.runs import array_files

MARGINS = {"sharpness": 1.5, "accuracy": 0.01}
LEADING = DYNAMICS.index("gld_leading")


def variant(rng, first_seed, num_seeds, **more):
    """Return description and arrays of Figure 3 with nearly the same end in every seed."""
    shape = num_seeds, len(DYNAMICS), 2
    seeds = first_seed + np.arange(num_seeds)
    arrays = {
        "expected_sharpness": np.exp(seeds)[:, None, None] * (1 + 0.01 * rng.random(shape)),
        "test_accuracy": 0.5 + 0.01 * (seeds % 7)[:, None, None] + 0.001 * rng.random(shape),
        "accuracy": np.ones(shape),
    }
    parameters = {"num_seeds": num_seeds, "first_seed": first_seed, "margins": MARGINS} | more
    description = {"figure": "fig3_fashion_mnist", "key": "", "claims": []}
    return description | {"scale": "study_n300", "parameters": parameters}, arrays


def ends_with_a_difference(rng):
    stated, published = variant(rng, 3, 6), variant(rng, 1, 8)
    published[1]["expected_sharpness"][:, LEADING] *= 3
    published[1]["test_accuracy"][:, LEADING] -= 0.05
    published[1]["accuracy"][-1, LEADING, -1] = 0.2
    return as_published.ends_of_both(published, stated)


def test_a_planted_difference_is_found_and_the_others_are_equivalent(rng):
    ends = ends_with_a_difference(rng)
    assert ends["seeds"].tolist() == [3, 4, 5, 6, 7, 8]  # sharpness grows by e a seed: paired right
    assert [e.ratio for e in as_published.effects(ends, MARGINS)] == [True] * 5 + [False] * 5
    text = as_published.told(ends, MARGINS)
    sharpness, rates = text.split("; test accuracy")
    assert "seeds 3 to 8: sharpness by the factor GLD leading 3 (3 to 3, more)" in sharpness
    assert re.search(r"GLD leading -[45]\.\d\d \([^)]*, less\)", rates)
    assert sharpness.count("equivalent") == rates.count("equivalent") == len(ANISOTROPIC) - 1
    assert "1 of 6 runs of GLD leading as published end below 0.9 training accuracy" in rates


def test_variants_without_two_common_seeds_are_not_compared(rng):
    assert as_published.ends_of_both(variant(rng, 0, 3), variant(rng, 2, 3)) is None
    assert as_published.ends_of_both(variant(rng, 0, 3), variant(rng, 1, 3))["seeds"].size == 2


@pytest.mark.parametrize("scale", ["study_n300", "study"])
def test_only_variants_of_one_scale_are_compared(rng, tmp_path, scale):
    data = tmp_path / "data"
    data.mkdir()
    for stem, (description, arrays) in (
        ("fig3_fashion_mnist_study_n300", variant(rng, 0, 5)),
        (f"fig3_fashion_mnist_{scale}_seeds3_as_published", variant(rng, 0, 3, preset="...")),
    ):
        if "preset" in description["parameters"]:
            description["scale"] = scale
        (data / f"{stem}.json").write_text(json.dumps(description))
        array_files.save_arrays(data / f"{stem}.npz", arrays, "")
    found = as_published.stored(tmp_path)
    told = discrepancies.page(discrepancies.rows({}, found))
    assert ("scale study_n300, the scripts' ends" in told) == (scale == "study_n300")
    assert index.stored_figures(tmp_path).keys() <= {"fig3_fashion_mnist"}
