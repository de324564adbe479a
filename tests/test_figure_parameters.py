"""Figures with parameters of one's own: from the command, from Python, stored apart."""

import ast
import json
from concurrent import futures
from dataclasses import replace

import numpy as np
import pytest
from figure_cases import ROOT, run

from analysis import __main__ as listing
from analysis import (
    fashion_mnist,
    fig4_one_hidden_layer,
    fig9_depth,
    figure_command,
    figure_parameters,
    figure_paths,
    index,
)
from aniso import checks, datasets
from aniso.datasets import transformations
from aniso.runs import array_files

pytestmark = pytest.mark.needs_jit

FIGURE = fig4_one_hidden_layer.FIGURE
QUICK = {"num_seeds": 1, "widths": [3, 5], "every": 5, "num_epochs": 10, "num_examples": 40}
OTHER = ["--seeds", "1", "--set", "widths=3,5", "--set", "every=5", "--set", "num_epochs=10"]
OTHER += ["--set", "num_examples=40"]


def folders(tmp_path):
    return {"output": tmp_path / "figures", "runs": tmp_path / "runs"}


@pytest.mark.parametrize("name", listing.FIGURES)
def test_every_parameter_has_a_meaning_a_rule_and_a_line_in_the_help(name, capsys):
    figure = listing.FIGURES[name]
    for scale, own in figure.scales.items():
        assert set(own) - set(figure_parameters.PARAMETERS) <= {"first_seed", "margins"}
        assert figure_parameters.are_own(figure, scale, own)
        if "margins" in own:
            continue
        # the scale's own values keep every rule and are told from no others
        known = figure_parameters.of_scale(figure, scale)
        assert figure_parameters.chosen(figure, scale, known) == own
        texts = [line.split("=")[0] for line in figure_parameters.described(figure).splitlines()]
        assert {f"  {parameter}" for parameter in known} <= set(texts)
    with pytest.raises(SystemExit):
        figure_command.main(figure, ["--help"])
    told = capsys.readouterr().out
    first = next(iter(figure_parameters.of_scale(figure, "small")))
    assert f"  {first}=" in told
    assert figure_parameters.PARAMETERS[first].meaning in told


@pytest.mark.parametrize("name", listing.FIGURES)
def test_every_figure_reads_its_own_values_back(name):
    figure = listing.FIGURES[name]
    own = figure_parameters.of_scale(figure, "small")
    texts = [
        f"{key}={figure_parameters._text(value)}".replace("'", "") for key, value in own.items()
    ]
    read = figure_parameters.read(texts)
    assert figure_parameters.chosen(figure, "small", read) == figure.scales["small"]


def test_the_command_and_python_agree_and_lie_apart(tmp_path, capsys):
    found = FIGURE.run(**folders(tmp_path), **QUICK)
    assert found.arrays["alignment"].shape == (1, 2, 3)
    assert found.arrays["epochs"].tolist() == [0, 5, 10]
    assert {claim.name for claim in found.claims} >= {"anisotropic at h = 3"}
    data, *pictures = found.paths
    assert data.parent == tmp_path / "figures" / "own" / "data"
    assert all(path.parent == tmp_path / "figures" / "own" for path in pictures)
    assert pictures[0].read_bytes().startswith(b"\x89PNG")
    assert str(data) in repr(found)
    assert "[description]" in repr(found) or "] Tr(H Sigma) exceeds" in repr(found)
    assert json.loads(data.with_suffix(".json").read_text())["parameters"] == QUICK
    # the command takes up what Python has stored
    assert run(FIGURE, tmp_path, *OTHER, "--plot-only") == 0
    assert str(data.with_name(f"{data.stem}.png").name) in capsys.readouterr().out
    # nothing of it is taken for the standard figure
    with pytest.raises(SystemExit):
        run(FIGURE, tmp_path, "--plot-only")
    assert index.stored_figures(tmp_path / "figures") == {}


def test_parameters_reach_the_computation(tmp_path):
    at = folders(tmp_path)
    found = FIGURE.run(**at, **QUICK)
    stored, _ = array_files.load_arrays(found.paths[0])
    for name, array in found.arrays.items():
        np.testing.assert_array_equal(stored[name], array)
    faster = FIGURE.run(**at, **QUICK, learning_rate=0.05)
    np.testing.assert_array_equal(faster.arrays["loss"][..., 0], found.arrays["loss"][..., 0])
    assert (faster.arrays["loss"][..., 1:] != found.arrays["loss"][..., 1:]).all()
    batches = FIGURE.run(**at, **QUICK, batch_size=20)
    # with replacement the covariance of a mean is 1/B of one example's
    np.testing.assert_allclose(batches.arrays["alignment"] * 2, found.arrays["alignment"])
    assert len({str(result.paths[0]) for result in (found, faster, batches)}) == 3


def test_a_scales_own_values_are_the_standard_figure(tmp_path):
    own = {"widths": (32, 128), "every": 10, "learning_rate": 1e-3, "num_epochs": 31}
    parameters = figure_parameters.chosen(FIGURE, "small", own)
    assert parameters == FIGURE.scales["small"]
    path = figure_paths.data_file(FIGURE, "small", parameters, tmp_path)
    assert path == tmp_path / "data" / "fig4_one_hidden_layer_small.npz"
    seeds = figure_paths.data_file(FIGURE, "small", parameters | {"num_seeds": 4}, tmp_path)
    assert seeds == tmp_path / "data" / "fig4_one_hidden_layer_small_seeds4.npz"


REFUSED = [
    ("fig4_one_hidden_layer", "small", {"widhts": [16]}, "widhts=.16.; fig4_one_hidden_layer has"),
    ("fig4_one_hidden_layer", "small", {"widhts": [16]}, "num_seeds, .*widths"),
    ("fig4_one_hidden_layer", "small", {"widths": []}, "widths=..; expected different values"),
    ("fig4_one_hidden_layer", "small", {"widths": [4, 4]}, "widths=.4, 4.; expected different"),
    ("fig4_one_hidden_layer", "small", {"widths": [8, 4]}, "widths=.8, 4.; expected increasing"),
    ("fig4_one_hidden_layer", "small", {"widths": [0]}, r"widths.0.=0; expected an integer"),
    ("fig4_one_hidden_layer", "small", {"widths": "wide"}, r"widths.0.='wide'; expected an int"),
    ("fig4_one_hidden_layer", "small", {"learning_rate": -1.0}, "learning_rate=-1.0; expected"),
    ("fig4_one_hidden_layer", "small", {"learning_rate": "fast"}, "learning_rate='fast'"),
    ("fig4_one_hidden_layer", "small", {"learning_rate": float("nan")}, "learning_rate=nan"),
    ("fig4_one_hidden_layer", "small", {"batch_size": 2000}, "<= num_examples=1000"),
    ("fig3_fashion_mnist", "small", {"batch_size": 121}, "batch_size <= num_train=120"),
    ("fig3_fashion_mnist", "small", {"num_records": 251}, "num_records <= num_steps=250"),
    ("fig3_fashion_mnist", "small", {"num_train": 1201}, "num_train <= 1200"),
    ("fig3_fashion_mnist", "small", {"perceptron": {"hidden": 3}}, "expected {.pooling.: "),
    ("fig3_fashion_mnist", "medium", {"perceptron": {}}, "no such parameter at scale medium"),
    ("fig3_fashion_mnist", "study", {"radius": 0.1}, "scale study is a study"),
    ("fig8_escape", "small", {"forecast_steps": [20, 5]}, "expected increasing values"),
    ("fig10_stability", "small", {"learning_rates": [0.2, 0.1]}, "expected increasing values"),
    ("fig10_stability", "small", {"check_interval": 151}, "check_interval <= num_steps=150"),
    ("fig9_depth", "small", {"num_train": 245}, "num_train <= 244"),
    ("fig1_generalization", "small", {"datasets": ["mnist"]}, "datasets.0.='mnist'; expected one"),
    ("fig1_generalization", "paper", {"num_train": {"mnist": 3}}, "num_train='mnist'; expected"),
    ("alignment_and_exit", "small", {"noise_factor": 1.5}, "noise_factor <= 1"),
]


# of these, large values take time or make no difference
WITHOUT_MEMORY = {"check_interval", "every", "gd_steps", "refresh_interval", "seed"}
# and these are held against the data, see `vgg.prepare` and the layers that pool
OF_THE_DATA = {"num_train", "num_test", "num_validation", "pooling"}
HUGE = 10**13


def counts_of(figure):
    """Parameters of the small scale that are counts, with a value that would take terabytes."""
    for name, value in figure_parameters.of_scale(figure, "small").items():
        if name in WITHOUT_MEMORY | OF_THE_DATA:
            continue
        if isinstance(value, int):
            yield name, HUGE
        elif isinstance(value, dict):
            yield name, dict.fromkeys(value, HUGE)
        elif isinstance(value, (list, tuple)) and isinstance(value[-1], int):
            yield name, [*value, HUGE]


@pytest.mark.parametrize("name", listing.FIGURES)
def test_counts_that_would_fill_the_memory_are_refused_by_name(name):
    figure = listing.FIGURES[name]
    found = list(counts_of(figure))
    assert found
    for parameter, value in found:
        with pytest.raises(checks.InputError, match=f"{parameter}.*{HUGE}; expected .* <= "):
            figure_parameters.chosen(figure, "small", {parameter: value})


@pytest.mark.parametrize("name", ["fig1_generalization", "vgg_tuning"])
def test_counts_beyond_the_images_are_refused_before_the_work(tmp_path, name):
    for parameter in ("num_train", "num_test", "num_validation"):
        with pytest.raises(checks.InputError, match=r"expected at least 10{10}"):
            listing.FIGURES[name].run(**folders(tmp_path), **{parameter: HUGE})
    with pytest.raises(checks.InputError, match="width=100"):
        listing.FIGURES[name].run(**folders(tmp_path), width=100)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("name", "scale", "given", "message"), REFUSED)
def test_the_impossible_is_refused_by_name(tmp_path, name, scale, given, message):
    with pytest.raises(checks.InputError, match=message):
        listing.FIGURES[name].run(scale, **folders(tmp_path), **given)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "widths"], "--set widths; expected NAME=VALUE"),
        (["--set", "widths=4", "--set", "widths=8"], "widths is given twice"),
        (["--set", "widhts=4"], "widhts=4; fig4_one_hidden_layer has no such parameter"),
        (["--set", "learning_rate=fast"], "learning_rate='fast'"),
        (["--seeds", "2", "--set", "num_seeds=3"], "give one of them"),
        (["--seeds", "9999999999999"], "--seeds=9999999999999; expected an integer with 1 <= "),
    ],
)
def test_the_command_refuses_with_status_two(tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as ended:
        run(FIGURE, tmp_path, *arguments)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"executor": 3}, "executor=3; expected one of: serial, processes, .* with submit"),
        ({"executor": None}, "executor=None; expected one of: serial"),
        ({"scale": 3}, "scale=3; expected one of: small, medium, paper"),
        ({"scale": ["small"]}, r"scale=\['small'\]; expected one of: small"),
        ({"output": 3}, "output=3; expected the path of a folder, or None for '.*figures'"),
        ({"output": ""}, "output=''; expected the path of a folder"),
        ({"runs": 3}, "runs=3; expected the path of a folder, or None for '.*runs'"),
        ({"runs": b"r"}, "runs=b'r'; expected the path of a folder"),
        ({"fresh": "no"}, "fresh='no'; expected True or False"),
    ],
)
def test_arguments_of_other_types_are_refused_by_name(tmp_path, given, message):
    with pytest.raises(checks.InputError, match=message):
        FIGURE.run(**folders(tmp_path) | given)
    assert list(tmp_path.iterdir()) == []


def test_an_executor_itself_is_taken(tmp_path):
    with futures.ThreadPoolExecutor(1) as pool:
        found = FIGURE.run(**folders(tmp_path), executor=pool, **QUICK)
    again = FIGURE.run(output=tmp_path / "again", runs=tmp_path / "more", **QUICK)
    np.testing.assert_array_equal(found.arrays["alignment"], again.arrays["alignment"])


def test_runs_that_make_no_unit_are_refused(tmp_path):
    with pytest.raises(checks.InputError, match="num_runs=15; expected a multiple of 10"):
        listing.FIGURES["fig8_escape"].run(**folders(tmp_path), num_runs=15)
    with pytest.raises(checks.InputError, match="expected two or more"):
        listing.FIGURES["fig10_stability"].run(**folders(tmp_path), learning_rates=[0.1])


def test_a_failing_unit_is_raised(tmp_path, capsys):
    def compute(*_):
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="fig4_one_hidden_layer: a unit of work failed"):
        replace(FIGURE, compute_unit=compute).run(**folders(tmp_path), **QUICK)
    assert "no luck" in capsys.readouterr().err


def test_the_limits_are_what_the_data_hold():
    images = datasets.fashion_mnist()
    assert len(images.train_labels) == fashion_mnist.LIMITS["num_train"]
    pair, _ = transformations.pair(images.train_images, images.train_labels, *fig9_depth.CLASSES)
    assert len(pair) == fig9_depth.LIMITS["num_train"]


def test_no_module_of_the_figures_but_their_scripts_imports_the_command():
    def imports(path):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        return {alias.name for node in nodes for alias in node.names}

    paths = (ROOT / "analysis").glob("*.py")
    found = {path.stem for path in paths if "figure_command" in imports(path)}
    assert found == set(listing.FIGURES)
