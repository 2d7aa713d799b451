"""The units in which recorded activity is the state of a network."""

from __future__ import annotations

from sklearn_jedi._data._gate import Summary
from sklearn_jedi._data._trials import Trials
from sklearn_jedi._data._units import Scaling, is_about_zero, is_of_unit_scale
from sklearn_jedi._engine._basis import find_basis
from sklearn_jedi._engine._reduction import Basis
from sklearn_jedi._engine._settings import Settings, choose_settings, first_as_good
from sklearn_jedi._models._observed import state_trials
from sklearn_jedi._networks._equation import Equation


def choose_units(
    trials: Trials,
    summary: Summary,
    scaling: Scaling,
    rank: int,
    embedding_dim: int,
    equation: Equation,
    *,
    gain: float | str,
    window: int | str,
    ridge: float | str,
    full_rank: bool,
) -> tuple[Scaling, Settings, Basis]:
    """The units in which held-out windows are predicted best, settings and basis there.

    In order of preference these are data of unit scale as they are, or only centred;
    the given scaling; and the same with thresholds.

    Parameters
    ----------
    trials : Trials
        Training trials.
    summary : Summary
        Of the trials, in data units.
    scaling : Scaling
        That does not depend on the units of the data; errors count in it.
    gain, window, ridge, full_rank
        As in `choose_settings`; data that are not scaled have a gain of 1 for "auto".
    """
    candidates: list[tuple[Scaling, float | str]] = [
        (scaling, "auto"),
        (scaling.with_thresholds(), "auto"),
    ]
    if is_of_unit_scale(summary.sd):
        # as they are, data may be states of a network that saturates where they say
        if not is_about_zero(summary.mean, summary.sd):
            candidates.insert(0, (Scaling.centred(summary.mean), 1.0))
        candidates.insert(0, (Scaling.identity(trials.n_neurons), 1.0))
    choices = [
        choose_settings(
            state_trials(trials, units, summary.first_whole),
            rank,
            embedding_dim,
            equation,
            gain=own_gain if gain == "auto" else gain,
            window=window,
            ridge=ridge,
            full_rank=full_rank,
            weights=units.scale / scaling.scale,
        )
        for units, own_gain in candidates
    ]
    best = first_as_good(choices, default=-2)
    settings, units = choices[best], candidates[best][0]
    basis = find_basis(
        state_trials(trials, units, summary.first_whole),
        equation._replace(gain=settings.gain),
        rank,
        settings.n_directions,
    )
    return units, settings, basis
