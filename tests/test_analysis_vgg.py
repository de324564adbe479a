"""Figures 1 and 6: runs made once, claims that follow the numbers, sigma by held-out accuracy."""

import numpy as np
import pytest
from figure_cases import ROOT
from place_cases import every_foreign_place

from analysis import (
    fig1_generalization,
    fig6_sharpness,
    figure_command,
    figure_paths,
    image_sources,
    vgg,
    vgg_claims,
    vgg_study,
    vgg_tuning,
)
from aniso import checks, datasets
from aniso.datasets import sets, transformations
from aniso.runs import array_files

pytestmark = pytest.mark.needs_jit
SEEDS = 3


def arrays_of(test_accuracy, sharpness):
    """What `collect` returns, with these last records for (dynamics) of one data set."""
    shape = 1, SEEDS, len(vgg.DYNAMICS), 2
    jitter = np.linspace(-1e-6, 1e-6, SEEDS)[None, :, None]
    arrays = {name: np.zeros(shape) for name in vgg.RECORDS}
    arrays["test_accuracy"][..., -1] = np.asarray(test_accuracy) + jitter
    arrays["expected_sharpness"][..., -1] = np.asarray(sharpness) + jitter
    return arrays | {"source": np.array(["the official files"]), "step": np.arange(2)}


PARAMETERS = {"datasets": ("svhn",), "num_test": 10**8}
ORDER = dict(zip(vgg.DYNAMICS, range(5), strict=True))


def verdicts(figure, arrays):
    return {c.name: str(c.verdict) for c in figure.judge(PARAMETERS, arrays)}


@pytest.mark.parametrize("figure", [fig1_generalization, fig6_sharpness])
def test_claims_follow_the_numbers(figure):
    # gd, const, dynamic, diagonal, sgd
    holds = arrays_of([0.5, 0.5, 0.5, 0.6, 0.6], [0.2, 0.2, 0.2, 0.1, 0.1])
    assert set(verdicts(figure, holds).values()) == {"holds"}
    fails = arrays_of([0.6, 0.6, 0.6, 0.5, 0.5], [0.1, 0.1, 0.1, 0.2, 0.2])
    assert set(verdicts(figure, fails).values()) == {"fails"}
    level = arrays_of([0.5] * 5, [0.1] * 5)
    assert set(verdicts(figure, level).values()) == {"not resolved"}
    lone = verdicts(figure, arrays_of([0.5, 0.5, 0.5, 0.5, 0.6], [0.2, 0.2, 0.2, 0.2, 0.1]))
    assert {name for name, verdict in lone.items() if verdict == "holds"} == {
        name for name in lone if "sgd" in name
    }


def test_a_difference_within_its_own_error_is_not_resolved():
    arrays = arrays_of([0.5, 0.5, 0.5, 0.52, 0.52], [0.2, 0.2, 0.2, 0.19, 0.19])
    arrays["expected_sharpness_error"] += 0.1
    for figure in (fig1_generalization, fig6_sharpness):
        # two hundredths of 100 images, one tenth of the error of the sharpness
        claims = figure.judge(PARAMETERS | {"num_test": 100}, arrays)
        assert {str(claim.verdict) for claim in claims} == {"not resolved"}


def test_three_seeds_get_students_factor():
    ends = np.zeros((3, 5))
    ends[:, ORDER["sgd"]] = [1.0, 2.0, 3.0]
    found = vgg_claims.compare(ends, "sgd", "gd", 0.0)
    assert (found.first, found.second, found.difference, found.remark) == (2.0, 0.0, 2.0, "")
    # standard deviation 1 over sqrt 3, times t(2)/z = 4.3027/1.9600
    assert found.standard_error == pytest.approx(4.302653 / 1.959964 / np.sqrt(3), rel=1e-6)
    wide = vgg_claims.compare(ends, "sgd", "gd", 9.0)
    assert wide.standard_error == pytest.approx(9 / np.sqrt(3))


@pytest.mark.parametrize("figure", [fig1_generalization, fig6_sharpness])
def test_seeds_that_diverge_are_named_and_left_out(figure):
    arrays = arrays_of([0.5, 0.5, 0.5, 0.6, 0.6], [0.2, 0.2, 0.2, 0.1, 0.1])
    for name in ("test_accuracy", "expected_sharpness", "expected_sharpness_error"):
        arrays[name][0, 0, ORDER["sgd"], -1] = np.nan
    for claim in figure.judge(PARAMETERS, arrays):
        assert claim.verdict == "holds"
        assert ("SGD diverged with 1 of 3 seeds" in claim.measured) == ("sgd" in claim.name)
    for name in ("test_accuracy", "expected_sharpness", "expected_sharpness_error"):
        arrays[name][0, 1, ORDER["sgd"], -1] = np.nan
    for claim in figure.judge(PARAMETERS, arrays):  # a single seed has no spread to go by
        assert claim.verdict == ("not resolved" if "sgd" in claim.name else "holds")


@pytest.mark.parametrize("figure", [fig1_generalization, fig6_sharpness])
def test_a_single_seed_resolves_nothing(figure):
    arrays = arrays_of([0.5, 0.5, 0.5, 0.6, 0.6], [0.2, 0.2, 0.2, 0.1, 0.1])
    arrays = {n: a[:, :1] if a.ndim == 4 else a for n, a in arrays.items()}
    for claim in figure.judge(PARAMETERS, arrays):
        assert claim.verdict == "not resolved"
        assert "one seed: no error bar" in claim.measured


@pytest.mark.parametrize("figure", [fig1_generalization, fig6_sharpness])
def test_diverged_runs_leave_gaps_in_the_drawing(figure):
    arrays = arrays_of([0.5] * 5, [0.1] * 5)
    for name in vgg.RECORDS:
        arrays[name][0, :, ORDER["sgd"], -1] = np.nan
        arrays[name][0, 0, ORDER["gd"], -1] = np.nan
    parameters = PARAMETERS | {"num_seeds": SEEDS, "radius": 1e-3}
    figure.draw(parameters, arrays).draw_without_rendering()  # warnings are errors


@pytest.fixture(scope="module")
def unit():
    parameters = vgg.SCALES["small"]
    (found,) = [u for u in vgg.make_units(parameters) if u["dynamics"] == "gld_constant"]
    return found | {"num_steps": 3, "num_records": 1}


def test_sigma_is_the_best_on_held_out_images(unit, tmp_path, monkeypatch):
    scores = iter([0.1, 0.3, 0.3])
    monkeypatch.setattr(vgg, "accuracy", lambda *_: next(scores))
    value = vgg.compute_unit(unit, tmp_path / "unit", None)
    assert value["validation_accuracy"].tolist() == [0.1, 0.3, 0.3]
    assert value["chosen"] == 1
    chosen, _ = array_files.load_arrays(
        next((tmp_path / "unit" / f"sigma-{int(value['chosen'])}").glob("result*.npz"))
    )
    np.testing.assert_array_equal(chosen["theta"], value["theta"])


def test_training_held_out_and_test_images_are_disjoint_and_standardised(unit):
    training, held_out, test = vgg.networks_of(unit)
    sizes = [network.num_examples for network in (training, held_out, test)]
    assert sizes == [unit["num_train"], unit["num_validation"], unit["num_test"]]
    np.testing.assert_allclose(training.inputs.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(training.inputs.std(axis=(0, 2, 3)), 1, atol=1e-5)
    rows = [np.asarray(n.inputs).reshape(n.num_examples, -1) for n in (training, held_out)]
    assert not (rows[0][:, None] == rows[1][None]).all(axis=2).any()


def test_test_images_are_the_data_sets_in_the_training_images_units(unit):
    training, _, test = vgg.networks_of(unit)
    images = vgg.load(unit["dataset"], unit["split"])
    raw = transformations.channels_first(images.test_images[: unit["num_test"]], unit["pooling"])
    np.testing.assert_array_equal(test.targets, images.test_labels[: unit["num_test"]])
    # the one affine map that takes pooled training pixels to the network's inputs
    rng = np.random.default_rng([3, unit["seed"]])
    first = rng.permutation(len(images.train_labels))[0]
    pooled = transformations.channels_first(images.train_images[first : first + 1], unit["pooling"])
    own = np.asarray(training.inputs[0]).ravel()
    slope, shift = np.polyfit(pooled.ravel(), own, 1)
    np.testing.assert_allclose(np.asarray(test.inputs), slope * raw + shift, atol=1e-4)


def test_settings_refresh_as_published(unit):
    for name in vgg.DYNAMICS:
        more = {"standard_deviation": 1e-3} if name == "gld_constant" else {}
        settings = vgg.settings_of(unit | {"dynamics": name}, **more)
        assert settings.refresh_interval == (1 if name in ("gd", "sgd") else 10)
        assert (settings.learning_rate, settings.batch_size) == (0.05, unit["batch_size"])


def test_images_are_counted_before_the_work():
    parameters = vgg.SCALES["small"] | {"num_train": 5000}
    with pytest.raises(checks.InputError, match="1200 training images in "):
        vgg.prepare(parameters)
    with pytest.raises(checks.InputError, match="2000 test images"):
        vgg.prepare(vgg.SCALES["small"] | {"num_test": 5000})


def test_runs_of_other_images_are_refused(unit):
    told = {"digest": "0" * 16, "source": "elsewhere"}
    with pytest.raises(checks.InputError, match="are not those of elsewhere"):
        vgg.networks_of(unit | {"images": told})


def save_images(folder, rng):
    """A user's CIFAR-10, small: random images."""
    parts = {}
    for part, count in (("train", 70), ("test", 60)):
        parts[f"x_{part}"] = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        parts[f"y_{part}"] = np.arange(count) % 10
    folder.mkdir()
    np.savez(folder / "cifar10.npz", **parts)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Figure 1 of CIFAR-10 in two steps, and the arguments of its command."""
    small = vgg.SCALES["small"] | {"datasets": ("cifar10",), "num_steps": 2, "num_records": 1}
    monkeypatch.setitem(vgg.SCALES, "small", small)
    monkeypatch.setenv("ANISO_DATA", "")
    arguments = ["--output", str(tmp_path / "figures"), "--runs", str(tmp_path / "runs")]

    def command(*more):
        monkeypatch.setenv("ANISO_DATA", "")  # the command sets it
        everything = [*arguments, "--executor", "serial", *more]
        return figure_command.main(fig1_generalization.FIGURE, everything)

    return command


def test_figures_of_a_users_own_images_lie_apart(tiny, tmp_path, rng, capsys):
    for name in ("first", "second"):
        save_images(tmp_path / name, rng)
        assert tiny("--data-dir", str(tmp_path / name)) == 0
        assert "[not resolved] CIFAR-10 of cifar10.npz (images " in capsys.readouterr().out
    assert not (tmp_path / "figures" / "data").exists()
    own = sorted((tmp_path / "figures" / "own" / "data").glob("*_small_images*.npz"))
    one, other = (array_files.load_arrays(path)[0] for path in own)
    assert (one["loss"] != other["loss"]).any()
    assert one["source"] != other["source"]
    # each is drawn with its own images alone, and says which they are
    for name in ("first", "second"):
        assert tiny("--data-dir", str(tmp_path / name), "--plot-only") == 0
        said = capsys.readouterr().out
        digest = vgg.digest(datasets.cifar10(tmp_path / name))
        source = f"cifar10.npz, a file of the user's (digest {digest})"
        assert f"the stored data are of {source}" in said
        assert f"CIFAR-10 of cifar10.npz (images {digest[:8]})" in said
    with pytest.raises(SystemExit):
        tiny("--plot-only")
    assert "holds no data of these parameters" in capsys.readouterr().err


def test_the_images_of_the_stored_studies_are_no_ones_own(tiny, tmp_path, rng, monkeypatch, capsys):
    for name in ("first", "second"):
        save_images(tmp_path / name, rng)
    first, second = (datasets.cifar10(tmp_path / name) for name in ("first", "second"))
    for images in (first, second):
        known = {"cifar10": vgg.digest(images)}
        monkeypatch.setattr(image_sources, "_OF_THE_STUDIES", known)
        folder = "first" if images is first else "second"
        assert tiny("--data-dir", str(tmp_path / folder)) == 0
    # one of the repository's image sets has taken the place of the other
    assert "of other images: computed anew" in capsys.readouterr().out
    path = tmp_path / "figures" / "data" / "fig1_generalization_small.npz"
    assert array_files.load_arrays(path)[0]["source"] == [second.source]
    assert tiny("--plot-only") == 0
    assert f"stored data are of {second.source}" in capsys.readouterr().out
    known["cifar10"] = vgg.digest(first)
    with pytest.raises(SystemExit):
        tiny("--plot-only", "--data-dir", str(tmp_path / "first"))
    assert "holds data of other images" in capsys.readouterr().err
    # a folder in the environment without these images is no obstacle to a drawing
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("ANISO_DATA", str(tmp_path / "empty"))
    arguments = ["--output", str(tmp_path / "figures"), "--plot-only"]
    assert figure_command.main(fig1_generalization.FIGURE, arguments) == 0


def test_own_images_are_tuned_apart(tmp_path):
    names = ("cifar10", "svhn")
    known = {
        name: {"digest": image_sources._OF_THE_STUDIES[name], "source": "mine"} for name in names
    }
    assert vgg_study.stored_tuning(ROOT / "figures", known)[1] is not None
    own = {name: {"digest": "0" * 16, "source": "mine"} for name in names}
    path, stored = vgg_study.stored_tuning(tmp_path, own)
    assert stored is None
    assert path == figure_paths.data_file(
        vgg_tuning.FIGURE, "study", vgg_study.TUNING | {"images": own}, tmp_path
    )


def test_every_source_of_verified_images_is_known():
    whole = sets._OFFICIAL
    sources = [datasets.fashion_mnist().source, whole, f"{whole}, training and test ..."]
    for source in sources:
        images = {"source": source, "digest": "0" * 16}
        assert not image_sources.is_own("svhn", images)
        assert image_sources.unverified({"images": {"svhn": images}}) == ""
    assert image_sources.is_own("svhn", {"source": "official.npz, a", "digest": "0" * 16})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--device", "tpu"], "tpu"),
        (["--data-dir", "/nonexistent"], "'/nonexistent' does not exist"),
    ],
)
def test_devices_and_folders_are_tried_before_the_work(
    tmp_path, monkeypatch, capsys, more, message
):
    monkeypatch.setenv("ANISO_DATA", "")
    with pytest.raises(SystemExit) as stopped:
        figure_command.main(
            fig1_generalization.FIGURE, ["--output", str(tmp_path), "--runs", str(tmp_path), *more]
        )
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_the_second_figure_draws_the_runs_of_the_first(tmp_path, monkeypatch):
    arguments = ["--output", str(tmp_path / "figures"), "--runs", str(tmp_path / "runs")]
    arguments += ["--executor", "serial"]
    assert figure_command.main(fig1_generalization.FIGURE, arguments) == 0

    def forbidden(*_, **__):
        raise AssertionError("computed again")

    monkeypatch.setattr(vgg.descent, "simulate_descent", forbidden)
    assert figure_command.main(fig6_sharpness.FIGURE, arguments) == 0
    first, second = (
        array_files.load_arrays(tmp_path / "figures" / "data" / f"{name}_small.npz")[0]
        for name in ("fig1_generalization", "fig6_sharpness")
    )
    np.testing.assert_array_equal(first["expected_sharpness"], second["expected_sharpness"])


@every_foreign_place
def test_runs_go_to_the_device_that_is_named(unit, place, tmp_path):
    there = unit | {"device": place, "num_steps": 2}
    training, _, _ = vgg.networks_of(there)
    assert training.place == place
    value = vgg.compute_unit(there, tmp_path / "there", None)
    own = vgg.compute_unit(unit | {"num_steps": 2}, tmp_path / "here", None)
    np.testing.assert_allclose(value["loss"], own["loss"], rtol=1e-4)
    np.testing.assert_array_equal(value["validation_accuracy"], own["validation_accuracy"])


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("svhn", "the official files, checksums verified", "SVHN"),
        ("svhn", "svhn.npz, a file of the user's", "SVHN subset"),
        ("cifar10", "cifar10.npz, a file of the user's", "CIFAR-10"),
        ("svhn", "svhn.npz (images 01234567)", "SVHN of svhn.npz (images 01234567)"),
    ],
)
def test_a_part_of_svhn_is_called_that(name, source, expected):
    assert vgg_claims.title(name, source) == expected
