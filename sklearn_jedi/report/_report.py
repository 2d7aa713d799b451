"""From trials to a report: every section in turn, each written when it is done."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from numpy.typing import ArrayLike
from tqdm import tqdm

from sklearn_jedi._data._forms import TrialsLike, unwrap
from sklearn_jedi._estimators._jedi import JEDIEstimator
from sklearn_jedi.plotting._common import import_pyplot
from sklearn_jedi.report._choice import ChoiceSection
from sklearn_jedi.report._embeddings import EmbeddingSection
from sklearn_jedi.report._fit import FitSection
from sklearn_jedi.report._fixed_points import FixedPointSection
from sklearn_jedi.report._folder import PAGE, Folder, check_folder
from sklearn_jedi.report._lyapunov import LyapunovSection
from sklearn_jedi.report._prepare import prepare
from sklearn_jedi.report._saved_model import lines_to_load
from sklearn_jedi.report._section import Section
from sklearn_jedi.report._spectra import SpectrumSection
from sklearn_jedi.report._study import Study

__all__ = ["Report", "make_report"]

_READING = "trials = X  # as make_report was given it"


class Report(NamedTuple):
    """What `make_report` made.

    Attributes
    ----------
    path : Path
        The page, ``report.html``; figures, results.npz, model.safetensors and
        reproduce.txt are beside it.
    model : JEDIEstimator or None
        Fitted to the training trials as they were prepared; None where the work was
        interrupted before. `load_model` reads it with the preparation.
    notes : list of str
        Why results should not be trusted, in plain language.
    interrupted : bool
        Whether Ctrl-C ended the work early.
    """

    path: Path
    model: JEDIEstimator | None
    notes: list[str]
    interrupted: bool


def make_report(
    X: TrialsLike,
    *,
    dt: float | str = "auto",
    labels: ArrayLike | None = None,
    label_name: str = "condition",
    groups: ArrayLike | None = None,
    out: str | Path = "report",
    rank: int | None = None,
    embedding_dim: int | None = None,
    tau: float | str = "auto",
    start: float | None = None,
    observation: str = "auto",
    title: str = "Dynamics of a recording",
    how: str | None = None,
    reading: str | None = None,
    notes: list[str] | None = None,
    random_state: int = 0,
    n_jobs: int = -1,
    quiet: bool = False,
) -> Report:
    """Fit trials, analyse the networks, and write a report that opens in a browser.

    A quarter of the trials is held out. Rank and embedding dimension, unless given, are
    chosen by cross-validated forecasts of the others; so is the number of states of the
    linear state-space model that JEDI is held against. Then come embeddings, spectra,
    fixed points and Lyapunov exponents of each label. Whatever is finished is on disk,
    also after Ctrl-C.

    Parameters
    ----------
    X : array-like of shape (n_trials, n_timepoints, n_neurons), list of arrays of \
            shape (n_timepoints_i, n_neurons), DataArray or TrialSet
        At least 6 trials of at least 8 time points; NaN where nothing was recorded.
        Spike counts are fitted as their square roots. Neurons that never change are
        left out.
    dt : float or "auto", default="auto"
        Duration of a time point in seconds. "auto" takes it from X where X carries it
        (a `TrialSet`, or a DataArray with the coordinate `time`); otherwise 0.01 s is
        assumed, and the report says so.
    labels : array-like of shape (n_trials,), default=None
        What was done in each trial, at most 20 different; trials without a label (NaN,
        None) are left out.
    label_name : str, default="condition"
        What labels are called in the report.
    groups : array-like of shape (n_trials,), default=None
        Such as blocks: trials of a group are never on both sides of a split.
    out : str or Path, default="report"
        Folder to write; one that holds anything but an earlier report is refused.
    rank, embedding_dim : int, default=None
        None: chosen by cross-validation.
    tau : float or "auto", default="auto"
        Time constant of the neurons in seconds; "auto" is 0.1 s, but at least 5 time
        points.
    start : float, default=None
        Time of the middle of the first bin in seconds. None: as X says, otherwise 0.
    observation : {"auto", "state", "gaussian", "poisson", "negative_binomial"}, \
            default="auto"
        What was recorded of the neurons' state, as in `JEDIEstimator`; "auto" is
        "gaussian" for the square roots of spike counts.
    title : str
        Title of the page.
    how : str, default=None
        How to make the report again: a command, or code; goes to the page.
    reading : str, default=None
        Lines of Python that read X again, as ``trials``. They go to the page, with
        those that load the model and embed these trials.
    notes : list of str, default=None
        What is to be said with the warnings, such as how the trials were selected.
    random_state : int, default=0
        Seed of splits, training and searches.
    n_jobs : int, default=-1
        Processes for the cross-validation; -1: one for each core.
    quiet : bool, default=False
        No progress on the standard error stream.

    Returns
    -------
    Report

    Raises
    ------
    ValueError, TypeError
        If trials or labels cannot be used, before anything is written.
    FileExistsError, NotADirectoryError
        If `out` holds something else.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn_jedi.datasets import make_rotation_family
    >>> from sklearn_jedi.report import load_model, make_report
    >>> X, y, _ = make_rotation_family(
    ...     2, n_timepoints=20, n_neurons=4, observation_noise=0.5, random_state=0
    ... )
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     report = make_report(X, dt=0.01, labels=y, out=folder, rank=2,
    ...                          embedding_dim=1, quiet=True, n_jobs=1)
    ...     model = load_model(report.path.with_name("model.safetensors"))
    >>> report.path.name, report.model.rank
    ('report.html', 2)
    >>> model.transform(X).shape
    (8, 1)
    """
    import_pyplot()
    check_folder(Path(out))
    study, doubts = prepare(
        X,
        dt=dt,
        labels=labels,
        label_name=label_name,
        groups=groups,
        rank=rank,
        embedding_dim=embedding_dim,
        tau=tau,
        start=start,
        observation=observation,
        random_state=random_state,
        n_jobs=n_jobs,
    )
    choice = ChoiceSection()
    sections: list[Section] = [
        choice,
        FitSection(lambda: choice.n_states),
        EmbeddingSection(),
        SpectrumSection(),
        FixedPointSection(),
        LyapunovSection(),
    ]
    how = how or "sklearn_jedi.report.make_report, from Python"
    left_out = len(study.rows) < len(unwrap(X))
    lines = lines_to_load(Path(out), reading or _READING, X, left_out)
    folder = Folder(
        Path(out),
        sections,
        title,
        study.describe(),
        how,
        study.preparation,
        lines,
    )
    folder.open()
    folder.notes += [*(notes or []), *doubts]
    for number, section in enumerate(sections):
        found = False
        try:
            with _progress(study, number, sections, quiet):
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always", UserWarning)
                    section.compute(study)
                found = True
                folder.note(caught, section)
                folder.add(section, _caveat(study, section))
            folder.write(study.model, _missing("is going on", sections[number + 1 :]))
        except KeyboardInterrupt:
            if found:
                # what has been found is not lost while drawing it
                folder.add(section, _caveat(study, section))
            rest = sections[number + found :]
            folder.write(study.model, _missing("was interrupted (Ctrl-C)", rest))
            return Report(folder.path / PAGE, study.model, folder.notes, True)
        except Exception as error:
            folder.write(study.model, _missing(f"failed: {error}", sections[number:]))
            raise
    return Report(folder.path / PAGE, study.model, folder.notes, False)


def _caveat(study: Study, section: Section) -> str:
    if study.is_doubtful and section.reads_networks:
        return "Of a model that hardly describes the activity: "
    return ""


def _missing(what: str, sections: list[Section]) -> str | None:
    """What a page says that is not whole."""
    titles = ", ".join(section.title for section in sections)
    return f"The work {what}. Missing: {titles}." if sections else None


@contextmanager
def _progress(
    study: Study, number: int, sections: list[Section], quiet: bool
) -> Iterator[None]:
    """A bar for one section."""
    title = f"{number + 1}/{len(sections)} {sections[number].title}"
    # where lines cannot be written over, few of them
    pause, shown = (0.1 if sys.stderr.isatty() else 10.0), time.monotonic()
    with tqdm(
        total=1,
        desc=title,
        disable=quiet,
        file=sys.stderr,
        bar_format="{desc:<58} {bar:20} {elapsed}",
    ) as bar:

        def show(done: int, total: int, text: str) -> None:
            nonlocal shown
            bar.total, bar.n = max(total, 1), min(done, total)
            if time.monotonic() - shown > pause:
                shown = time.monotonic()
                bar.set_description_str(f"{title}: {text} {done}/{total}")

        study.progress = show
        yield
        bar.n = bar.total
        bar.set_description_str(title)
