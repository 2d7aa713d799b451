"""What the sections of a report share: trials, their split, settings, the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.model_selection import (
    GroupKFold,
    GroupShuffleSplit,
    KFold,
    ShuffleSplit,
    StratifiedKFold,
    StratifiedShuffleSplit,
)

from sklearn_jedi._data._forms import TrialsLike
from sklearn_jedi._estimators._jedi import JEDIEstimator
from sklearn_jedi._utils._optional import import_optional
from sklearn_jedi._utils._plain import as_objects
from sklearn_jedi.io import TrialSet
from sklearn_jedi.plotting._common import ordered_labels
from sklearn_jedi.report._preparation import Preparation
from sklearn_jedi.report._text import counted

if TYPE_CHECKING:
    from sklearn_jedi.report._conditions import ConditionNetworks

_TEST_SHARE = 0.25
_N_SPLITS = 20  # of groups, of which the one nearest to that share is taken

TrialList = list[np.ndarray]


@dataclass
class Study:
    """One recording, and what has been learned of it so far.

    Attributes
    ----------
    X : list of arrays of shape (n_timepoints_i, n_neurons)
        As they are fitted; NaN where nothing was recorded.
    dt, tau, start : float
        In seconds; `start` is the time of the first bin.
    unit : str
        Of X.
    labels : array of shape (n_trials,) of str, or None
        What was done in each trial.
    label_name : str
    groups : array of shape (n_trials,), or None
        Trials of a group are never on both sides of a split.
    observation : str
    random_state : int
    n_jobs : int
    rows : int array of shape (n_trials,)
        Which of the trials that the report was given these are.
    preparation : Preparation
        Of trials as the report was given them.
    rank, embedding_dim : int or None
        None until chosen.
    train, test : int arrays
        Trials that the model is fitted to, and those held out.
    model : JEDIEstimator or None
        None until fitted.
    embeddings : array of shape (n_trials, embedding_dim) or None
        Inferred from each trial.
    states : list of arrays of shape (n_timepoints_i, n_neurons) or None
        Where the network was, in its units.
    condition_networks : ConditionNetworks or None
        The network of each condition; None until asked for.
    is_doubtful : bool
        Whether the model describes held-out trials so badly that its networks say
        little.
    progress : callable
        ``progress(done, total, text)``.
    """

    X: TrialList
    dt: float
    tau: float
    start: float
    unit: str
    labels: np.ndarray | None
    label_name: str
    groups: np.ndarray | None
    observation: str
    random_state: int
    n_jobs: int
    rows: np.ndarray
    preparation: Preparation
    rank: int | None
    embedding_dim: int | None
    progress: Callable[[int, int, str], None] = lambda done, total, text: None
    train: np.ndarray = field(init=False)
    test: np.ndarray = field(init=False)
    model: JEDIEstimator | None = None
    embeddings: np.ndarray | None = None
    states: TrialList | None = None
    condition_networks: ConditionNetworks | None = None
    is_doubtful: bool = False

    def __post_init__(self) -> None:
        everything = np.arange(len(self.X))
        splits = list(self._outer().split(everything, *self._by()))
        # groups differ in size
        self.train, self.test = min(
            splits, key=lambda split: abs(len(split[1]) / len(self.X) - _TEST_SHARE)
        )

    def describe(self) -> str:
        """The recording in a sentence."""
        lengths = sorted({len(x) for x in self.X})
        points = (
            str(lengths[0]) if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
        )
        text = (
            f"{len(self.X)} trials ({len(self.train)} to fit, {len(self.test)} held "
            f"out) x {points} time points of {1000 * self.dt:g} ms x {self.n_neurons} "
            f"neurons, in {self.unit}"
        )
        if self.labels is not None:
            text += f"; {counted(len(self.conditions), 'value')} of {self.label_name}"
        if self.groups is not None:
            n_groups = len(np.unique(self.groups))
            text += f"; {counted(n_groups, 'group')}, never split"
        return text + "."

    @property
    def n_neurons(self) -> int:
        return int(self.X[0].shape[1])

    @property
    def conditions(self) -> list[tuple[str, np.ndarray]]:
        """Name and trials of each label, in the order of their values."""
        if self.labels is None:
            return [("all trials", np.arange(len(self.X)))]
        return [
            (str(label), np.flatnonzero(self.labels == label))
            for label in ordered_labels(self.labels)
        ]

    def take(self, trials: np.ndarray) -> TrialList:
        return [self.X[trial] for trial in trials]

    def with_names(self, trials: np.ndarray) -> TrialsLike:
        """Some of the trials, with the ids of their neurons where they have them."""
        names = self.preparation.names
        if names is None:
            return self.take(trials)
        pandas = import_optional("pandas", "ids of neurons", "io")
        units = pandas.DataFrame(index=as_objects(names))
        table = pandas.DataFrame(index=self.rows[trials])
        return TrialSet(self.take(trials), self.dt, table, units)

    def estimator(self, rank: int, embedding_dim: int, **params: Any) -> JEDIEstimator:
        """An unfitted model with the study's settings."""
        return JEDIEstimator(
            rank,
            embedding_dim,
            dt=self.dt,
            tau=self.tau,
            observation=self.observation,
            random_state=self.random_state,
            **params,
        )

    def units_of(self, trials: np.ndarray) -> np.ndarray:
        """Number of the independent unit, a group or a trial, that each trial is of."""
        if self.groups is None:
            return np.arange(len(trials))
        return np.unique(self.groups[trials], return_inverse=True)[1]

    def permuted(
        self, labels: np.ndarray, trials: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Labels of some trials, exchanged as they may be where they mean nothing.

        Labels of whole groups change places where each group has one, otherwise labels
        within groups.
        """
        units = self.units_of(trials)
        values: np.ndarray = labels[trials]
        if self.groups is None:
            rng.shuffle(values)
            return values
        members = [np.flatnonzero(units == unit) for unit in range(units.max() + 1)]
        if all(len(set(values[of])) == 1 for of in members):
            of_units: np.ndarray = rng.permutation(values[[of[0] for of in members]])
            values = of_units[units]
        else:
            for of in members:
                values[of] = rng.permutation(values[of])
        return values

    def folds(self, trials: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Splits of some of the trials, for choosing settings; numbers of trials."""
        y, groups = (None if of is None else of[trials] for of in self._by())
        if groups is not None:
            splitter: Any = GroupKFold(min(3, len(np.unique(groups))))
        elif self._stratify(y, 3):
            splitter = StratifiedKFold(3, shuffle=True, random_state=self.random_state)
        else:
            splitter = KFold(3, shuffle=True, random_state=self.random_state)
        for train, test in splitter.split(trials, y, groups):
            yield trials[train], trials[test]

    def _outer(self) -> Any:
        settings = {"test_size": _TEST_SHARE, "random_state": self.random_state}
        if self.groups is not None:
            return GroupShuffleSplit(_N_SPLITS, **settings)
        if self._stratify(self.labels, 4):
            n_classes = len(self.conditions)
            n_test = max(round(_TEST_SHARE * len(self.X)), n_classes)
            return StratifiedShuffleSplit(1, **settings | {"test_size": n_test})
        return ShuffleSplit(1, **settings)

    def _by(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        return self.labels, self.groups

    @staticmethod
    def _stratify(labels: np.ndarray | None, at_least: int) -> bool:
        """Whether there are enough trials of each label to spread them."""
        return (
            labels is not None
            and np.unique(labels, return_counts=True)[1].min() >= at_least
        )
