"""Each likelihood against scipy's distributions and numerical derivatives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import in_block
from scipy import optimize, stats

from sklearn_jedi import JEDIEstimator, MetaDynamicalSSM
from sklearn_jedi._data._units import Scaling
from sklearn_jedi._engine._likelihoods import (
    LIKELIHOODS,
    Gaussian,
    NegativeBinomial,
    Poisson,
    ReadoutSums,
)
from sklearn_jedi._engine._readout import with_one
from sklearn_jedi.datasets import make_oscillator_sessions, make_rotation_family

N_NEURONS, RANK = 5, 2
NAMES = ["gaussian", "poisson", "negative_binomial"]


def make(name, rng):
    """A likelihood, a loading, and scipy's distribution of recordings at activity x."""
    loading = 0.5 * rng.standard_normal((N_NEURONS, RANK + 1))
    offset = rng.uniform(-0.5, 1.0, N_NEURONS)
    if name == "gaussian":
        variance = rng.uniform(0.2, 0.5, N_NEURONS)
        return (
            Gaussian(variance),
            loading,
            lambda x: stats.norm(x, np.sqrt(variance)),
        )
    if name == "poisson":
        return Poisson(offset), loading, lambda x: stats.poisson(np.exp(x + offset))
    dispersion = rng.uniform(0.2, 2.0, N_NEURONS)

    def distribution(x):
        size = 1 / dispersion
        return stats.nbinom(size, size / (size + np.exp(x + offset)))

    return NegativeBinomial(offset, dispersion), loading, distribution


def log_density(distribution, y):
    of = (
        distribution.logpdf
        if hasattr(distribution.dist, "pdf")
        else distribution.logpmf
    )
    return of(y)


def activity(z, loading):
    return with_one(z) @ loading.T


@pytest.fixture(params=NAMES)
def case(request, rng):
    """A likelihood, its loading and distribution, states, and recordings with gaps."""
    likelihood, loading, distribution = make(request.param, rng)
    z = rng.standard_normal((3, 6, RANK))
    y = distribution(activity(z, loading)).rvs(random_state=1).astype(float)
    y[0, 2:4] = np.nan
    y[1, :, 3] = np.nan
    return likelihood, loading, distribution, z, in_block(y), y


def test_all_are_known_by_name():
    assert list(LIKELIHOODS) == NAMES
    for name, cls in LIKELIHOODS.items():
        assert cls.name == name


def test_costs_differ_as_scipys_log_likelihoods(case, rng):
    likelihood, loading, distribution, z, block, y = case
    terms = likelihood.terms(loading, block)
    other = z + rng.standard_normal(z.shape)
    expected = [
        np.nansum(log_density(distribution(activity(s, loading)), y), axis=(1, 2))
        for s in (z, other)
    ]
    np.testing.assert_allclose(
        terms.cost(other) - terms.cost(z), expected[0] - expected[1], rtol=1e-9
    )


def test_slopes_are_derivatives_of_the_cost(case):
    likelihood, loading, _, z, block, _ = case
    terms = likelihood.terms(loading, block)
    descent, curvature = terms.slopes(z)
    curvature = np.broadcast_to(curvature, (*z.shape, RANK))
    h = 1e-5
    for q in range(RANK):
        moved = np.zeros(z.shape)
        moved[:, 1, q] = h
        up, down = terms.slopes(z + moved), terms.slopes(z - moved)
        cost = (terms.cost(z + moved) - terms.cost(z - moved)) / (2 * h)
        np.testing.assert_allclose(-descent[:, 1, q], cost, rtol=1e-6, atol=1e-8)
        slope = (down[0] - up[0])[:, 1] / (2 * h)
        np.testing.assert_allclose(curvature[:, 1, q], slope, rtol=1e-6, atol=1e-8)


def test_torch_agrees_on_the_density_of_each_recording(case):
    """Up to a constant of the recording."""
    likelihood, loading, distribution, z, _, y = case
    seen = ~np.isnan(y)
    values, moved = np.nan_to_num(y), z + 0.3

    def density(x):
        parameters = [torch.tensor(p) for p in likelihood.parameters]
        found = likelihood.log_density(
            torch.tensor(values), torch.tensor(x), parameters
        )
        return found.numpy()[seen]

    x, other = activity(z, loading), activity(moved, loading)
    expected = log_density(distribution(x), y) - log_density(distribution(other), y)
    np.testing.assert_allclose(density(x) - density(other), expected[seen], atol=1e-10)


def test_padding_is_a_likelihood_of_its_own(case):
    """Of variance 1, mean 1, dispersion 1: its density at zero is known, and finite."""
    likelihood = case[0]
    assert len(likelihood.padding) == len(likelihood.parameters)
    parameters = [torch.tensor(p) for p in likelihood.padding]
    density = likelihood.log_density(torch.zeros(1), torch.zeros(1), parameters)
    known = {"gaussian": 0.0, "poisson": -1.0, "negative_binomial": -np.log(2)}
    assert density.item() == pytest.approx(known[likelihood.name])


def test_recordings_to_first_order(case):
    likelihood, loading, distribution, _, _, _ = case
    linear = likelihood.linearised(loading)
    at_zero = distribution(loading[:, -1])
    np.testing.assert_allclose(linear.expected, at_zero.mean())
    np.testing.assert_allclose(linear.variance, at_zero.var())
    h = 1e-6
    for q in range(RANK):
        step = distribution(loading[:, -1] + h * loading[:, q]).mean() - at_zero.mean()
        np.testing.assert_allclose(linear.slopes[:, q], step / h, rtol=1e-4)


def test_the_readout_converges_to_the_maximum_of_the_likelihood(case):
    """Given states, against scipy's optimiser, neuron by neuron."""
    likelihood, loading, distribution, _, _, _ = case
    rng = np.random.default_rng(2)
    z = rng.standard_normal((20, 30, RANK))
    y = distribution(activity(z, loading)).rvs(random_state=2).astype(float)
    block = in_block(y)
    if isinstance(likelihood, Gaussian):
        found = likelihood
        start = 0 * loading
    else:
        found, start = (
            type(likelihood).first(Scaling(likelihood.offset, np.ones(1))),
            loading,
        )
    for _ in range(60):
        sums = found.sums(start, block, with_one(z)[None])
        start, found = found.solved(start, sums)
    one = with_one(z).reshape(-1, RANK + 1)
    for k in range(N_NEURONS):

        def cost(row, k=k):
            x = one @ row
            if isinstance(found, Gaussian):
                return (
                    -stats.norm(x, np.sqrt(found.variance[k]))
                    .logpdf(y[..., k].ravel())
                    .sum()
                )
            mean = np.exp(x + found.offset[k])
            if isinstance(found, Poisson):
                return -stats.poisson(mean).logpmf(y[..., k].ravel()).sum()
            size = 1 / found.dispersion[k]
            share = size / (size + mean)
            return -stats.nbinom(size, share).logpmf(y[..., k].ravel()).sum()

        best = optimize.minimize(cost, start[k], method="BFGS")
        np.testing.assert_allclose(start[k], best.x, atol=2e-3)


def test_the_variance_of_the_gaussian_is_that_of_its_residuals(rng):
    loading = rng.standard_normal((N_NEURONS, RANK + 1))
    z = rng.standard_normal((10, 20, RANK))
    y = activity(z, loading) + 0.4 * rng.standard_normal((10, 20, N_NEURONS))
    sums = Gaussian(np.ones(N_NEURONS)).sums(loading, in_block(y), with_one(z)[None])
    solved, found = Gaussian(np.ones(N_NEURONS)).solved(loading, sums)
    residual = y - activity(z, solved)
    np.testing.assert_allclose(found.variance, residual.var((0, 1)), rtol=1e-2)


@pytest.mark.parametrize("dispersion", [0.05, 0.5, 3.0])
def test_dispersions_are_recovered(dispersion):
    """At the maximum of the likelihood, near the truth."""
    rng = np.random.default_rng(3)
    n = 20000
    mean = np.exp(rng.normal(0.5, 0.5, (1, n, 1)))
    y = rng.negative_binomial(1 / dispersion, 1 / (1 + dispersion * mean)).astype(float)
    one = np.concatenate([np.log(mean), np.ones_like(mean)], -1)[None]
    loading, found = (
        np.array([[1.0, 0.0]]),
        NegativeBinomial(np.zeros(1), np.full(1, 0.1)),
    )
    for _ in range(30):
        sums = found.sums(loading, in_block(y), one)
        loading, found = found.solved(loading, sums)

    def cost(log):
        size = np.exp(-log)
        mu = np.exp(one[0] @ loading.T)
        return -stats.nbinom(size, size / (size + mu)).logpmf(y).sum()

    best = optimize.minimize_scalar(cost, bounds=(-6, 3), method="bounded").x
    assert np.log(found.dispersion[0]) == pytest.approx(best, abs=0.01)
    assert found.dispersion[0] == pytest.approx(dispersion, rel=0.1)


def test_counts_that_are_poisson_get_a_small_dispersion():
    rng = np.random.default_rng(4)
    y = rng.poisson(2.0, (1, 5000, 1)).astype(float)
    one = np.ones((1, 1, 5000, 1))
    loading, found = np.zeros((1, 1)), NegativeBinomial(np.zeros(1), np.full(1, 0.1))
    for _ in range(40):
        loading, found = found.solved(loading, found.sums(loading, in_block(y), one))
    assert found.dispersion[0] < 0.02
    assert loading[0, 0] == pytest.approx(np.log(y.mean()), abs=1e-3)


@pytest.mark.parametrize("likelihood", [Poisson, NegativeBinomial])
def test_the_readout_is_found_where_newtons_first_step_would_overflow(likelihood):
    """One bin of a state of its own: its log rate is that of its count."""
    y = np.full((1, 200, 1), 1.0)
    y[0, -1] = 5e4
    one = np.zeros((1, 1, 200, 2))
    one[..., 1] = 1.0
    one[0, 0, -1, 0] = 1.0
    loading, found = (
        np.zeros((1, 2)),
        likelihood.first(Scaling(np.zeros(1), np.ones(1))),
    )
    for _ in range(40):
        loading, found = found.solved(loading, found.sums(loading, in_block(y), one))
    np.testing.assert_allclose(loading, [[np.log(5e4), 0.0]], atol=1e-3)


def test_sums_over_blocks_are_sums(case):
    likelihood, loading, _, z, block, y = case
    whole = likelihood.sums(loading, block, with_one(z)[None])
    parts = [
        likelihood.sums(loading, in_block(y[rows]), with_one(z[rows])[None])
        for rows in (slice(0, 2), slice(2, 3))
    ]
    for a, b in zip(whole, ReadoutSums.plus(*parts), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


def test_recordings_of_states_of_which_there_are_draws(case):
    """Against recordings that are drawn, and against what is known of a Gaussian."""
    likelihood, loading, distribution, _, _, _ = case
    rng = np.random.default_rng(5)
    scale = np.ones(N_NEURONS)
    offset = getattr(likelihood, "offset", 0 * scale)
    z = 0.4 * rng.standard_normal((2, 40_000, 2, RANK)) + [[[[0.2, -0.1]]]]
    mean, std = likelihood.predictive(z, loading, Scaling(offset, scale))
    y = distribution(activity(z, loading)).rvs(random_state=6)
    assert mean.shape == std.shape == (2, 2, N_NEURONS)
    np.testing.assert_allclose(std, y.std(1), rtol=0.03)
    np.testing.assert_allclose(mean, y.mean(1), atol=0.06)
    C, at_zero = loading[:, :-1], loading[:, -1] + offset
    expected = likelihood.expected(
        np.array([0.2, -0.1]) @ C.T + at_zero, 0.4**2 * (C**2).sum(1)
    )
    np.testing.assert_allclose(mean, np.broadcast_to(expected, mean.shape), atol=0.03)


# ------------------------------------------------------------------------- whole fits


@pytest.fixture(scope="module")
def counts():
    """Of 6 trials x 20 bins x 3 neurons."""
    X = make_rotation_family(2, n_timepoints=20, n_neurons=3, random_state=0)[0][:6]
    return np.random.default_rng(0).poisson(np.exp(X)).astype(float)


@pytest.mark.parametrize("name", ["poisson", "negative_binomial"])
@pytest.mark.parametrize("at", [(0, 0, 0), (4, 19, 2), (3, 10, 1)])
@pytest.mark.parametrize("value", [65535, 1e9])
def test_counts_that_none_can_be_are_named(counts, name, at, value):
    odd = counts.copy()
    odd[at] = value
    named = "trial {}, time point {}, neuron {} has a count of {:.0f}".format(
        *at, value
    )
    sessions = [1, 0, 0, 1, 0, 1]
    with pytest.raises(ValueError, match=named):
        JEDIEstimator(2, 1, observation=name, dt=0.01).fit(odd)
    with pytest.raises(ValueError, match=named):
        MetaDynamicalSSM(2, 1, observation=name, dt=0.01).fit(odd, sessions=sessions)


def test_counts_that_none_can_be_are_named_after_the_fit(counts):
    jedi = JEDIEstimator(2, 1, observation="poisson", dt=0.01, max_epochs=0).fit(counts)
    odd = counts[:, :2].copy()
    odd[2, 1, 1] = 65535
    for method in (jedi.transform, jedi.smooth, lambda X: jedi.forecast(X, 2)):
        with pytest.raises(ValueError, match="trial 2, time point 1, neuron 1 has"):
            method(odd)
    odd[2, 1, 1] = np.nan
    assert np.isfinite(jedi.forecast(odd, 2)).all()


def test_expected_counts_do_not_run_away(counts):
    """Not beyond twice the largest count that the neuron had in the fit."""
    jedi = JEDIEstimator(2, 1, observation="poisson", dt=0.01, max_epochs=0).fit(counts)
    bilinear = jedi._model.bilinear
    wild = bilinear._replace(A=100 * bilinear.A)
    jedi._model = replace(jedi._model, bilinear=wild, step_cov=1e4 * np.eye(2))
    mean, std = jedi.forecast(counts, 10, return_std=True)
    free = jedi.reconstruct(counts)
    assert np.isfinite(std).all()
    for found in (mean, free, jedi.smooth(counts)):
        assert (found <= 2 * counts.max((0, 1))).all()
    np.testing.assert_allclose(free.max((0, 1)), 2 * counts.max((0, 1)))


def test_counts_of_very_active_neurons_are_fitted(counts):
    """What is typical of a neuron decides, not the number alone."""
    active = counts.copy()
    active[:, :, 0] = 1e5 + 300 * counts[:, :, 0]
    jedi = JEDIEstimator(2, 1, observation="poisson", dt=0.01, max_epochs=0)
    found = jedi.fit(active).smooth(active)
    np.testing.assert_allclose(found[:, :, 0], active[:, :, 0], rtol=0.02)


@pytest.fixture(scope="module")
def overdispersed():
    """Counts of Fano factor 3 about rates of rotations, and those rates."""
    X, _, _ = make_rotation_family(6, n_timepoints=50, n_neurons=30, random_state=0)
    rng = np.random.default_rng(0)
    rate = np.exp(np.log(2.0) + 0.5 * X / X.std())
    dispersion = 2.0 / rate.mean((0, 1))
    shape = 1 / (1 + dispersion * rate)
    return rng.negative_binomial(1 / dispersion, shape).astype(float), rate, dispersion


def test_counts_that_scatter_more_than_poisson(overdispersed):
    """Intervals hold what they say; those of "poisson" are too narrow."""
    counts, rate, dispersion = overdispersed
    train, test = counts[::2], counts[1::2]
    within, error = {}, {}
    for name in ("poisson", "negative_binomial"):
        jedi = JEDIEstimator(2, 2, observation=name, dt=0.01).fit(train)
        mean, std = jedi.forecast(test[:, :30], 20, return_std=True)
        within[name] = (np.abs(test[:, 30:50] - mean) < 2 * std).mean()
        error[name] = np.square(mean - rate[1::2, 30:50]).mean()
    # of the true distribution
    size = 1 / dispersion
    true = stats.nbinom(size, size / (size + rate[1::2, 30:50]))
    exact = (np.abs(test[:, 30:50] - true.mean()) < 2 * true.std()).mean()
    assert within["negative_binomial"] == pytest.approx(exact, abs=0.01)
    assert within["poisson"] < exact - 0.03
    assert error["negative_binomial"] < 0.5 * error["poisson"]
    learned = jedi._model.likelihood.dispersion
    np.testing.assert_allclose(learned, dispersion, rtol=0.35)
    np.testing.assert_allclose(np.median(learned / dispersion), 1, atol=0.05)
    fano = jedi.noise_variance_ / np.exp(jedi.offset_)
    np.testing.assert_allclose(fano, 1 + learned * np.exp(jedi.offset_))


def test_sessions_of_counts_that_scatter_more_than_poisson():
    data = make_oscillator_sessions(2, 10, n_timepoints=40, noise=0.0, random_state=0)
    rng = np.random.default_rng(0)
    sessions = np.asarray(data.sessions)
    rates = [np.exp(np.log(2.0) + 0.6 * x) for x in standardised(data.X, sessions)]
    X = [rng.negative_binomial(1.0, 1 / (1 + rate)).astype(float) for rate in rates]
    train, test = np.arange(len(X)) % 2 == 0, np.arange(len(X)) % 2 == 1
    within, error, models = {}, {}, {}
    for name in ("poisson", "negative_binomial"):
        meta = models[name] = MetaDynamicalSSM(observation=name, gain=1.2, dt=0.01)
        meta.fit([X[k] for k in np.flatnonzero(train)], sessions=sessions[train])
        given = [X[k][:20] for k in np.flatnonzero(test)]
        mean, std = meta.forecast(given, 20, return_std=True, sessions=sessions[test])
        later = [(X[k][20:], rates[k][20:]) for k in np.flatnonzero(test)]
        inside = [
            np.abs(x - m) < 2 * s for (x, _), m, s in zip(later, mean, std, strict=True)
        ]
        within[name] = np.concatenate([one.ravel() for one in inside]).mean()
        error[name] = sum(
            np.square(rate - m).sum() for (_, rate), m in zip(later, mean, strict=True)
        )
    assert within["negative_binomial"] == pytest.approx(0.95, abs=0.012)
    assert within["poisson"] < within["negative_binomial"] - 0.03
    assert error["negative_binomial"] < 0.7 * error["poisson"]
    learned = [
        m.likelihood.dispersion for m in models["negative_binomial"]._models.values()
    ]
    assert np.median(np.concatenate(learned)) == pytest.approx(1.0, abs=0.1)


def standardised(X, sessions):
    """Trials of which each neuron of a session has mean 0 and variance 1."""
    out = []
    for x, session in zip(X, sessions, strict=True):
        pool = np.concatenate([X[k] for k in np.flatnonzero(sessions == session)])
        out.append((x - pool.mean(0)) / pool.std(0))
    return out
