"""The report of the benchmarks: rows, exponents, pictures and tables."""

import dataclasses
import doctest
from pathlib import Path

import numpy as np
import pytest
import seeds

from aniso import checks
from benchmarks import command, growth, pictures, rows, tables
from benchmarks.groups import GROUPS

ROOT = Path(__file__).parents[1]


def record(implementation, runs, quantity="gradient", dtype="float64", **more):
    return {
        "case": "784–128–64–10, N = 300",
        "dtype": dtype,
        "quantity": quantity,
        "implementation": implementation,
        "seconds": sorted(runs)[len(runs) // 2],
        "runs": runs,
        "first_seconds": None,
        "deviation": None if implementation == "aniso" else 1e-15,
    } | more


RECORDS = [
    record("aniso", [0.002, 0.001, 0.004]),
    record("JAX", [0.003, 0.003, 0.004]),
    record("PyTorch", [0.010, 0.009, 0.011]),
    record("aniso", [0.001], dtype="float32"),
    record("JAX", [0.004], dtype="float32"),
    record("aniso", [0.1], "alignment"),
]
ENVIRONMENT = {
    "date": "2026-01-02 03:04 UTC",
    "processor": "Processor <A>",
    "cores": 2,
    "memory_gib": 24,
    "load_before": 0.1,
    "load_after": 0.2,
    "python": "3.11",
    "versions": {"numpy": "2.4"},
}


def growing(exponent, quantity="exact", case="examples N of Tr(HΣ)"):
    return [
        record(
            "aniso", [1e-6 * n**exponent], quantity, None, case=case, size=float(n),
            traced_bytes=8 * n,
        )
        for n in (100, 200, 400, 800)
    ]  # fmt: skip


def stored(**records):
    """Documents of groups as the command stores them."""
    found = {
        name: {
            "group": name,
            "quick": True,
            "seconds": 1.5,
            "environment": ENVIRONMENT,
            "records": own,
        }
        for name, own in records.items()
    }
    if "growth" in found:
        found["growth"]["exponents"] = growth.exponents(found["growth"]["records"], command.LAWS)
    return found


@pytest.fixture(scope="module")
def documents():
    trace = growing(2) + growing(1, "deflated")
    return stored(dense=RECORDS, growth=growing(1, "ensemble", "paths") + trace)


def test_the_fastest_peer_is_the_best_and_the_ratio_is_the_median_over_rounds():
    first, single, alone = rows.rows_of(RECORDS)
    assert (first.peer, first.theirs, first.ratio, first.span) == ("JAX", 0.003, 1.5, (1.0, 3.0))
    assert first.others == (("JAX", 0.003), ("PyTorch", 0.010))
    assert (single.dtype, single.ratio) == ("float32", 4.0)
    assert (alone.peer, alone.ratio, alone.others) == (None, None, ())


def test_a_peer_with_another_result_does_not_compete():
    false = [*RECORDS, record("cheat", [1e-9, 1e-9, 1e-9], deviation=1e-3)]
    assert rows.rows_of(false)[0].peer == "JAX"
    assert [r["implementation"] for r in rows.deviating(false)] == ["cheat"]


def test_a_peer_without_blocks_takes_vectors_by_its_fastest_way():
    block = [record("aniso", [0.001], "block"), record("JAX", [0.005], "one")]
    block += [record("JAX", [0.003], "other"), record("PyTorch", [0.004], "block")]
    assert rows.rows_of(block)[0].peer == "PyTorch"
    (row,) = rows.rows_of(block, {"block": ("one", "other")})
    assert (row.peer, row.theirs, row.span) == ("JAX", 0.003, None)
    assert row.ratio == pytest.approx(3.0)


@pytest.mark.parametrize("exponent", [0.5, 1, 2, 3])
def test_the_exponent_of_a_power_law_is_exact(exponent):
    fitted = growth.fit_exponent([1, 3, 10, 40, 90], [7 * n**exponent for n in (1, 3, 10, 40, 90)])
    assert fitted.value == pytest.approx(exponent, abs=1e-11)
    assert fitted.standard_error < 1e-7


def test_the_standard_error_is_that_of_least_squares():
    rng = seeds.generator()
    sizes = np.array([10, 20, 50, 100, 300])
    values = sizes**1.5 * np.exp(0.1 * rng.standard_normal(5))
    fitted = growth.fit_exponent(sizes, values)
    slope, covariance = np.polyfit(np.log(sizes), np.log(values), 1, cov=True)
    assert fitted.value == pytest.approx(slope[0], abs=1e-9)
    assert fitted.standard_error == pytest.approx(np.sqrt(covariance[0, 0]), abs=1e-9)


def test_the_fit_takes_the_largest_sizes():
    sizes = [1, 2, 4, 8, 16, 32, 64]
    values = [100, 100, *[n**2 for n in sizes[2:]]]
    assert growth.fit_exponent(sizes, values).value == pytest.approx(2, abs=1e-10)


@pytest.mark.parametrize("pairs", [[(1, 1), (2, 2)], [(1, 1), (2, 2), (3, 0)], []])
def test_a_fit_of_too_little_is_refused(pairs):
    with pytest.raises(ValueError, match="expected at least 3 pairs of positive numbers"):
        growth.fit_exponent([p[0] for p in pairs], [p[1] for p in pairs])


def test_exponents_stand_beside_the_documented_ones(documents):
    found = {(e["quantity"], e["measure"]): e for e in documents["growth"]["exponents"]}
    assert found["exact", "seconds"]["exponent"] == found["exact", "seconds"]["documented"] == 2
    assert found["deflated", "seconds"]["exponent"] == 1


def test_the_tables_name_what_deviates(documents):
    deviates = [*RECORDS, record("cheat", [1e-9] * 3, deviation=1e-3)]
    text = tables.block(stored(dense=deviates))
    told = "Left out, because the result is not aniso's: cheat, 784–128–64–10, N = 300, gradient"
    assert f"{told} (by 0.001)." in text
    assert "Left out" not in tables.block(documents)


def test_a_group_of_columns_is_one_line_of_numbers():
    more = {"gradients": 1.31}
    text = tables.block(stored(dynamics=[record("aniso", [0.1], "gld_dynamic", more=more)]))
    assert "|  | GLD dynamic |" in text
    assert "| 1.3 |" in text


def test_pictures_are_drawn(documents, tmp_path):
    pictures.draw_all(documents, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"overview.png", "growth.png", "growth_of_alignment.png"}


def test_the_tables_hold_the_numbers(documents):
    text = tables.block(documents)
    assert "**Dense networks** (784–128–64–10, N = 300). A perceptron" in text
    assert "| gradient | 2.0 ms (1.0 ms) | 3.0 ms JAX (4.0 ms JAX) | 1.5 (4.0) |" in text
    assert "2026-01-02 on 2 cores" in text


def test_cases_of_one_table_are_named_in_it():
    other = [record(name, [0.5], case="2–512–1") for name in ("aniso", "JAX")]
    text = tables.block(stored(dense=[*RECORDS, *other]))
    assert "**Dense networks**. A perceptron" in text
    assert text.index("| *784–128–64–10, N = 300* |") < text.index("| *2–512–1* |")
    assert "| gradient | 500 ms | 500 ms JAX | 1.0 |" in text


def test_places_stand_side_by_side_and_another_machine_is_told():
    places = [
        record("aniso", [0.018], case="A"),
        record("aniso", [0.013], case="A", dtype="float32"),
        record("on CuPy", [0.0063], case="A"),
    ]
    documents = stored(dense=RECORDS, places=places)
    documents["places"]["environment"] = ENVIRONMENT | {"cores": 16, "device": "Card"}
    text = tables.block(documents)
    assert "|  | aniso | on PyTorch, CPU | on PyTorch, CUDA | on CuPy |" in text
    assert "| gradient | 18 ms (13 ms) | – | – | 6.3 ms |" in text
    assert text.count("Measured on 2026-01-02 on 2 cores") == 1
    assert "Measured on 2026-01-02 on 16 cores (Processor <A>, 24 GiB, Card, Python 3.11)." in text


def test_the_block_is_rewritten_once_and_for_all(documents):
    marked = f"# title\n{tables.BEGIN}\n{tables.END}\ntail\n"
    once = tables.rewritten(marked, documents)
    assert tables.rewritten(once, documents) == once
    assert once.startswith("# title\n")
    assert once.endswith("tail\n")
    planted = once.replace("| 1.5 (4.0) |", "| 9.5 (4.0) |")
    assert planted != once
    assert tables.rewritten(planted, documents) == once


def test_a_file_without_marks_is_refused(documents):
    for text in ("no marks", tables.BEGIN, f"{tables.END}{tables.BEGIN}"):
        with pytest.raises(checks.InputError, match="no block of benchmarks"):
            tables.rewritten(text, documents)


def test_the_page_agrees_with_the_stored_results():
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    results = command.load(ROOT / "benchmarks" / "results")
    assert results
    assert tables.rewritten(text, results) == text


@pytest.mark.parametrize("module", [growth, rows])
def test_examples_of_the_report_are_right(module):
    assert doctest.testmod(module) == doctest.TestResults(0, doctest.testmod(module).attempted)
    assert doctest.testmod(module).attempted


def test_stored_documents_are_read_back(documents, tmp_path):
    for name, document in documents.items():
        (tmp_path / f"{name}.json").write_text(command.dumped(document), encoding="utf-8")
    assert command.load(tmp_path) == documents


def test_every_group_says_what_it_is():
    for name, group in GROUPS.items():
        assert name == group.name
        assert next(iter(group.implementations)) == "aniso"
        assert group.cases(False)
        assert not group.in_quick or group.cases(True)
        assert set(group.headline) <= set(group.labels)
        assert dataclasses.is_dataclass(group)
