"""The model that a report leaves takes the trials of the same file, and others."""

import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest
from matplotlib import pyplot
from nwb_files import write_nwb

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_rotation_family
from sklearn_jedi.io import TrialSet
from sklearn_jedi.report import _choice, _fit, load_model
from sklearn_jedi.report._choice import ChoiceSection
from sklearn_jedi.report._command_line import main
from sklearn_jedi.report._embeddings import EmbeddingSection
from sklearn_jedi.report._fit import FitSection
from sklearn_jedi.report._preparation import Preparation
from sklearn_jedi.report._saved_model import save_model
from sklearn_jedi.report._spectra import SpectrumSection

QUICK = ["--rank", "2", "--embedding-dim", "1", "--jobs", "1", "--quiet"]
SILENT = 5  # a neuron that hardly fires
IDS = [3, 1, 0, 2, 9, 4, 5, 6]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Reports end after the embeddings, as if by Ctrl-C, and draw nothing."""

    def interrupt(self, study):
        raise KeyboardInterrupt

    monkeypatch.setattr(SpectrumSection, "compute", interrupt)
    monkeypatch.setattr(_choice, "_STATES", (2,))
    for module in (_choice, _fit):
        monkeypatch.setattr(module, "LINEAR_ROUNDS", 2)
    for section in (ChoiceSection, FitSection, EmbeddingSection):
        monkeypatch.setattr(section, "draw", lambda self: pyplot.figure())


@pytest.fixture(scope="module")
def counts():
    """Rotations as spike counts: 12 trials x 30 bins of 10 ms x 8 neurons."""
    X = make_rotation_family(3, n_timepoints=30, n_neurons=8, random_state=0)[0]
    spikes = np.random.default_rng(0).poisson(np.exp(0.6 * X + 0.5))
    spikes[:, :, SILENT] = 0
    return spikes


def spike_times(trial, begin):
    """Of each neuron, in the middle of its bins."""
    return [
        begin + 0.01 * (np.repeat(np.arange(30), trial[:, k]) + 0.5) for k in range(8)
    ]


def write(kind, counts, path):
    """A file of these counts, and the options that read them."""
    begins = 2.0 * np.arange(len(counts)) + 1
    if kind == "npz":
        padded = counts.astype(float)
        padded[4, 5:] = np.nan  # a trial too short for the report
        np.savez(path, spikes=padded, side=np.arange(12) % 2)
        return ["--dt", "0.01", "--trials", "side < 2"]
    if kind == "nwb":
        of_trials = map(spike_times, counts, begins)
        trains = zip(*of_trials, strict=True)
        table = {"start_time": begins - 0.1, "stop_time": begins + 0.5, "go": begins}
        table["result"] = list("RRF" * 4)
        write_nwb(path, [np.concatenate(of) for of in trains], table, ids=IDS)
        more = ["--trials", "result == 'R'", "--units", "index != 9"]
        return ["--align", "go", "--window", "0", "0.3", *more]
    io = pytest.importorskip("scipy.io")
    trials = []
    for trial in counts:
        cell = np.empty(8, dtype=object)
        cell[:] = [1000 * train for train in spike_times(trial, 0.2)]
        trials.append({"spikes": cell, "goCue": 200.0})
    io.savemat(path, {"trials": trials})
    return [
        *("--spike-times", "spikes", "--align", "goCue", "--time-unit", "ms"),
        *("--window", "0", "0.3", "--bin-size", "0.02"),
    ]


@pytest.mark.parametrize("kind", ["npz", "nwb", "mat"])
def test_lines_on_the_page_give_its_embeddings(counts, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    options = write(kind, counts, tmp_path / f"session.{kind}")
    main(["report", f"session.{kind}", *options, "--out", "out", *QUICK])
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    lines = unescape(re.search(r'<pre id="lines">(.*?)</pre>', page, re.DOTALL)[1])
    assert lines in (tmp_path / "out" / "reproduce.txt").read_text(encoding="utf-8")
    found = {}
    exec(lines, found)
    with np.load(tmp_path / "out" / "results.npz") as results:
        expected, rows = results["embeddings_embeddings"], results["embeddings_rows"]
    np.testing.assert_allclose(found["embeddings"], expected, rtol=0, atol=1e-10)
    n_trials = {"npz": 11, "nwb": 8, "mat": 12}[kind]
    assert len(expected) == len(rows) == n_trials
    assert (4 in rows) == (kind != "npz")
    n_neurons = 6 if kind == "nwb" else 7
    prepared = found["prepared"]
    assert prepared.X[0].shape[1] == len(prepared.units) == n_neurons
    np.testing.assert_allclose(
        prepared.X[0], np.sqrt(found["trials"].X[0][:, prepared_columns(kind)])
    )
    model = found["model"][-1]
    assert model.dt_ == found["trials"].dt
    assert list(model.neuron_names_in_) == list(prepared.units.index)
    assert model.forecast(prepared, 3).shape == (n_trials, 3, n_neurons)
    # the estimator alone takes what was prepared, and says so
    with pytest.warns(UserWarning, match=r"square roots of spike counts.*load_model"):
        bare = JEDIEstimator.load(tmp_path / "out" / "model.safetensors")
    np.testing.assert_array_equal(bare.transform(prepared), found["embeddings"])
    with pytest.raises(ValueError, match="neurons, but JEDIEstimator was fitted on"):
        bare.transform(found["trials"])


def prepared_columns(kind):
    """Which neurons of the trials that were read are fitted."""
    if kind == "nwb":  # of which the one with the id 9 was not read
        return [0, 1, 2, 3, 5, 6]
    return [0, 1, 2, 3, 4, 6, 7]


@pytest.fixture
def trials(counts):
    """With ids of all kinds."""
    pandas = pytest.importorskip("pandas")
    ids = np.empty(8, dtype=object)
    ids[:] = ["a", "b", ("p", 1), 7, 8, "silent", 3.5, -1]
    tables = pandas.DataFrame(index=range(12)), pandas.DataFrame(index=ids)
    return TrialSet(counts * 1.0, 0.01, *tables)


def test_other_trials_are_taken_by_the_ids_of_their_neurons(counts, trials, tmp_path):
    roots = np.sqrt(np.delete(counts, SILENT, axis=2))
    jedi = JEDIEstimator(2, 1, observation="state", max_epochs=0, window=1, dt=0.01)
    expected = jedi.set_params(gain=1.0, ridge=0.1).fit_transform(roots)
    neurons = [k for k in range(8) if k != SILENT]
    names = [trials.units.index[k] for k in neurons]
    path = tmp_path / "model.safetensors"
    save_model(path, Preparation(neurons, 8, names, square_root=True), jedi)
    model = load_model(path)
    for order in (np.arange(8)[::-1], [7, 0, 6, 2, 4, 3, 1]):
        other = replace(trials, X=trials.X[:, :, order], units=trials.units.iloc[order])
        np.testing.assert_allclose(model.transform(other), expected, atol=1e-10)
    np.testing.assert_allclose(model.transform(counts), expected, atol=1e-10)
    fewer = replace(trials, X=trials.X[:, :, :4], units=trials.units[:4])
    with pytest.raises(ValueError, match=r"3 of the 7 neurons .* not in X: 8, 3.5, -1"):
        model.transform(fewer)
    with pytest.raises(
        ValueError, match=r"X has 7 neurons, and the report was given 8"
    ):
        model.transform(counts[:, :, :7])
    with pytest.raises(ValueError, match=r"trial 0 holds other numbers\. Pass counts"):
        model.transform(counts + 0.5)
    frame = model.set_output(transform="pandas").transform(trials)
    assert frame.index.tolist() == list(range(12))


def test_files_of_no_report_are_refused(em_fitted, tmp_path):
    em_fitted.save(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"not of a report.*JEDIEstimator\.load"):
        load_model(tmp_path / "model.safetensors")


def test_trials_are_prepared_in_any_form(counts, trials):
    step = Preparation([1, 3], 8, ["b", 7], square_root=True)
    expected = np.sqrt(counts[:, :, [1, 3]])
    lists = [trial[: 20 + k] for k, trial in enumerate(counts)]
    for k, found in enumerate(step.transform(lists)):
        np.testing.assert_array_equal(found, expected[k, : 20 + k])
    np.testing.assert_array_equal(step.transform(counts), expected)
    pytest.importorskip("xarray")
    array = trials.to_xarray().transpose("neuron", "trial", "time")
    found = step.transform(array)
    np.testing.assert_array_equal(found.transpose("trial", "time", "neuron"), expected)
    assert found.neuron.values.tolist() == ["b", 7]
    assert step.describe() == "2 of 8 neurons, square roots of spike counts"
    assert Preparation([0, 1], 2, None, square_root=False).describe() == ""
