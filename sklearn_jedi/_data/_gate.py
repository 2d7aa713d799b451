"""The one gate for trials."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from sklearn_jedi._data._forms import TrialsLike, is_2d, is_list, names_of, unwrap
from sklearn_jedi._data._neuron_names import Name, as_names, check_names, neuron_names
from sklearn_jedi._data._numbers import as_numbers, as_objects, is_missing
from sklearn_jedi._data._trials import Source, Trials
from sklearn_jedi._utils._streaming import RunningExtremes, RunningMoments
from sklearn_jedi._utils._warnings import warn_user

__all__ = ["Summary", "check_labels", "check_trials", "is_2d"]

_ARRAY_RULES: dict[str, Any] = {
    "dtype": (np.float64, np.float32),
    "allow_nd": True,
    "ensure_all_finite": "allow-nan",
}
_LARGEST = 1e100
# So many times as far from the mean as all others, a value is no activity.
_FAR = 50.0
# Columns of tables that are no neurons.
_NO_NEURON = re.compile(r"(time|timestamp|trial)s?(_id|[ _(\[]*(m|u)?s(ec)?[)\]]*)?")


class Sizes(Protocol):
    """Where the gate notes what it learns in `fit`; it has `n_features_in_`, too."""

    n_neurons_in_: int
    n_timepoints_in_: int | np.ndarray
    neuron_names_in_: np.ndarray


class Summary(NamedTuple):
    """What one pass over the trials tells.

    Attributes
    ----------
    mean, sd : arrays of shape (n_neurons,)
        Over trials and time, in data units; zero unless in `fit`.
    first_whole : int array of shape (n_trials,)
        First bin in which every neuron was recorded; -1 where there is none.
    partial_bins : int
        Bins in which some neurons were recorded and others were not.
    counts : bool
        True where every value is a non-negative integer.
    """

    mean: np.ndarray
    sd: np.ndarray
    first_whole: np.ndarray
    partial_bins: int
    counts: bool


def check_trials(
    estimator: Sizes,
    X: TrialsLike,
    *,
    reset: bool,
    name: str | None = None,
    names: list[Name] | None = None,
    prefix: str = "",
) -> tuple[Trials, Summary]:
    """Validate trials, reading them once in pieces.

    Parameters
    ----------
    estimator : estimator
        Where ``reset``, gets `n_features_in_` (time points), `n_timepoints_in_` and
        `n_neurons_in_`; otherwise the trials are held against them.
    X : array-like of shape (n_trials, n_timepoints, n_neurons) or \
            (n_trials, n_timepoints), list of arrays (n_timepoints_i, n_neurons), or \
            TrialSet
        NaN where nothing was recorded; a trial ends with its last value. Float32 and
        float64 are kept, other numbers become float64; masked and missing values become
        NaN. A 2-D array is one neuron, with a warning. Arrays on disk are read in
        pieces. Neurons are told by name in labelled arrays, in lists of data frames or
        of pynapple's TsdFrames, and in a TrialSet.
    reset : bool
        True in `fit`.
    name : str, default=None
        What messages call the estimator; None: its class.
    names : list, default=None
        Names of the neurons; None: those that X has.
    prefix : str, default=""
        What warnings of single trials begin with.

    Warns
    -----
    UserWarning
        If X has two dimensions; in `fit`, if a value is so far from all others of its
        neuron that it can hardly be activity, or a column hardly a neuron.

    Raises
    ------
    ValueError, TypeError
        If the trials cannot be used; the message says what was given and what to do.
    """
    name = name or type(estimator).__name__
    if reset and hasattr(estimator, "neuron_names_in_"):
        del estimator.neuron_names_in_
    names = names_of(X) if names is None else names
    array = unwrap(X)
    source, width = _source(estimator, array, reset, name)
    n_neurons = np.shape(source[0])[-1]
    if n_neurons < 1:
        raise ValueError("X has no neurons: its last axis has length 0")
    if not reset and n_neurons != estimator.n_neurons_in_:
        raise ValueError(_other_neurons(name, source, estimator.n_neurons_in_))
    _check_names(estimator, array, names, n_neurons, reset)
    longest = max(len(x) for x in source) if isinstance(source, list) else width
    if longest < 2:
        raise ValueError(
            f"X has {longest} time point(s) a trial; {name} needs at least 2. The axes "
            "are (trials, time points, neurons)"
        )
    if isinstance(source, list):
        lengths = np.array([len(trial) for trial in source])
        dtype = np.result_type(*{trial.dtype for trial in source})
    else:
        lengths = np.full(source.shape[0], width)
        dtype = np.dtype(source.dtype)
    dtype = dtype if dtype == np.float32 else np.dtype(np.float64)
    batch_size = getattr(estimator, "batch_size", 32)
    batch_size = batch_size if isinstance(batch_size, int) else 32
    trials = Trials(source, lengths, n_neurons, dtype, max(1, batch_size))
    lengths, summary = _scan(trials, name, reset, prefix)
    trials = trials._replace(lengths=lengths)
    if reset:
        differ = len(set(lengths)) > 1
        estimator.n_timepoints_in_ = lengths if differ else int(lengths[0])
        estimator.n_neurons_in_ = n_neurons
    return trials, summary


def _source(estimator: Any, X: Any, reset: bool, name: str) -> tuple[Source, int]:
    """Trials as a 3-D array-like or a list of 2-D arrays, and the time points."""
    if isinstance(X, (list, tuple)) and len(X) == 0:
        raise ValueError("X has 0 sample(s): there are no trials in it")
    if is_list(X):
        return _listed(estimator, X, reset)
    if _is_sliced_by_trial(X):
        if X.shape[0] < 1:
            raise ValueError(f"X has 0 sample(s) (trials): its shape is {X.shape}")
        if reset:
            validate_data(estimator, X, skip_check_array=True)
        return X, X.shape[1]
    n_dims = np.ndim(X) if hasattr(X, "shape") or isinstance(X, (list, tuple)) else 2
    if reset or (n_dims == 2 and getattr(estimator, "n_neurons_in_", None) == 1):
        least = 2 if reset else 1
        X = validate_data(
            estimator, X, reset=reset, ensure_min_features=least, **_ARRAY_RULES
        )
    else:
        X = check_array(X, estimator=estimator, input_name="X", **_ARRAY_RULES)
    if X.ndim == 2:
        warn_user(
            f"{name} reads a 2-D X of shape {X.shape} as "
            f"{X.shape[0]} trials of {X.shape[1]} time points of one neuron. For "
            "several neurons pass trials x time x neurons: an array, a list of (time x "
            "neurons) arrays or DataFrames, or X[np.newaxis] for one trial."
        )
        X = X[:, :, np.newaxis]
    if X.ndim != 3:
        raise ValueError(
            f"X must have shape (n_trials, n_timepoints, n_neurons); got an array of "
            f"{X.ndim} dimensions, {X.shape}"
        )
    return X, X.shape[1]


def _listed(
    estimator: Any, X: Sequence[Any], reset: bool
) -> tuple[list[np.ndarray], int]:
    """Trials of a list as arrays, and the time points of the longest."""
    source = [_trial(trial, i) for i, trial in enumerate(X)]
    widths = sorted({trial.shape[1] for trial in source})
    if len(widths) > 1:
        raise ValueError(
            f"trials disagree on the number of neurons: {widths}; select the same "
            "units in all, and give NaN where one was not recorded"
            + (
                ". All have the same number of rows: are the axes swapped? They "
                "are (time points, neurons)"
                if len({len(trial) for trial in source}) == 1
                else ""
            )
        )
    longest = max(len(trial) for trial in source)
    if reset:
        estimator.n_features_in_ = longest
        if hasattr(estimator, "feature_names_in_"):
            del estimator.feature_names_in_
    return source, longest


def _is_sliced_by_trial(X: Any) -> bool:
    """A 3-D array of real numbers, in memory or on disk, which need not be copied."""
    shape, dtype = getattr(X, "shape", ()), getattr(X, "dtype", None)
    return (
        len(shape) == 3
        and hasattr(X, "__getitem__")
        and not hasattr(X, "toarray")
        and getattr(dtype, "kind", "O") in "fiu"
    )


def _check_names(
    estimator: Any, X: Any, names: list[Name] | None, n_neurons: int, reset: bool
) -> None:
    """Units are told by name: all trials need the same, in one order, as in `fit`."""
    of_trials = {"X": names}
    if names is None and isinstance(X, list):
        of_trials = {f"trial {k}": neuron_names(trial) for k, trial in enumerate(X)}
    named = {
        what: of_one
        for what, of_one in of_trials.items()
        if of_one is not None and len(of_one) == n_neurons
    }
    if reset and names is None and named:
        _warn_of_columns(next(iter(named.values())))
    known = None if reset else getattr(estimator, "neuron_names_in_", None)
    held = check_names(known, named, None if reset else n_neurons)
    if reset and held is not None:
        estimator.neuron_names_in_ = as_names(held)


def _warn_of_columns(names: list[Name]) -> None:
    """Say which columns of data frames are hardly neurons."""
    others = [name for name in names if _NO_NEURON.fullmatch(str(name).lower())]
    if others:
        warn_user(
            f"the column {others[0]!r} of the data frames is read as a neuron: leave "
            "it out, or make it the index, if it is none"
        )


def _trial(trial: Any, number: int) -> np.ndarray:
    array = as_numbers(trial, f"trial {number}")
    if array.ndim != 2:
        raise ValueError(
            f"trial {number} has shape {array.shape}; trials of a list must be (time "
            "points x neurons) arrays"
        )
    return array


def _other_neurons(name: str, source: Source, expected: int) -> str:
    n_neurons, n_timepoints = source[0].shape[-1], source[0].shape[0]
    return (
        f"X has {n_neurons} neuron{'s' * (n_neurons != 1)}, but {name} was fitted on "
        f"{expected}: select the same units in both"
        + (
            ". Axis 1 has that many entries: are the axes swapped? They are (trials, "
            "time points, neurons)"
            if n_timepoints == expected
            else ""
        )
    )


def _scan(
    trials: Trials, name: str, reset: bool, prefix: str
) -> tuple[np.ndarray, Summary]:
    """One pass: refuse what cannot be used, find where trials end, and sum up."""
    moments = RunningMoments(trials.n_neurons)
    high, low = (RunningExtremes(trials.n_neurons) for _ in range(2))
    lengths = np.empty(len(trials), dtype=int)
    first_whole = np.zeros(len(trials), dtype=int)
    partial, counts = 0, True
    for block in trials.blocks():
        values, recorded = block.values, block.recorded
        largest = float(np.abs(values).max())
        if not largest < _LARGEST:
            trial, time, neuron = np.argwhere(~(np.abs(values) < _LARGEST))[0]
            raise ValueError(
                "Input X contains infinity or values whose squares overflow "
                f"({largest:.3g} in trial {block.numbers[trial]}, time point {time}, "
                f"neuron {neuron}); mark missing bins as NaN, or give the activity in "
                "a smaller unit"
            )
        if recorded is None:
            ends = block.lengths
        else:
            some, whole = np.asarray(recorded.any(2)), block.bins
            ends = np.where(some.any(1), some.shape[1] - some[:, ::-1].argmax(1), 0)
            partial += int((some & ~whole).sum())
            first_whole[block.numbers] = np.where(whole.any(1), whole.argmax(1), -1)
        short = np.flatnonzero(ends < 2)
        if len(short):
            what = "NaN in every bin" if ends[short[0]] == 0 else "1 time point"
            raise ValueError(
                f"trial {block.numbers[short[0]]} has {what}; {name} needs at least 2 "
                "time points in each trial: leave that trial out"
            )
        lengths[block.numbers] = ends
        counts = counts and bool((values >= 0).all() and (values % 1 == 0).all())
        if reset:
            moments.add(values, recorded)
            high.add(values, recorded, block.numbers)
            low.add(-values, recorded, block.numbers)
    empty = np.flatnonzero(moments.count == 0)
    if reset and len(empty):
        raise ValueError(
            f"neuron{'s' * (len(empty) > 1)} {', '.join(map(str, empty[:5]))} "
            f"{'have' if len(empty) > 1 else 'has'} no finite value in any trial; "
            "leave out what was never recorded"
        )
    if reset:
        _warn_of_artefacts(high, low, moments.mean, prefix)
    sd = np.sqrt(moments.scatter / np.maximum(moments.count, 1))
    return lengths, Summary(moments.mean, sd, first_whole, partial, counts)


def _warn_of_artefacts(
    high: RunningExtremes, low: RunningExtremes, mean: np.ndarray, prefix: str
) -> None:
    """Say where a value, or one that is repeated, is far from all others of a neuron.

    Such as 65535 in counts or -9999 in a voltage, which stand for what was not
    recorded.
    """
    far = []
    for sign, one, other in ((1.0, high, low), (-1.0, low, high)):
        off, following = one.top - sign * mean, np.abs(one.following - sign * mean)
        usual = np.maximum(following, other.top + sign * mean)
        differ = one.following > -other.top  # or one spike in zeros would be far off
        far += [
            (int(one.trial[neuron]), int(neuron), sign * one.top[neuron])
            for neuron in np.flatnonzero(differ & (off > _FAR * usual))
        ]
    if far:
        trial, neuron, value = min(far)
        others = len({neuron for _, neuron, _ in far}) - 1
        warn_user(
            f"{prefix}trial {trial}, neuron {neuron} has a value of {value:.6g}, more "
            f"than {_FAR:.0f} times as far from the neuron's mean as any other value"
            + (f", and {others} more neurons have such" if others else "")
            + ": if it stands for what was not recorded, give NaN; if it is an "
            "artefact, leave it out"
        )


def check_labels(name: str, labels: ArrayLike, n_trials: int) -> np.ndarray:
    """Numbers (n_trials,) of the groups that labels make, in order of appearance."""
    array = as_objects(labels)
    if array.shape != (n_trials,):
        raise ValueError(
            f"{name} must have one label per trial, shape ({n_trials},); got "
            f"{array.shape}"
        )
    refuse_missing(name, array)
    numbers: dict[object, int] = {}
    try:
        return np.array([numbers.setdefault(k, len(numbers)) for k in array.tolist()])
    except TypeError:
        kinds = sorted({type(label).__name__ for label in array.tolist()})
        raise TypeError(
            f"{name} must be text, numbers or tuples of these; got {kinds}"
        ) from None


def refuse_missing(name: str, labels: np.ndarray) -> None:
    """Raise where a label (n_trials,) is missing, and say of which trial."""
    missing = [is_missing(label) for label in labels.tolist()]
    if any(missing):
        raise ValueError(
            f"{name} contain None or NaN (trial {missing.index(True)}); give each "
            "trial a label"
        )
