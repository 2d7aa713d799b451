"""Callbacks of the user, Ctrl-C, and the progress that is shown."""

import copy
import json

import numpy as np
import pytest
import torch
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EarlyStopping,
    LoadInitState,
    LRScheduler,
    TrainEndCheckpoint,
)

from sklearn_jedi import JEDIEstimator, MetaDynamicalSSM
from sklearn_jedi._training._free_runs import EmbeddedNetwork
from sklearn_jedi._utils._progress import end_progress, show_progress


def jedi(**params):
    return JEDIEstimator(
        rank=2,
        embedding_dim=2,
        ridge=1.0,
        random_state=0,
        **{"max_epochs": 6, **params},
    )


def test_checkpoints_are_written_and_callbacks_stay_as_they_were(rotations, tmp_path):
    callback = Checkpoint(dirname=str(tmp_path), monitor="valid_loss_best")
    before = copy.deepcopy(vars(callback))
    jedi(callbacks=[callback]).fit(rotations[0])
    assert (tmp_path / "params.pt").exists()
    assert vars(callback) == before


class RecordOfNumpy(Callback):
    def on_epoch_end(self, net, **kwargs):
        net.history.record("weights", np.float32(1.5))


def both(rotations, estimator, callbacks):
    """Either estimator, trained for a few epochs."""
    if estimator == "JEDI":
        settings = {"dt": 0.01, "window": 1, "gain": 1.0}
        return jedi(max_epochs=2, **settings, callbacks=callbacks).fit(rotations[0])
    settings = {"dt": 0.01, "gain": 1.2, "n_units": 4, "random_state": 0}
    meta = MetaDynamicalSSM(max_epochs=2, **settings, callbacks=callbacks)
    return meta.fit(rotations[0][::2, :8, :4], sessions=np.arange(12) % 2)


@pytest.mark.parametrize("estimator", ["JEDI", "MetaDynamicalSSM"])
def test_checkpoints_hold_what_torch_and_json_read(rotations, tmp_path, estimator):
    """Tensors, numbers and text, whatever was recorded; training goes on from them."""
    saved = Checkpoint(dirname=str(tmp_path), monitor=None)
    at_the_end = TrainEndCheckpoint(dirname=str(tmp_path))
    callbacks = [LRScheduler(policy="StepLR", step_size=1), RecordOfNumpy(), saved]
    both(rotations, estimator, [*callbacks, at_the_end])
    for name in ("params.pt", "optimizer.pt"):
        for prefix in ("", "train_end_"):
            torch.load(tmp_path / f"{prefix}{name}", weights_only=True)
    rates = torch.load(tmp_path / "optimizer.pt", weights_only=True)["param_groups"]
    assert {type(group["lr"]) for group in rates} == {float}
    history = json.loads((tmp_path / "history.json").read_text())
    assert [epoch["weights"] for epoch in history] == [1.5, 1.5]
    again = both(rotations, estimator, [LoadInitState(saved), RecordOfNumpy(), saved])
    assert [epoch["epoch"] for epoch in again.history_] == [1, 2, 3, 4]
    history = json.loads((tmp_path / "history.json").read_text())
    assert [epoch["weights"] for epoch in history] == [1.5] * 4


def test_early_stopping_stops_without_a_warning(rotations, recwarn):
    stopping = EarlyStopping(patience=1, threshold=10.0, threshold_mode="abs")
    model = jedi(callbacks=[stopping]).fit(rotations[0])
    assert len(model.history_) == 2
    assert not model.interrupted_
    assert not [w for w in recwarn if "interrupted" in str(w.message)]


def test_ctrl_c_in_training_keeps_the_best_epoch(rotations, monkeypatch):
    X = rotations[0]
    calls, forward = [], EmbeddedNetwork.forward

    def interrupt(self, *args, **kwargs):
        calls.append(1)
        if len(calls) == 18:
            raise KeyboardInterrupt
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(EmbeddedNetwork, "forward", interrupt)
    with pytest.warns(UserWarning, match=r"interrupted.*epoch \d of 6"):
        model = jedi().fit(X)
    monkeypatch.undo()
    assert model.interrupted_
    assert 0 < model.best_epoch_ <= len(model.history_) < 6
    assert model.score(X) > jedi(max_epochs=0).fit(X).score(X)


def test_progress_of_training(rotations, capsys):
    jedi(verbose=1, max_epochs=2).fit(rotations[0])
    lines = capsys.readouterr().out.splitlines()
    assert "observation='state'" in lines[0]
    assert lines[1].startswith("epoch 1/2  horizon 19, loss 0.")
    assert lines[2].startswith("epoch 2/2")
    assert "R^2 0." in lines[2]
    assert len(lines) == 3


def test_progress_of_em_for_noisy_recordings(rotations, capsys):
    JEDIEstimator(2, 2, observation="gaussian", verbose=1).fit(rotations[0][:6])
    lines = capsys.readouterr().out.splitlines()
    assert "observation='gaussian'" in lines[0]
    assert lines[1].startswith("EM round  1/40  ")
    assert "log evidence" in lines[2]


def test_silence_is_the_default(rotations, capsys):
    jedi(max_epochs=1).fit(rotations[0])
    assert capsys.readouterr().out == ""


def test_a_terminal_gets_one_line(monkeypatch, capsys):
    def lines():
        """What each line shows last."""
        lines = capsys.readouterr().out.removesuffix("\n").split("\n")
        return [line.split("\r")[-1].split("[")[0].strip() for line in lines]

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    for done in (1, 2):
        show_progress("epoch", done, 2, "text")
    assert lines() == ["epoch 2/2"]
    show_progress("round", 1, 9, "before Ctrl-C")
    end_progress(1, 9)
    show_progress("round", 2, 9, "interrupted without a word")
    show_progress("network", 1, 1, "")
    assert lines() == ["round 1/9", "round 2/9", "network 1/1"]
