"""The model of a report in its file, with what it needs to take other trials."""

from __future__ import annotations

import os
from pathlib import Path

from sklearn.pipeline import Pipeline

from sklearn_jedi._data._forms import TrialsLike, is_trial_set
from sklearn_jedi._data._labelled_arrays import axis_named, is_labelled
from sklearn_jedi._estimators._jedi import JEDIEstimator
from sklearn_jedi._estimators._saved import read_estimator, write_estimator
from sklearn_jedi._models._files import damaged
from sklearn_jedi._utils._plain import from_plain, to_plain
from sklearn_jedi.report._preparation import Preparation

__all__ = ["load_model"]

MODEL, RESULTS = "model.safetensors", "results.npz"


def save_model(
    path: str | os.PathLike[str], preparation: Preparation, model: JEDIEstimator
) -> None:
    """Write both to one file."""
    write_estimator(
        model,
        path,
        prepared=preparation.describe(),
        preparation={k: to_plain(v) for k, v in preparation.get_params().items()},
    )


def load_model(path: str | os.PathLike[str]) -> Pipeline:
    """The model of a report, which takes trials as the report was given them.

    Its first step chooses the neurons that were fitted, by their ids where trials have
    them (a TrialSet, a labelled array), and takes square roots of spike counts where
    the report did. No code from the file is run.

    Parameters
    ----------
    path : str or path
        The file ``model.safetensors`` of a report.

    Returns
    -------
    Pipeline
        ``transform(trials)`` gives the embeddings. The last step, ``[-1]``, is the
        fitted `JEDIEstimator`; ``[:-1].transform(trials)`` makes the trials that its
        methods take.

    Raises
    ------
    ValueError
        If the file is damaged, or not of a report.
    FileNotFoundError
        If there is none.

    See Also
    --------
    make_report : Its example loads the model.
    """
    estimator, content = read_estimator(JEDIEstimator, path)
    if "preparation" not in content:
        raise ValueError(
            f"{str(path)!r} is not of a report, but of JEDIEstimator.save: read it "
            "with JEDIEstimator.load"
        )
    try:
        params = {k: from_plain(v) for k, v in content["preparation"].items()}
        preparation = Preparation(**params)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from error
    return Pipeline([("preparation", preparation), ("jedi", estimator)])


def lines_to_load(folder: Path, reading: str, X: TrialsLike, left_out: bool) -> str:
    """Lines of Python that give the embeddings of the page.

    Parameters
    ----------
    folder : Path
        Of the report.
    reading : str
        Lines that read X again, as ``trials``.
    X : TrialsLike
        As the report was given it.
    left_out : bool
        Whether some of its trials are not on the page.
    """
    lines = [
        "from sklearn_jedi.report import load_model",
        reading,
        f"model = load_model({str(folder / MODEL)!r})",
    ]
    if left_out:
        results = str(folder / RESULTS)
        lines += [
            "# the trials that were not left out",
            f'rows = np.load({results!r})["embeddings_rows"]',
            f"trials = {_rows_of(X)}",
        ]
        lines.insert(0, "import numpy as np")
    lines += [
        "embeddings = model.transform(trials)",
        "# what the methods of model[-1], the JEDIEstimator, take:",
        "prepared = model[:-1].transform(trials)",
    ]
    return "\n".join(lines)


def _rows_of(X: TrialsLike) -> str:
    """An expression of the rows of trials."""
    if is_trial_set(X):
        return "trials.select(np.isin(np.arange(len(trials.table)), rows))"
    if is_labelled(X):
        return f"trials.isel({{{axis_named(X, 'trial')!r}: rows}})"
    return "[trials[row] for row in rows]"
