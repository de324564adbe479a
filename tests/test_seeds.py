"""Every random number of the tests follows from --seed, and a failure names the seed."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import seeds

TESTS = Path(__file__).parent
# run in child processes too, which do not know the option; no statistical claim rests on them
FIXED = {
    *("executor_units.py", "rank_programs.py", "jax_cases.py", "seeds.py"),
    *("test_jax_tokens.py", "test_own_figures.py", "test_decisions.py"),  # made-up data
    "diagnosis_cases.py",  # what pages and drawings show
}
RANDOM = """
import numpy as np
import seeds
from hypothesis import given, strategies as st

CONSTANT = seeds.integer("constant")
drawn = []

@given(st.integers(0, 2**60))
def test_by_hypothesis(number):
    drawn.append(number)

def test_that_fails(rng):
    numbers = (CONSTANT, rng.random(), seeds.generator().random(), seeds.generator("k").random())
    print("drawn:", *numbers, *drawn)
    assert not drawn
"""


def constant_generators(tree):
    """Lines that make a generator without a seed, or from a number written there."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).endswith(("default_rng", "SeedSequence"))
            and all(isinstance(argument, ast.Constant) for argument in node.args)
        ):
            yield node.lineno


def test_no_test_draws_from_a_seed_of_its_own():
    found = {
        path.name: list(constant_generators(ast.parse(path.read_text(encoding="utf-8"))))
        for path in TESTS.glob("*.py")
        if path.name not in FIXED and not path.name.startswith("pickle_")
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize("call", ["default_rng()", "default_rng(7)", "SeedSequence(entropy=None)"])
def test_a_planted_generator_is_found(call):
    assert list(constant_generators(ast.parse(f"rng = np.random.{call}"))) == [1]
    assert list(constant_generators(ast.parse("rng = seeds.generator(seed)"))) == []


def test_generators_of_a_test_differ_and_keyed_ones_are_equal():
    assert seeds.generator().random() != seeds.generator().random()
    assert seeds.generator("a").random() == seeds.generator("a").random()
    assert seeds.generator("a").random() != seeds.generator("b").random()
    assert 0 <= seeds.integer("a") < 2**32


def test_a_failure_names_the_seed_that_repeats_it(tmp_path):
    for name in ("conftest.py", "seeds.py"):
        shutil.copy(TESTS / name, tmp_path)
    (tmp_path / "test_random.py").write_text(RANDOM)

    def drawn(seed):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--seed", seed],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1, done.stdout
        assert f"random tests: --seed {seed}" in done.stdout
        repeat = f"python -m pytest 'test_random.py::test_that_fails' --seed {seed}"
        assert repeat in done.stdout
        (line,) = (line for line in done.stdout.splitlines() if line.startswith("drawn:"))
        return line.split()[1:]

    first, other = drawn("3"), drawn("4")
    shutil.rmtree(tmp_path / ".hypothesis", ignore_errors=True)
    assert drawn("3") == first
    assert all(a != b for a, b in zip(first[:4], other[:4], strict=True))
    assert first[4:] != other[4:]
