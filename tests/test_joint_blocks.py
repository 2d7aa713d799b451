"""Sessions that are smoothed together, against each by itself."""

import numpy as np
import pytest
from test_smoother import make_model

from sklearn_jedi._data._trials import Trials
from sklearn_jedi._engine._joint_blocks import joint_blocks, padded
from sklearn_jedi._engine._likelihoods import Gaussian, Poisson
from sklearn_jedi._engine._smoother import smooth

LENGTHS = [(20, 13), (9, 9, 9), (25,)]


def sessions_of(poisson, rng):
    """Models that share their dynamics, and trials of other neurons for each."""
    models, trials = [], []
    for k, lengths in enumerate(LENGTHS):
        model = make_model(seed=0, poisson=poisson)
        n_neurons = 5 + k
        loading = 0.5 * rng.standard_normal((n_neurons, model.loading.shape[1]))
        likelihood = (
            Poisson(np.zeros(n_neurons))
            if poisson
            else Gaussian(np.full(n_neurons, 0.3))
        )
        models.append(model._replace(loading=loading, likelihood=likelihood))
        X = [rng.poisson(1.0, (T, n_neurons)).astype(float) for T in lengths]
        X[0][3:5] = np.nan
        groups = np.zeros(len(X), dtype=int)
        trials.append(Trials(X, np.array(lengths), n_neurons, float, 8, groups))
    return models, trials


@pytest.mark.parametrize("poisson", [False, True])
def test_sessions_do_not_see_each_other(poisson, rng):
    models, trials = sessions_of(poisson, rng)
    (joint,) = joint_blocks(trials)
    found = smooth(models[0], joint.block, terms=joint.terms(models))
    z, c = found.draws(joint.block, 2, joint.sessions, joint.sessions_of_groups)
    for (session, block, rows), of_one in zip(joint.parts, trials, strict=True):
        alone = smooth(models[session], block)
        T = block.values.shape[1]
        np.testing.assert_array_equal(joint.block.numbers[rows], np.arange(len(of_one)))
        for k, length in enumerate(block.lengths):
            here = found.z[rows][k, :length]
            np.testing.assert_allclose(here, alone.z[k, :length], atol=1e-8)
        np.testing.assert_allclose(found.c[session], alone.c[0], atol=1e-8)
        np.testing.assert_allclose(found.cov[session], alone.cov[0], atol=1e-8)
        evidence = found.log_evidence[session]
        assert evidence == pytest.approx(alone.log_evidence[0], abs=1e-6)
        assert z[:, rows, :T].shape[1] == len(of_one)
    # sessions have random numbers of their own, whose antithetic pairs differ in sign
    unit = (c[:, :, 0] - found.c[:, 0]) / np.sqrt(found.cov[:, 0, 0])
    assert len(np.unique(np.abs(unit).round(9))) == unit.size // 2


def test_large_sessions_are_not_joined(monkeypatch, rng):
    monkeypatch.setattr("sklearn_jedi._engine._joint_blocks._MOST_BINS", 50)
    _, trials = sessions_of(False, rng)
    sessions = [[part.session for part in one.parts] for one in joint_blocks(trials)]
    assert sessions == [[0], [1], [2]]


def test_padding():
    a, b = np.ones((2, 3, 1)), 2 * np.ones((1, 5, 1))
    whole = padded([a, b])
    assert whole.shape == (3, 5, 1)
    assert whole[:2, 3:].sum() == 0
    assert whole[2].tolist() == [[2.0]] * 5
