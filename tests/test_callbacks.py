"""Monitors in real trainings of Lightning and transformers: what is recorded, and what is left."""

import copy
import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from aniso import checks, diagnostics, frameworks  # noqa: E402

# of the libraries themselves, about numbers of workers and their own deprecated calls
pytestmark = pytest.mark.filterwarnings("ignore")
INPUTS = torch.linspace(-1, 1, 24).reshape(12, 2).sin()
TARGETS = (INPUTS.sum(dim=1, keepdim=True) ** 2).detach()
STEPS, LAST, BATCH, RATE = 2, 6, 4, 0.125


class Net(torch.nn.Module):
    """A perceptron with dropout, which draws random numbers; returns what transformers expects."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Dropout(0.3), torch.nn.Linear(4, 1)
        )

    def forward(self, x, y=None):
        outputs = self.layers(x)
        if y is None:
            return outputs
        return {"loss": torch.nn.functional.mse_loss(outputs, y), "outputs": outputs}


def net():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Net()


def monitor(folder, model, **options):
    # made before a hook notes what the model does: a copy has the hooks too
    problem = frameworks.from_torch(
        copy.deepcopy(model).eval(), torch.nn.MSELoss(), (INPUTS, TARGETS)
    )
    settings = {"batch_size": 3, "replacement": False, "quantities": ["loss", "covariance_trace"]}
    return diagnostics.Monitor(
        folder, problem, **({"steps": STEPS, "seed": 0} | settings | options)
    )


PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "monitor.md"
PROGRAMS = dict(
    re.findall(
        r"<!-- run: (\w+) -->\n```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
)


class Data(torch.utils.data.Dataset):
    def __len__(self):
        return len(INPUTS)

    def __getitem__(self, index):
        return {"x": INPUTS[index], "y": TARGETS[index]}


class Broken(Exception):
    pass


class Watched:
    """Parameters, random states and modes at each step, noted by the model itself."""

    def __init__(self, model, fails_at=None):
        self.thetas, self.states, self.modes, self.grads = [], [], [], []
        self._fails_at = fails_at
        model.layers[0].register_forward_pre_hook(lambda *_: self._note(model))

    def _note(self, model):
        if len(self.thetas) == self._fails_at:
            raise Broken("the training fails")
        self.thetas.append(frameworks_theta(model))
        self.states.append(torch.random.get_rng_state())
        self.modes.append([part.training for part in model.modules()])
        self.grads.append([part.grad is None for part in model.parameters()])


def frameworks_theta(model):
    return torch.nn.utils.parameters_to_vector(model.parameters()).detach().clone()


def trained_by_lightning(model, callbacks, folder, **options):  # noqa: ARG001
    lightning = pytest.importorskip("lightning.pytorch", reason="Lightning is not installed")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = model

        def training_step(self, batch, _):
            return self.net(**batch)["loss"]

        def configure_optimizers(self):
            return torch.optim.SGD(self.net.parameters(), lr=RATE, momentum=0.5)

    torch.manual_seed(5)
    trainer = lightning.Trainer(
        max_steps=LAST, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=callbacks, devices=1,
        num_sanity_val_steps=0, **options
    )  # fmt: skip
    trainer.fit(Module(), torch.utils.data.DataLoader(Data(), BATCH))
    return trainer


def trained_by_transformers(model, callbacks, folder, **options):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    arguments = transformers.TrainingArguments(
        output_dir=str(folder), max_steps=LAST, per_device_train_batch_size=BATCH, use_cpu=True,
        report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, seed=5,
        learning_rate=RATE, lr_scheduler_type="constant", remove_unused_columns=False,
        max_grad_norm=0, dataloader_pin_memory=False, **options
    )  # fmt: skip
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.5)
    trainer = transformers.Trainer(
        model, arguments, train_dataset=Data(), callbacks=callbacks, optimizers=(optimizer, None)
    )
    trainer.train()
    return trainer


def by_lightning(watched, **options):
    pytest.importorskip("lightning", reason="Lightning is not installed")
    return diagnostics.lightning_callback(watched, model="net", **options)


def by_transformers(watched, **options):
    pytest.importorskip("transformers", reason="transformers is not installed")
    return diagnostics.trainer_callback(watched, **options)


LIBRARIES = {
    "lightning": (by_lightning, trained_by_lightning, {"accumulate_grad_batches": 2}),
    "transformers": (by_transformers, trained_by_transformers, {"gradient_accumulation_steps": 2}),
}
both = pytest.mark.parametrize("library", LIBRARIES)


@both
def test_a_training_is_recorded_and_nothing_of_it_is_changed(library, tmp_path):
    made, train, _ = LIBRARIES[library]
    plain, model = net(), net()
    found, kept = [], monitor(tmp_path / "run", model, keep_theta=True)
    before, noted = Watched(plain), Watched(model)
    train(plain, [], tmp_path / "plain")
    callback = made(kept, on_diagnosis=lambda step, each: found.append((step, each)))
    train(model, [callback], tmp_path / "watched")
    # the same training to the last bit: parameters, random numbers, modes, gradients
    torch.testing.assert_close(noted.thetas, before.thetas, rtol=0, atol=0)
    torch.testing.assert_close(noted.states, before.states, rtol=0, atol=0)
    assert (noted.modes, noted.grads) == (before.modes, before.grads)
    assert any(noted.modes[0])
    assert callback.monitor.steps == (0, 2, 4, 6)
    thetas = [*noted.thetas, frameworks_theta(model)]
    for step in kept.steps:
        np.testing.assert_array_equal(kept.record.theta(step), thetas[step])
    assert [step for step, _ in found] == [0, 2, 4, 6]
    assert found[1][1] == kept.record[2]
    # read from the optimizer
    assert kept.record[2].settings["learning_rate"] == RATE
    assert kept.record[2].settings["optimizer"]["momentum"] == 0.5
    # with dropout off: what the problem says at these parameters
    last = net().eval()
    last.load_state_dict(model.state_dict())
    exact = torch.nn.functional.mse_loss(last(INPUTS), TARGETS)
    assert kept.series("loss").values[-1] == pytest.approx(float(exact.detach()), rel=1e-5)


@both
def test_an_exception_leaves_a_whole_record_and_a_second_training_goes_on(library, tmp_path):
    made, train, _ = LIBRARIES[library]
    model = net()
    callback = made(monitor(tmp_path / "run", model))
    Watched(model, fails_at=3)
    with pytest.raises(Broken):
        train(model, [callback], tmp_path / "out")
    assert diagnostics.read_record(tmp_path / "run").steps == (0, 2)
    again, calls = net(), []
    kept = monitor(tmp_path / "run", again, measure=_counted(calls))
    train(again, [made(kept)], tmp_path / "out")
    assert (kept.steps, len(calls)) == ((0, 2, 4, 6), 2)


def _counted(calls):
    def measure(*arguments, **settings):
        calls.append(settings)
        return diagnostics.measure(*arguments, **settings)

    return measure


@both
def test_steps_are_those_of_the_optimizer(library, tmp_path):
    made, train, accumulated = LIBRARIES[library]
    model = net()
    kept = monitor(tmp_path / "run", model, steps=1, keep_theta=True)
    noted = Watched(model)
    train(model, [made(kept)], tmp_path / "out", **accumulated)
    assert kept.steps == tuple(range(LAST + 1))
    assert len(noted.thetas) > LAST
    found = {tuple(kept.record.theta(step)) for step in kept.steps}
    assert len(found) == LAST + 1


@both
def test_another_model_is_refused_before_the_training(library, tmp_path):
    made, train, _ = LIBRARIES[library]
    model = net()
    noted = Watched(model)
    other = torch.nn.Linear(2, 1)
    callback = made(monitor(tmp_path / "run", other, steps=[5]))
    with pytest.raises(checks.InputError, match="parameter 'weight' of the model has shape None"):
        train(model, [callback], tmp_path / "out")
    assert noted.thetas == []


def test_an_optimizer_of_moments_is_read_from_its_first_step_on(tmp_path):
    model = net()
    kept = monitor(tmp_path, model, learning_rate=0.5)
    callback = by_transformers(kept)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)
    recorder = callback._recorder
    recorder.start(model)
    recorder.record(0, model, [optimizer], is_first=True)
    assert kept.record[0].settings["learning_rate"] == 0.5
    model(INPUTS, TARGETS)["loss"].backward()
    optimizer.step()
    recorder.record(2, model, [optimizer], is_first=True)
    assert kept.record[2].settings["optimizer"]["name"] == "AdamW"
    recorder.record(4, model, [optimizer], is_first=False)
    recorder.record(6, model, [optimizer, optimizer], is_first=True)
    optimizer.param_groups[0]["lr"] = 0.0  # the end of a schedule
    recorder.record(8, model, [optimizer], is_first=True)
    assert kept.steps == (0, 2, 6, 8)
    assert [kept.record[step].settings["optimizer"] for step in (6, 8)] == [None, None]


@pytest.mark.parametrize("make", [diagnostics.lightning_callback, diagnostics.trainer_callback])
def test_bad_arguments_are_refused(make, tmp_path):
    kept = monitor(tmp_path, net())
    for arguments, options, words in (
        ((tmp_path,), {}, "monitor is a "),
        ((kept,), {"model": 3}, "model=3"),
        ((kept,), {"on_diagnosis": "log"}, "on_diagnosis='log'"),
        ((kept,), {"read_optimizer": 1}, "read_optimizer"),
    ):
        with pytest.raises(checks.InputError, match=words):
            make(*arguments, **options)


def test_an_attribute_that_is_missing_is_named(tmp_path):
    pytest.importorskip("transformers", reason="transformers is not installed")
    kept = monitor(tmp_path, net())
    with pytest.raises(checks.InputError, match="a Net has no attribute 'body'"):
        diagnostics.trainer_callback(kept, model="body")._recorder.start(net())


@pytest.mark.parametrize("library", PROGRAMS)
def test_the_program_of_the_page_runs(library, capsys, tmp_path, monkeypatch):
    pytest.importorskip(library, reason=f"{library} is not installed")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    exec(compile(PROGRAMS[library], f"{PAGE.name}, {library}", "exec"), {"__name__": "program"})
    assert capsys.readouterr().out
    record = diagnostics.read_record(tmp_path / "run" / library)
    assert len(record.steps) == 3
    assert list(LIBRARIES) == list(PROGRAMS)
