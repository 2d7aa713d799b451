"""Reports, on simulated recordings whose dynamics are known."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from sklearn_jedi import JEDIEstimator
from sklearn_jedi.datasets import make_attractor_family
from sklearn_jedi.metrics import trajectory_r2
from sklearn_jedi.report import _choice, _fit, _folder, make_report
from sklearn_jedi.report._embeddings import EmbeddingSection

KINDS = np.array(["two points", "cycle", "ring"])
QUICK = {"rank": 2, "embedding_dim": 2, "n_jobs": 1, "quiet": True, "dt": 0.01}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def attractors():
    X, y, truth = make_attractor_family(
        16, n_neurons=40, n_timepoints=60, observation_noise=0.5, random_state=0
    )
    return X, KINDS[y], truth


def quick_report(X, **settings):
    """A report of one linear model in few rounds, and of coarser pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_choice, "_STATES", (8,))
        for module in (_choice, _fit):
            patch.setattr(module, "LINEAR_ROUNDS", 20)
        patch.setattr(_folder, "_DPI", 100)
        return make_report(X, **QUICK | settings)


@pytest.fixture(scope="module")
def report(attractors, tmp_path_factory):
    X, labels, _ = attractors
    out = tmp_path_factory.mktemp("report") / "new" / "folder"
    title = "A <test> & more"
    return quick_report(X, labels=labels, label_name="network", out=out, title=title)


@pytest.fixture(scope="module")
def results(report):
    with np.load(report.path.parent / "results.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def noise(report, tmp_path_factory):
    """Of noise, groups with one label each, in the place of an earlier report."""
    out = tmp_path_factory.mktemp("again") / "out"
    shutil.copytree(report.path.parent, out)
    (out / ".DS_Store").touch()
    rng = np.random.default_rng(0)
    X = [rng.standard_normal((20 + k % 3, 6)) for k in range(12)]
    X[0][5:9, 3] = np.nan
    labels = {"labels": np.arange(12) // 3, "groups": np.arange(12) // 3}
    return quick_report(X, rank=1, observation="gaussian", out=out, **labels)


# -------------------------------------------------------------------- what is found


def test_the_networks_are_recovered(results):
    at = dict(zip(results["fixed_points_conditions"], range(3), strict=True))
    of, stable = (
        results["fixed_points_condition_of_point"],
        results["fixed_points_is_stable"],
    )
    assert stable[of == at["two points"]].sum() == 2
    assert stable[of == at["cycle"]].sum() == 0
    assert (
        results["fixed_points_index_sum"][[at["two points"], at["cycle"]]] == 1
    ).all()
    verdicts = results["lyapunov_verdict"]
    assert verdicts[at["two points"]] == "stable"
    assert verdicts[at["cycle"]] == "limit cycle"


def test_scores_are_those_of_held_out_trials(attractors, report, results):
    X = attractors[0]
    test, model = results["embeddings_test"], report.model
    assert set(test).isdisjoint(results["embeddings_train"])
    assert len(test) == len(X) / 4
    free_run = trajectory_r2(X[test], model.reconstruct(X[test]))
    assert results["fit_r2_jedi_free_run_recorded"] == pytest.approx(free_run)
    half = X.shape[1] // 2
    forecast = trajectory_r2(X[test, half:], model.forecast(X[test, :half], half))
    assert results["fit_r2_jedi_forecast_recorded"] == pytest.approx(forecast)
    # no linear model has a cycle, or two points
    assert forecast > results["fit_r2_linear_forecast_recorded"]
    assert results["embeddings_accuracy"] > 0.9
    assert results["embeddings_p_value"] < 0.01


def test_files_can_be_used_again(attractors, report, results):
    folder = report.path.parent
    model = JEDIEstimator.load(folder / "model.safetensors")
    np.testing.assert_allclose(
        model.transform(attractors[0]), results["embeddings_embeddings"], atol=1e-8
    )
    names = {"choice", "fit", "embeddings", "spectra", "fixed_points", "lyapunov"}
    for kind, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        files = {path.stem: path for path in (folder / "figures").glob(f"*.{kind}")}
        assert set(files) == names
        assert all(path.read_bytes().startswith(start) for path in files.values())
    text = (folder / "reproduce.txt").read_text(encoding="utf-8")
    assert f"numpy {np.__version__}" in text


class Page(HTMLParser):
    """Tags that are open, what the page loads, and its text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.loads, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_is_whole_and_loads_nothing(report):
    text = report.path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert len(page.loads) == 6
    assert all(load.startswith("data:image/png;base64,") for load in page.loads)
    assert "url(" not in text
    assert "A <test> & more" in page.words  # escaped in the source
    assert "<test>" not in text
    said = " ".join(page.words)
    assert "1 stable limit cycle (cycle)" in said
    for note in report.notes:
        assert note in page.words


# the page measures itself; what it found becomes its title
MEASURE = """<script>addEventListener("load", () => {
  document.querySelectorAll("details").forEach(d => d.open = true);
  document.title = JSON.stringify({
    width: document.documentElement.scrollWidth, window: innerWidth,
    pictures: [...document.images].map(i => [i.naturalWidth, i.width]),
    smallest: Math.min(...[...document.querySelectorAll("p,li,figcaption,td,th")]
      .map(e => parseFloat(getComputedStyle(e).fontSize)))});
});</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian's chromium)")
@pytest.mark.parametrize("width", [1200, 500])  # 500: the least that Chromium does
def test_a_browser_shows_the_page_and_its_pictures(report, tmp_path, width):
    text = report.path.read_text(encoding="utf-8").replace("</body>", MEASURE)
    copy = tmp_path / "page.html"
    copy.write_text(text, encoding="utf-8")
    shown = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--window-size={width},900",
            "--dump-dom",
            copy.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    found = json.loads(re.search(r"<title>(\{.*?\})</title>", shown)[1])
    assert found["window"] == width
    assert found["width"] <= width  # nothing to scroll sideways
    assert len(found["pictures"]) == 6
    for natural, drawn in found["pictures"]:
        assert natural > 400
        assert 0 < drawn <= width
    assert found["smallest"] >= 12  # px


# -------------------------------------------------------------------- what is doubted


def test_noise_is_not_taken_for_dynamics(noise):
    assert any("explain little of the held-out trials" in n for n in noise.notes)
    said = Page(noise.path.read_text(encoding="utf-8")).words
    doubted = [s for s in said if s.startswith("Of a model that hardly describes")]
    assert len(doubted) == 3  # spectra, fixed points, Lyapunov exponents


def test_labels_of_held_out_trials_alone_are_called_so(noise):
    assert any("is only among the held-out trials" in note for note in noise.notes)


def test_a_report_is_made_again_in_its_place(noise):
    page = noise.path.read_text(encoding="utf-8")
    assert "12 trials (9 to fit, 3 held out) x 20 to 22 time points" in page
    assert JEDIEstimator.load(noise.path.parent / "model.safetensors").rank == 1
    with np.load(noise.path.parent / "results.npz") as results:
        assert len(results["embeddings_embeddings"]) == 12


def test_attractors_that_depend_on_the_fit_are_called_so(report):
    """The ring of the mean embedding of its trials falls apart into points."""
    assert any("The attractors of ring depend" in note for note in report.notes)


# ----------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("name", ["thesis.tex", "results.npz", "figures/fig1.png"])
def test_nothing_is_written_over(tmp_path, name):
    X = np.random.default_rng(0).standard_normal((10, 10, 3))
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("years of work")
    with pytest.raises(FileExistsError, match=re.escape(name.split("/")[0])):
        make_report(X, dt=0.01, out=tmp_path)
    with pytest.raises(NotADirectoryError, match="is a file"):
        make_report(X, dt=0.01, out=mine)
    assert mine.read_text() == "years of work"


def test_an_error_is_on_the_page(tmp_path, monkeypatch):
    """Whatever a section meets, the page says what is missing."""
    X = np.random.default_rng(0).standard_normal((12, 10, 4))

    def fail(self, study):
        raise ValueError("no such thing")

    monkeypatch.setattr(EmbeddingSection, "compute", fail)
    with pytest.raises(ValueError, match="no such thing"):
        make_report(X, out=tmp_path, observation="gaussian", **QUICK)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "The work failed: no such thing. Missing: Embeddings, Spectra" in page
    assert (tmp_path / "model.safetensors").exists()
