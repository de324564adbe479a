"""The program of the page on monitors runs, and shows what the page says of gradient descent."""

import re
from pathlib import Path

import numpy as np
import pytest

from aniso import diagnostics

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "monitor.md"


@pytest.mark.needs_jit
def test_the_program_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = re.findall(r"```python\n(import.*?)```", PAGE.read_text(encoding="utf-8"), re.S)[-1]
    assert "NUM_STEPS, ETA = 3000, 0.1" in program
    exec(program.replace("3000", "50"), {})
    assert (tmp_path / "edge_of_stability.png").stat().st_size > 10_000
    record = diagnostics.read_record("edge_of_stability")
    assert record.steps == (0, 50)
    sharpness = record.series("leading_eigenvalue").values
    # it has begun to rise towards 2/η = 20
    assert sharpness[0] < sharpness[1] < 20
    np.testing.assert_array_equal(record.series("learning_rate").values, 0.1)
