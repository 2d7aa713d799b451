"""How often each fixed point was found, and what that says of those that were not."""

from __future__ import annotations

import numpy as np

__all__ = ["Census"]


class Census:
    """Counts of how often searches led to each root.

    Attributes
    ----------
    random : int array of shape (n_roots,)
        How many random starts led there.
    otherwise : int array of shape (n_roots,)
        How often it was found in other ways.
    n_converged : int
        Random starts that led to roots.
    """

    def __init__(self) -> None:
        self.random = np.zeros(0, dtype=int)
        self.otherwise = np.zeros(0, dtype=int)
        self.n_converged = 0

    def take_in(self, n_new: int) -> None:
        """Roots that are new."""
        new = np.zeros(n_new, dtype=int)
        self.random = np.concatenate([self.random, new])
        self.otherwise = np.concatenate([self.otherwise, new])

    def keep(self, which: np.ndarray) -> None:
        """Only some roots, or all in another order."""
        self.random, self.otherwise = self.random[which], self.otherwise[which]

    def count_random(self, which: np.ndarray) -> None:
        """Numbers of the roots that random starts led to; -1 for none."""
        reached = which[which >= 0]
        self.random += np.bincount(reached, minlength=len(self.random))
        self.n_converged += len(reached)

    def count_otherwise(self, which: np.ndarray) -> None:
        """Numbers of roots found in another way; -1 for none."""
        self.otherwise += np.bincount(which[which >= 0], minlength=len(self.otherwise))

    def times_found(self, partners: np.ndarray) -> np.ndarray:
        """How often each root, or its partner, was found.

        Parameters
        ----------
        partners : int array of shape (n_roots,)
            Number of the root that is found whenever this one is: of itself, if none.
        """
        times = self.random + self.otherwise
        with_partner: np.ndarray = times + np.where(
            partners == np.arange(len(partners)), 0, times[partners]
        )
        return with_partner

    def missing_mass(self, counted: np.ndarray, partners: np.ndarray) -> float:
        """Estimated share of the converging random starts that lead to no known root.

        Good and Turing's: the share of those that lead to where no other start did
        [1]_. NaN where none converged.

        Parameters
        ----------
        counted : bool array of shape (n_roots,)
            Roots that are not points of a continuum, of which each is found once.
        partners : int array of shape (n_roots,)

        References
        ----------
        .. [1] Good, "The population frequencies of species and the estimation of
           population parameters", Biometrika 40 (1953).
        """
        if not self.n_converged:
            return np.nan
        once = (self.times_found(partners) == 1) & (self.random == 1) & counted
        return float(once.sum() / self.n_converged)
