"""The command sklearn-jedi, on real files."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from nwb_files import write_nwb
from scipy.io import loadmat, savemat

from sklearn_jedi import __version__
from sklearn_jedi.datasets import make_rotation_family
from sklearn_jedi.io import TrialSet
from sklearn_jedi.report import Report, _choice, _command_line, _fit, _folder
from sklearn_jedi.report._command_line import main
from sklearn_jedi.report._embeddings import EmbeddingSection
from sklearn_jedi.report._reading import with_options

QUICK = ["--rank", "2", "--embedding-dim", "1", "--jobs", "1", "--quiet"]


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    """Rotations of two frequencies as counts, and a neuron that hardly fires."""
    X, y, _ = make_rotation_family(
        10, frequencies=(1.0, 4.0), n_timepoints=60, n_neurons=8, random_state=0
    )
    rng = np.random.default_rng(0)
    counts = rng.poisson(np.exp(0.6 * X + 0.5))
    counts[:, :, 5] = 0
    counts[3, 10, 5] = 1
    path = tmp_path_factory.mktemp("files") / "trials.npz"
    np.savez(
        path,
        spikes=counts,
        time_ms=10 * np.arange(60) - 195.0,
        frequency=np.array([1.0, 4.0])[y],
        block=np.arange(20) // 5,
    )
    return path


@pytest.fixture
def quick(monkeypatch):
    """One linear model in few rounds, and coarser pictures, which take less time."""
    monkeypatch.setattr(_choice, "_STATES", (4,))
    for module in (_choice, _fit):
        monkeypatch.setattr(module, "LINEAR_ROUNDS", 10)
    monkeypatch.setattr(_folder, "_DPI", 72)


def arguments(npz, out, *more):
    return [
        *("report", str(npz), "--key", "spikes", "--time", "time_ms"),
        *("--time-unit", "ms", "--label", "frequency", "--out", str(out)),
        *(*QUICK, *more),
    ]


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """What the command asks of `make_report`, which is not called."""
    arguments = {}

    def make_report(X, **settings):
        arguments.update(settings, X=X)
        return Report(tmp_path, None, [], False)

    monkeypatch.setattr(_command_line, "make_report", make_report)
    return arguments


@pytest.mark.usefixtures("quick")
def test_a_report_of_arrays(npz, tmp_path, capsys):
    out = tmp_path / "out"
    argv = arguments(npz, out, "--window", "-0.1", "0.4", "--group", "block")
    argv += ["--embedding-dim", "2"]
    assert main(argv) == 0
    assert capsys.readouterr().out == ""  # --quiet
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<h1>trials.npz</h1>" in page
    assert "20 trials (15 to fit, 5 held out) x 50 time points of 10 ms x 7" in page
    assert "1 of 8 neurons fire less than 0.5 spikes/s" in page
    with np.load(out / "results.npz") as results:
        assert set(results["embeddings_labels"]) == {"1", "4"}
        test = results["embeddings_test"]
        assert set(test // 5).isdisjoint(results["embeddings_train"] // 5)
    how = (out / "reproduce.txt").read_text(encoding="utf-8")
    assert f"\nsklearn-jedi report {npz} --key spikes" in how
    assert "SHA-256 of trials.npz: " in how


def test_spike_times_of_an_nwb_file_are_those_counts(npz, tmp_path, asked):
    with np.load(npz) as file:
        counts, labels = file["spikes"], file["frequency"]
    begins = 2.0 * np.arange(len(counts)) + 1
    times = [
        np.concatenate(
            [
                begin + 0.01 * (np.repeat(np.arange(60), trial[:, k]) + 0.5)
                for begin, trial in zip(begins, counts, strict=True)
            ]
        )
        for k in range(8)
    ]
    go = begins + 0.2
    go[4] = np.nan
    trials = {
        "start_time": begins,
        "stop_time": begins + 0.6,
        "go_cue": go,
        "frequency": labels,
        "result": list("RRFR" * 5),
    }
    path = write_nwb(tmp_path / "session.nwb", times, trials)
    argv = ["report", str(path), "--align", "go_cue", "--window", "-0.2", "0.4"]
    argv += ["--trials", "result == 'R'", "--label", "frequency", "--tau", "0.2"]
    assert main([*argv, *QUICK]) == 0
    kept = [k for k in range(20) if "RRFR"[k % 4] == "R" and k != 4]
    fires = np.arange(8) != 5
    np.testing.assert_array_equal(asked["X"].X, counts[kept][:, :, fires])
    assert (asked["X"].dt, asked["X"].start) == (0.01, -0.2)
    assert asked["labels"].tolist() == labels[kept].tolist()
    assert (asked["rank"], asked["embedding_dim"], asked["tau"]) == (2, 1, 0.2)
    said = " ".join(asked["notes"])
    assert "1 of 15 trials are left out: go_cue is missing" in said
    assert "1 of 8 neurons fire less" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--label", "speed"], "--label speed: {file!r} has no such column of trials"),
        (["--group", "day"], "there are: frequency, block"),
        (["--key", "rates"], "rates"),
        (["--window", "2", "3"], "no bin lies between 2 and 3 s; the trials last from"),
        (["--window", "a", "b"], "--window of {file!r} needs two times in seconds"),
        (["--align", "go"], "--align was given, but {file!r} is read without"),
        (["--spike-times", "x"], "--spike-times was given"),
        (["--trials", "frequency > 9"], "frequency > 9"),
        (["--trials", "__import__('os')"], "__import__"),
        (["--min-rate", "1e4"], "no neuron fires 10000 spikes/s or more"),
        (["--tau", "0.001"], "dt must be at most tau"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    npz, tmp_path, capsys, more, said
):
    out = tmp_path / "out"
    assert main(arguments(npz, out, *more)) == 2
    message = capsys.readouterr().err
    assert message.startswith("sklearn-jedi: error: ")
    assert said.format(file=str(npz)) in message
    assert not out.exists()


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """Spike times of 3 units in 4 trials of 0.6 s, for each kind of file."""
    folder = tmp_path_factory.mktemp("session")
    begins = 2.0 * np.arange(4) + 1
    own = [np.linspace(0.01, 0.59, 20 + k) for k in range(3)]
    table = {"start_time": begins, "stop_time": begins + 0.6}
    trains = [np.concatenate([begin + train for begin in begins]) for train in own]
    write_nwb(folder / "session.nwb", trains, table)
    cell = np.empty(3, dtype=object)
    cell[:] = own
    saved = {"spikes": cell, "goCue": 0.1, "licks": own[0], "side": "left"}
    savemat(folder / "session.mat", {"trials": [saved] * 4})
    np.savez(folder / "session.npz", counts=np.ones((4, 60, 3)), side=np.ones(4))
    return folder


OF_MAT = ["--spike-times", "spikes", "--align", "goCue"]
OF_NPZ = ["--key", "counts", "--dt", "0.01"]


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("mat", [], "'licks', 'spikes' may hold spike times: pass --spike-times licks"),
        ("mat", [], "or --spike-times spikes, with --window begin end in seconds"),
        ("mat", [*OF_MAT, "--window", "0", "600"], "--window 0 600 exceeds the trials"),
        ("nwb", ["--window", "0", "600"], "they last 0.6 s at most. Windows are in se"),
        ("nwb", ["--window", "-200", "400"], "seconds: 400 ms is 0.4"),
        ("npz", [*OF_NPZ, "--window", "0", "600"], "600 s long, and they last 0.6 s"),
        ("npz", [], "the bin width is not known: pass --dt, in s, or --time, the name"),
        ("npz", ["--dt", "0.01", "--trials", "size > 3"], "no column 'size'"),
        ("npz", ["--dt", "0.01", "--key", "side"], "side must have three axes"),
    ],
)
def test_messages_name_options_and_what_the_file_has(
    session, tmp_path, capsys, kind, options, said
):
    path = session / f"session.{kind}"
    assert main(["report", str(path), *options, "--out", str(tmp_path / "o")]) == 2
    assert said in capsys.readouterr().err


def test_a_bad_unit_that_is_left_out_does_no_harm(session, tmp_path, capsys, asked):
    saved = loadmat(session / "session.mat", simplify_cells=True)["trials"]
    for trial in saved:
        trial["spikes"][1] = np.array([0.3, 0.1])
    path = tmp_path / "bad.mat"
    savemat(path, {"trials": [*saved]})
    argv = ["report", str(path), *OF_MAT, "--window", "0", "0.4"]
    assert main(argv) == 2
    assert "not in order" in (said := capsys.readouterr().err)
    assert "; --units can leave the unit out" in said
    assert main([*argv, "--units", "index != 1", "--min-rate", "0"]) == 0
    assert asked["X"].units.index.tolist() == [0, 2]
    assert "units='index != 1'" in asked["reading"]


def test_long_windows_of_long_trials_are_taken(tmp_path, asked):
    """Of sleep, say; what is refused are windows far longer than trials."""
    begins = 100.0 * np.arange(4)
    trains = [np.arange(0.5, 400, 1.0 + k) for k in range(3)]
    table = {"start_time": begins, "stop_time": begins + 90}
    path = write_nwb(tmp_path / "sleep.nwb", trains, table)
    argv = ["report", str(path), "--window", "0", "60", "--bin-size", "1", "--quiet"]
    assert main([*argv, "--min-rate", "0"]) == 0
    assert asked["X"].X.shape == (4, 60, 3)


def test_a_window_that_exceeds_the_trials_somewhat_is_noted(session, asked):
    argv = ["report", str(session / "session.npz"), *OF_NPZ, "--quiet"]
    assert main([*argv, "--window", "0.1", "1"]) == 0
    assert asked["X"].X.shape == (4, 50, 3)
    assert asked["notes"] == [
        "--window 0.1 1 exceeds the trials, which last from 0 to 0.6 s: what there is "
        "of it is taken"
    ]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("pass dt=, in s", "pass --dt, in s"),
        ("spike_times='my spikes' or", "--spike-times 'my spikes' or"),
        ("bin_size=0.01 s is", "--bin-size 0.01 s is"),
        ("window=(-0.1, 'stop') ends", "--window -0.1 stop ends"),
        ("trials=\"a == 'b'\" is", "--trials 'a == '\"'\"'b'\"'\"'' is"),
        ("dtype=float; width=3", "dtype=float; width=3"),
    ],
)
def test_parameters_in_messages_become_options(message, said):
    assert with_options(message) == said


@pytest.mark.parametrize(
    ("window", "bins"),
    [((-0.125, -0.005), 24), ((-0.2, 0.4), 60), ((-0.1951, -0.1949), 1)],
)
def test_windows_of_trials_that_are_cut_already(window, bins):
    X = np.arange(2 * 120 * 1.0).reshape(2, 120, 1)
    table = pd.DataFrame(index=range(2))
    trials = TrialSet(X, 0.005, table, pd.DataFrame(index=[0]), start=-0.2)
    if bins == 60:
        trials = dataclasses.replace(trials, X=X[:, ::2], dt=0.01)
    if bins == 1:
        trials = dataclasses.replace(trials, start=-0.195 - 0.0025)
    cut = trials.crop(*window)
    assert cut.X.shape[1] == bins
    assert (cut.time >= window[0] - 1e-9).all()
    assert (cut.time < window[1]).all()


def test_trials_that_end_before_the_window_are_left_out():
    X = [np.zeros((n, 1)) for n in (5, 30, 40)]
    table = pd.DataFrame({"side": list("abc")})
    trials = TrialSet(X, 0.01, table, pd.DataFrame(index=[0]))
    with pytest.warns(UserWarning, match="1 of 3 trials are left out"):
        cut = trials.crop(0.1, 0.35)
    assert cut.table["side"].tolist() == ["b", "c"]
    assert [len(x) for x in cut.X] == [20, 25]
    assert cut.start == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["missing.nwb", "missing.npz", "missing.mat", "a.txt"])
def test_files_that_cannot_be_read(tmp_path, capsys, name):
    assert main(["report", str(tmp_path / name)]) == 2
    assert name in capsys.readouterr().err


@pytest.mark.parametrize(("least", "n_neurons"), [("0.5", 6), ("0", 7)])
def test_neurons_never_recorded_are_left_out(npz, tmp_path, asked, least, n_neurons):
    with np.load(npz) as file:
        counts = file["spikes"].astype(float)
    counts[:, :, 2] = np.nan
    path = tmp_path / "gaps.npz"
    np.savez(path, spikes=counts)
    argv = ["report", str(path), "--dt", "0.01", "--min-rate", least]
    assert main([*argv, *QUICK]) == 0
    assert asked["X"].X.shape[2] == n_neurons


def test_tau_is_auto_or_seconds(npz, tmp_path, capsys, asked):
    argv = arguments(npz, tmp_path, "--observation", "negative_binomial")
    for text, tau in (("auto", "auto"), ("0.2", 0.2)):
        assert main([*argv, "--tau", text]) == 0
        assert asked["tau"] == tau
    assert asked["observation"] == "negative_binomial"
    with pytest.raises(SystemExit, match="2"):
        main([*argv, "--tau", "fast"])
    assert "neither auto nor seconds: 'fast'" in capsys.readouterr().err


def test_version_and_help(capsys):
    for argument, said in (("--version", __version__), ("--help", "report")):
        with pytest.raises(SystemExit, match="0"):
            main([argument])
        assert said in capsys.readouterr().out


def test_workers_end_with_the_command(npz, tmp_path):
    """Which is ended while two workers fit."""
    psutil = pytest.importorskip("psutil", reason="distributed brings it")
    command = [
        sys.executable,
        "-m",
        "sklearn_jedi.report._command_line",
        "report",
        str(npz),
    ]
    command += ["--key", "spikes", "--dt", "0.01", "--jobs", "2", "--out", "out"]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        deadline = time.monotonic() + 120
        workers = []
        while not any("LokyProcess-2" in " ".join(w.cmdline()) for w in workers):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
            workers = psutil.Process(process.pid).children(recursive=True)
        time.sleep(1.0)  # into the first fits
        os.kill(process.pid, signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Missing: Rank and embedding dimension, Fit" in page


@pytest.mark.usefixtures("quick")
def test_ctrl_c_leaves_what_is_finished(npz, tmp_path, monkeypatch, capsys):
    def interrupt(self, study):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)

    monkeypatch.setattr(EmbeddingSection, "compute", interrupt)
    out = tmp_path / "out"
    assert main(arguments(npz, out)) == 130
    assert "Traceback" not in capsys.readouterr().err
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "The work was interrupted (Ctrl-C). Missing: Embeddings, " in page
    assert "Lyapunov exponents." in page
    assert "2. Fit and held-out trials" in page
    with np.load(out / "results.npz") as results:
        assert "fit_r2_jedi_forecast_recorded" in results
    assert (out / "model.safetensors").exists()
