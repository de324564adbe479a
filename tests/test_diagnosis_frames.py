"""A diagnosis as text and as tables of pandas and xarray, with the remedy without them."""

import copy
import json
import math
import sys

import diagnosis_cases
import pytest

from aniso.diagnostics import Diagnosis, Reading
from aniso.diagnostics.frames import as_dataframe, as_dataset


@pytest.mark.parametrize(
    ("method", "package"), [("to_dataframe", "pandas"), ("to_xarray", "xarray")]
)
def test_an_absent_package_is_named_with_its_remedy(method, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'aniso\[tables\]'") as caught:
        getattr(diagnosis_cases.bare(), method)()
    assert f"{package} is not installed; expected it for {method}" in str(caught.value)


def test_texts_and_copies_keep_every_number():
    for diagnosis in (diagnosis_cases.realistic(), diagnosis_cases.bare()):
        assert Diagnosis.from_json(diagnosis.to_json()) == diagnosis
        assert copy.deepcopy(diagnosis) == diagnosis
    strange = Diagnosis.from_json(diagnosis_cases.hostile().to_json())
    assert math.isnan(strange.blocks["empty"]["share"])
    assert strange["endless"].value == -math.inf
    assert strange.settings == diagnosis_cases.hostile().settings


def test_the_data_frame_has_a_row_for_each_reading_and_each_refusal():
    pytest.importorskip("pandas")
    diagnosis = diagnosis_cases.realistic()
    frame = diagnosis.to_dataframe()
    assert list(frame.index) == [*diagnosis, *diagnosis.refused]
    assert frame.index.name == "quantity"
    for name, reading in diagnosis.items():
        row = frame.loc[name]
        assert (row["value"], row["standard_error"]) == (reading.value, reading.standard_error)
        assert row["error_probes"] == reading.errors.get("probes", 0.0)
        assert (row["formula"], row["refused"]) == (reading.formula, "")
    assert frame.loc["alignment", "assumptions"].count("; ") == 1
    for name, reason in diagnosis.refused.items():
        assert math.isnan(frame.loc[name, "value"])
        assert frame.loc[name, "refused"] == reason


def test_an_empty_diagnosis_keeps_the_columns():
    pytest.importorskip("pandas")
    frame = as_dataframe(Diagnosis({}))
    assert len(frame) == 0
    assert {"value", "standard_error", "refused"} < set(frame.columns)


def test_the_data_set_has_readings_blocks_and_density():
    pytest.importorskip("xarray")
    diagnosis = diagnosis_cases.realistic()
    dataset = diagnosis.to_xarray()
    for name, reading in diagnosis.items():
        assert float(dataset[name]) == reading.value
        assert dataset[name].attrs["formula"] == reading.formula
        assert (f"{name}_error" in dataset) == bool(reading.errors)
    assert float(dataset["alignment_error"]) == diagnosis["alignment"].standard_error
    assert list(dataset["block"].values) == list(diagnosis.blocks)
    for block, columns in diagnosis.blocks.items():
        for column, value in columns.items():
            assert float(dataset[f"block {column}"].sel(block=block)) == value
    details = diagnosis["spectral_density"].details
    for curve in ("density", "lower", "upper"):
        assert dataset[f"spectral_density_{curve}"].values.tolist() == details[curve]
    points = dataset["spectral_density_density"]["spectral_density_eigenvalue"]
    assert points.values.tolist() == details["eigenvalues"]
    assert json.loads(dataset.attrs["settings"]) == dict(diagnosis.settings)
    assert json.loads(dataset.attrs["refused"]) == dict(diagnosis.refused)


def test_data_sets_of_several_checkpoints_join_along_a_run():
    xarray = pytest.importorskip("xarray")
    made = [
        as_dataset(Diagnosis({"loss": Reading("loss", value, {"probes": value / 10})}))
        for value in (4.0, 2.0, 1.0)
    ]
    run = xarray.concat(made, dim="step", combine_attrs="override")
    assert run["loss"].values.tolist() == [4.0, 2.0, 1.0]
    assert run["loss_error"].values.tolist() == [0.4, 0.2, 0.1]


def test_blocks_that_lack_a_column_have_nan_there():
    pytest.importorskip("xarray")
    blocks = {"a": {"ratio": 2.0}, "b": {"share": 0.5}}
    dataset = as_dataset(Diagnosis({}, blocks=blocks))
    assert dataset["block ratio"].values[0] == 2.0
    assert math.isnan(dataset["block ratio"].values[1])
    assert math.isnan(dataset["block share"].values[0])
