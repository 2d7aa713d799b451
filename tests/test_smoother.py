"""The smoother against dense Gaussian conditioning, scipy's optimisers and draws."""

import numpy as np
import pytest
from conftest import in_block
from scipy import linalg, optimize

from sklearn_jedi._engine._bilinear_em import BilinearModel
from sklearn_jedi._engine._likelihoods import Gaussian, Poisson
from sklearn_jedi._engine._reduction import Reduction
from sklearn_jedi._engine._smoother import _Problem, smooth
from sklearn_jedi._engine._state_space import StateSpace
from sklearn_jedi._networks._equation import Equation

ALPHA, GAIN = 0.2, 0.7
# where the optimum is compared
TIGHT = {"max_iter": 200, "tol": 1e-10}


def make_model(
    nonlinearity="tanh",
    maps="weights",
    *,
    poisson=False,
    seed=0,
    rank=2,
    d=2,
    n_neurons=6,
    size=0.7,
):
    """A stable network of known parameters.

    Embeddings change nothing ("none"), only the bias, so that everything linear stays
    linear ("bias"), or all weights ("weights").
    """
    rng = np.random.default_rng(seed)
    P = np.linalg.qr(rng.standard_normal((n_neurons, rank)))[0]
    Q = np.linalg.qr(P + 0.2 * rng.standard_normal((n_neurons, rank)))[0]
    offset = 0.3 * rng.standard_normal(n_neurons)
    mean_in = 0.1 * rng.standard_normal(rank)
    feature_mean = 0.1 * rng.standard_normal(rank)
    red = Reduction(
        P, Q, mean_in, offset - P @ (P.T @ offset), feature_mean,
        Equation.of(1.0, ALPHA, nonlinearity, GAIN),
    )  # fmt: skip
    A = size * rng.standard_normal((d + 1, rank + 1, rank))
    A[0, :-1] = 0.5 * np.eye(rank) + 0.5 * np.triu(A[0, :-1], 1)
    if maps != "weights":
        A[1:, :-1] = 0.0
    if maps == "none":
        A[1:] = 0.0
    root = rng.standard_normal((2, rank, rank))
    step_cov, first_cov = root @ np.swapaxes(root, 1, 2) + 0.5 * np.eye(rank)
    variance = rng.uniform(0.1, 0.4, n_neurons)
    return StateSpace(
        red,
        BilinearModel(A, np.eye(rank), 1.0, 0),
        0.02 * step_cov,
        rng.standard_normal(rank),
        0.5 * first_cov,
        np.column_stack([P, red.mean_out]),
        Poisson(rng.uniform(-0.5, 1.0, n_neurons)) if poisson else Gaussian(variance),
    )


def next_state(model, z, c):
    """The mean of the next state, from the equation of the network."""
    red, A = model.red, model.map.A
    activity = red.P @ z + red.mean_out
    if red.equation.transfer.bound == 1.0:
        activity = np.tanh(red.equation.gain * activity) / red.equation.gain
    features = np.append(red.Q.T @ activity - red.feature_mean, 1.0)
    weights = A[0] + sum(c[j] * A[1 + j] for j in range(len(c)))
    drive = weights.T @ features + red.mean_in
    return (1 - red.equation.alpha) * z + red.equation.alpha * drive


def draw(model, c, length, rng):
    """A trial drawn from the model: its recording and its states."""
    rank = len(model.first_mean)
    z = [rng.multivariate_normal(model.first_mean, model.first_cov)]
    root = np.linalg.cholesky(model.step_cov)
    for _ in range(length - 1):
        z.append(next_state(model, z[-1], c) + root @ rng.standard_normal(rank))
    z = np.array(z)
    x = z @ model.red.P.T + model.red.mean_out
    if isinstance(model.likelihood, Poisson):
        return rng.poisson(np.exp(x + model.likelihood.offset)).astype(float), z
    return x + np.sqrt(model.likelihood.variance) * rng.standard_normal(x.shape), z


def make_trials(model, lengths=(10, 10, 10), *, gaps=False, seed=1):
    rng = np.random.default_rng(seed)
    c = rng.standard_normal((len(lengths), model.map.n_axes))
    X = [draw(model, c[i], length, rng)[0] for i, length in enumerate(lengths)]
    if gaps:
        for x in X:
            x[rng.random(x.shape) < 0.3] = np.nan
            x[3:5] = np.nan
            x[-1, 0] = 1.0  # a trial ends with its last value
    return X


def condition(model, X):
    """Mean and covariance of [c, states of all trials], by dense matrices.

    Everything is a linear function of independent sources: c, first states, noises.
    """
    rank, d = len(model.first_mean), model.map.n_axes
    sizes = [rank * len(x) for x in X]
    step = [next_state(model, e, np.zeros(d)) for e in np.eye(rank)]
    still = next_state(model, np.zeros(rank), np.zeros(d))
    F = np.array(step).T - still[:, None]
    B = np.array([next_state(model, np.zeros(rank), e) - still for e in np.eye(d)]).T
    first, noise = map(np.linalg.cholesky, (model.first_cov, model.step_cov))
    n_all = d + sum(sizes)
    root, mean = np.zeros((n_all, n_all)), np.zeros(n_all)
    root[:d, :d] = np.eye(d)
    at = d
    for x in X:
        here = slice(at, at + rank)
        root[here, here], mean[here] = first, model.first_mean
        for _ in range(len(x) - 1):
            before, here = here, slice(here.stop, here.stop + rank)
            root[here], mean[here] = F @ root[before], F @ mean[before] + still
            root[here, :d] += B
            root[here, here] = noise
        at = here.stop
    cov = root @ root.T
    readout = linalg.block_diag(*[model.red.P for x in X for _ in x])
    readout = np.hstack([np.zeros((len(readout), d)), readout])
    y = np.concatenate(X)
    seen = ~np.isnan(y.ravel())
    H, error = readout[seen], (y - model.red.mean_out).ravel()[seen]
    noise_cov = np.diag(np.tile(model.likelihood.variance, len(y))[seen])
    gain = np.linalg.solve(H @ cov @ H.T + noise_cov, H @ cov).T
    return mean + gain @ (error - H @ mean), cov - gain @ H @ cov


def residuals(v, model, x):
    """Whitened deviations from the model, of one trial of Gaussian noise."""
    d = model.map.n_axes
    c, z = v[:d], v[d:].reshape(len(x), -1)
    first = linalg.solve_triangular(
        np.linalg.cholesky(model.first_cov), z[0] - model.first_mean, lower=True
    )
    steps = [z[t + 1] - next_state(model, z[t], c) for t in range(len(z) - 1)]
    steps = linalg.solve_triangular(
        np.linalg.cholesky(model.step_cov), np.transpose(steps), lower=True
    )
    parts = [c, first, steps.ravel()]
    if not isinstance(model.likelihood, Poisson):
        error = x - z @ model.red.P.T - model.red.mean_out
        parts.append((error / np.sqrt(model.likelihood.variance))[~np.isnan(x)])
    return np.concatenate(parts)


def minus_log_posterior(v, model, x):
    value = 0.5 * np.sum(residuals(v, model, x) ** 2)
    if isinstance(model.likelihood, Poisson):
        z = v[model.map.n_axes :].reshape(len(x), -1)
        log_rate = z @ model.red.P.T + model.red.mean_out + model.likelihood.offset
        value += np.nansum(np.exp(log_rate) - x * log_rate + 0 * x)
    return value


def vectors(found, block):
    """[c, states] of each trial of its own group."""
    own = [z[:length].ravel() for z, length in zip(found.z, block.lengths, strict=True)]
    return [np.concatenate(both) for both in zip(found.c, own, strict=True)]


# ------------------------------------------------------------------ linear: the truth


@pytest.mark.parametrize("maps", ["none", "bias"])
@pytest.mark.parametrize("lengths", [(10, 10, 10), (12, 7, 2)], ids=["even", "ragged"])
@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
def test_linear_networks_are_conditioned_exactly(maps, lengths, gaps):
    model = make_model("linear", maps)
    X = make_trials(model, lengths, gaps=gaps)
    block = in_block(X)
    found = smooth(model, block)
    assert found.converged.all()
    rank, d = 2, 2
    for i, (x, v) in enumerate(zip(X, vectors(found, block), strict=True)):
        mean, cov = condition(model, [x])
        np.testing.assert_allclose(v, mean, atol=1e-6)
        np.testing.assert_allclose(found.cov[i], cov[:d, :d], atol=1e-9)
        for t in (0, len(x) // 2, len(x) - 1):
            keep = np.r_[d + rank * t : d + rank * (t + 1), :d]
            joint = found.state_cov(np.minimum(t, block.lengths - 1))[i]
            np.testing.assert_allclose(joint, cov[np.ix_(keep, keep)], atol=1e-9)
    if maps == "none":
        np.testing.assert_allclose(found.c, 0.0, atol=1e-9)
        np.testing.assert_allclose(found.cov, np.tile(np.eye(d), (3, 1, 1)), atol=1e-9)


@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
def test_trials_of_a_group_are_conditioned_together(gaps):
    model = make_model("linear", "bias")
    X = make_trials(model, (8, 5, 9, 6), gaps=gaps)
    groups = np.array([1, 0, 1, 1])
    block = in_block(X, groups)
    found = smooth(model, block)
    rank, d = 2, 2
    assert found.c.shape == (2, d)
    for g in (0, 1):
        rows = np.flatnonzero(block.group == g)
        own = [X[number] for number in block.numbers[rows]]
        mean, cov = condition(model, own)
        states = [found.z[i, : block.lengths[i]].ravel() for i in rows]
        found_mean = np.concatenate([found.c[g], *states])
        np.testing.assert_allclose(found_mean, mean, atol=1e-6)
        np.testing.assert_allclose(found.cov[g], cov[:d, :d], atol=1e-9)
        ends = d + rank * np.cumsum(block.lengths[rows])
        joint = found.state_cov(block.lengths - 1)[rows]
        for end, of_last in zip(ends, joint, strict=True):
            keep = np.r_[end - rank : end, :d]
            np.testing.assert_allclose(of_last, cov[np.ix_(keep, keep)], atol=1e-9)


def test_draws_have_the_mean_and_covariance_of_the_posterior():
    model = make_model("linear", "bias")
    X = make_trials(model, (6, 4), gaps=True)
    block = in_block(X)
    found = smooth(model, block)
    z, c = found.draws(block, 4000)
    for i, (x, v) in enumerate(zip(X, vectors(found, block), strict=True)):
        drawn = np.hstack([c[:, i], z[:, i, : len(x)].reshape(len(z), -1)])
        np.testing.assert_allclose(drawn.mean(0), v, atol=1e-9)  # antithetic
        root = np.linalg.cholesky(condition(model, [x])[1])
        white = linalg.solve_triangular(root, (drawn - v).T, lower=True)
        np.testing.assert_allclose(white @ white.T / len(z), np.eye(len(v)), atol=0.08)


# ------------------------------------------------------------- nonlinear: the optimum


@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
@pytest.mark.parametrize("poisson", [False, True], ids=["gaussian", "poisson"])
def test_it_finds_the_mode_that_scipy_finds(poisson, gaps):
    model = make_model(poisson=poisson)
    X = make_trials(model, (6, 4), gaps=gaps)
    block = in_block(X)
    found = smooth(model, block, **TIGHT)
    assert found.converged.all()
    for x, v in zip(X, vectors(found, block), strict=True):
        value = minus_log_posterior(v, model, x)
        near = v + 0.05 * np.random.default_rng(0).standard_normal(len(v))
        best = optimize.minimize(
            minus_log_posterior, near, (model, x), options={"gtol": 1e-5}
        )
        assert value <= best.fun + 1e-6
        np.testing.assert_allclose(v, best.x, atol=1e-3)


@pytest.mark.parametrize("poisson", [False, True], ids=["gaussian", "poisson"])
def test_the_mode_of_a_group_is_that_of_the_sum(poisson):
    model = make_model(poisson=poisson)
    X = make_trials(model, (3, 5))
    found = smooth(model, in_block(X, np.array([0, 0])), **TIGHT)
    d, n_first = 2, 2 * 3

    def together(v):
        c, first, second = v[:d], v[d : d + n_first], v[d + n_first :]
        value = minus_log_posterior(np.append(c, first), model, X[0])
        value += minus_log_posterior(np.append(c, second), model, X[1])
        return value - 0.5 * c @ c  # the prior once

    mode = np.concatenate([found.c[0], found.z[0, :3].ravel(), found.z[1].ravel()])
    best = optimize.minimize(together, mode, options={"gtol": 1e-5})
    assert together(mode) <= best.fun + 1e-6
    np.testing.assert_allclose(mode, best.x, atol=1e-3)


@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
@pytest.mark.parametrize("poisson", [False, True], ids=["gaussian", "poisson"])
def test_the_covariance_is_the_inverse_of_the_gauss_newton_blocks(poisson, gaps):
    model = make_model(poisson=poisson)
    X = make_trials(model, (9, 6), gaps=gaps)
    block = in_block(X)
    found = smooth(model, block)
    rank, d, eps = 2, 2, 1e-5
    joint = found.state_cov(block.lengths - 1)
    for i, (x, v) in enumerate(zip(X, vectors(found, block), strict=True)):
        jac = [
            residuals(v + e, model, x) - residuals(v - e, model, x)
            for e in eps * np.eye(len(v))
        ]
        jac = np.transpose(jac) / (2 * eps)
        hessian = jac.T @ jac
        if poisson:
            P, z = model.red.P, v[d:].reshape(len(x), rank)
            rate = np.exp(z @ P.T + model.red.mean_out + model.likelihood.offset)
            rate[np.isnan(x)] = 0.0
            blocks = [P.T @ (r[:, None] * P) for r in rate]
            hessian[d:, d:] += linalg.block_diag(*blocks)
        cov = np.linalg.inv(hessian)
        schur = hessian[:d, :d] - hessian[:d, d:] @ np.linalg.solve(
            hessian[d:, d:], hessian[d:, :d]
        )
        np.testing.assert_allclose(found.cov[i], np.linalg.inv(schur), atol=1e-6)
        keep = np.r_[len(v) - rank : len(v), :d]
        np.testing.assert_allclose(joint[i], cov[np.ix_(keep, keep)], atol=1e-6)


# ---------------------------------------------------------------- trials in company


@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
@pytest.mark.parametrize("poisson", [False, True], ids=["gaussian", "poisson"])
def test_trials_do_not_see_each_other(poisson, gaps):
    """Nor the padding to the longest, here the last trial."""
    model = make_model(poisson=poisson)
    X = make_trials(model, (8, 12, 5, 30), gaps=gaps)
    X[3] = np.round(X[3] * 20)  # hard to explain
    together, whole = smooth(model, in_block(X)), in_block(X)
    drawn = together.draws(whole, 3)
    for i in range(3):
        block = in_block(X[i : i + 1])
        block = block._replace(numbers=np.array([i]), labels=np.array([i]))
        alone, length = smooth(model, block), len(X[i])
        np.testing.assert_allclose(together.c[i], alone.c[0], atol=1e-6)
        np.testing.assert_allclose(together.cov[i], alone.cov[0], atol=1e-6)
        np.testing.assert_allclose(together.z[i, :length], alone.z[0], atol=1e-6)
        np.testing.assert_allclose(
            together.state_cov(np.array([4, 11, 2, 5]))[i],
            alone.state_cov(np.array([[4, 11, 2, 5][i]]))[0],
            atol=1e-6,
        )
        z, c = alone.draws(block, 3)
        np.testing.assert_allclose(drawn[0][:, i, :length], z[:, 0], atol=1e-6)
        np.testing.assert_allclose(drawn[1][:, i], c[:, 0], atol=1e-6)


def test_too_few_steps_are_reported():
    model = make_model()
    block = in_block(make_trials(model))
    start = smooth(model, block, max_iter=0)
    assert not start.converged.any()
    np.testing.assert_array_equal(start.c, 0.0)
    assert not smooth(model, block, max_iter=1).converged.any()
    # from the mode, nothing is left to do
    mode = smooth(model, block)
    again = smooth(model, block, mode.z, mode.c, max_iter=0)
    assert again.converged.all()
    np.testing.assert_array_equal(again.c, mode.c)


@pytest.mark.parametrize("poisson", [False, True], ids=["gaussian", "poisson"])
def test_where_it_starts_does_not_matter(poisson):
    model = make_model(poisson=poisson)
    block = in_block(make_trials(model))
    usual = smooth(model, block, **TIGHT)
    rng = np.random.default_rng(0)
    other = smooth(
        model,
        block,
        usual.z + 0.5 * rng.standard_normal(usual.z.shape),
        usual.c + 0.5 * rng.standard_normal(usual.c.shape),
        **TIGHT,
    )
    np.testing.assert_allclose(other.c, usual.c, atol=1e-4)
    np.testing.assert_allclose(other.z, usual.z, atol=1e-4)
    np.testing.assert_allclose(other.cov, usual.cov, atol=1e-4)


def test_it_starts_from_a_random_walk_through_the_recording():
    model = make_model()
    trials = make_trials(model, lengths=(9, 12))
    problem = _Problem(model, in_block(trials), terms_of(model, in_block(trials)))
    found = problem.random_walk()
    steps = model.step_cov + ALPHA**2 * model.first_cov
    P, variance = model.red.P, model.likelihood.variance
    for x, z in zip(trials, found, strict=True):
        # dense Gaussian conditioning of a walk of as many states
        n, rank = len(x), len(steps)
        sums = np.kron(np.tril(np.ones((n, n))), np.eye(rank))
        each = linalg.block_diag(model.first_cov, *[steps] * (n - 1))
        prior = sums @ each @ sums.T
        read = np.kron(np.eye(n), P)
        noise = np.tile(variance, n)
        mean = np.tile(model.first_mean, n)
        error = x.ravel() - read @ mean - np.tile(model.red.mean_out, n)
        total = read @ prior @ read.T + np.diag(noise)
        expected = mean + prior @ read.T @ np.linalg.solve(total, error)
        np.testing.assert_allclose(z[:n].ravel(), expected, atol=1e-8)


def terms_of(model, block):
    return model.likelihood.terms(model.loading, block)


@pytest.mark.parametrize("poisson", [False, True])
def test_groups_that_still_move_go_on_alone(poisson):
    model = make_model(poisson=poisson)
    block = in_block(make_trials(model, lengths=(10,) * 8, seed=3))
    together = smooth(model, block, terms=terms_of(model, block), **TIGHT)
    alone = smooth(model, block, **TIGHT)
    np.testing.assert_allclose(alone.c, together.c, atol=1e-6)
    np.testing.assert_allclose(alone.z, together.z, atol=1e-6)
    np.testing.assert_allclose(alone.log_evidence, together.log_evidence, atol=1e-6)
    assert alone.converged.all()


def test_a_neuron_that_was_never_recorded_says_nothing():
    model = make_model()
    X = make_trials(model)
    for x in X:
        x[:, 2] = np.nan
    found = smooth(model, in_block(X))
    keep = np.arange(6) != 2
    without = model._replace(
        loading=model.loading[keep],
        likelihood=Gaussian(model.likelihood.variance[keep]),
    )
    rows = [x[:, keep] for x in X]
    terms = without.likelihood.terms(without.loading, in_block(rows))
    full = model.likelihood.terms(model.loading, in_block(X))
    np.testing.assert_allclose(terms.cost(found.z), full.cost(found.z))
    for a, b in zip(terms.slopes(found.z), full.slopes(found.z), strict=True):
        np.testing.assert_allclose(np.broadcast_to(a, b.shape), b, atol=1e-12)


def test_the_marginal_mode_is_nearer_to_the_mode_of_the_embeddings_alone():
    """Against the posterior of one embedding on a grid, by Laplace's approximation."""
    model = make_model(seed=0, d=1, rank=2, n_neurons=8)
    X, _ = draw(model, np.array([0.5]), 25, np.random.default_rng(1))[0:2]
    block = in_block(X[None])
    joint, moved = (smooth(model, block, marginal=m, **TIGHT) for m in (False, True))
    sd = np.sqrt(joint.cov[0, 0, 0])
    grid = joint.c[0, 0] + sd * np.linspace(-1, 1, 41)
    problem = _Problem(model, block, model.likelihood.terms(model.loading, block))
    values = []
    for c in grid:  # the states at their mode given c, and their Hessian there
        at = problem.at(joint.z, np.array([[c]]))
        for _ in range(20):
            step = problem.newton_step(at)
            at = problem.at(at.z + step.alone, at.c)
        values.append(at.cost[0] + 0.5 * problem._log_det(at)[0])
    parabola = np.polyfit(grid, values, 4)
    fine = np.linspace(grid[0], grid[-1], 4001)
    best = fine[np.polyval(parabola, fine).argmin()]
    assert abs(moved.c[0, 0] - best) < 0.3 * abs(joint.c[0, 0] - best)


# ----------------------------------------------------------------------- calibration


def coverage(seed, *, poisson):
    """Share of 90 % intervals of embeddings that hold the true value: 250 x 3."""
    n_trials, d, rank, n_neurons = 250, 3, 2, 25
    size = 0.3 if poisson else 0.5
    model = make_model(
        seed=seed, poisson=poisson, rank=rank, d=d, n_neurons=n_neurons, size=size
    )
    rng = np.random.default_rng(seed)
    spread = 0.7 * np.sqrt(n_neurons)  # states of which neurons differ by about 0.7
    A = model.map.A.copy()
    A[:, -1] *= spread / 2
    offset = np.log(3.0) + 0.5 * rng.standard_normal(n_neurons)
    model = model._replace(
        map=model.map._replace(A=A),
        step_cov=(0.1 * spread) ** 2 * np.eye(rank),
        first_mean=np.zeros(rank),
        first_cov=spread**2 / rank * np.eye(rank),
        likelihood=Poisson(offset)
        if poisson
        else Gaussian(0.25 * model.likelihood.variance),
    )
    c = rng.standard_normal((n_trials, d))
    X = np.array([draw(model, own, 40, rng)[0] for own in c])
    found = smooth(model, in_block(X), marginal=True)
    assert found.converged.mean() > 0.99
    sd = np.sqrt(np.diagonal(found.cov, axis1=1, axis2=2))
    # the data say more than the prior, and less than everything
    assert 0.1 < np.median(sd) < 0.9
    return np.mean(np.abs(found.c - c) < 1.645 * sd)


@pytest.mark.parametrize("seed", range(5))
def test_90_percent_intervals_hold_nine_of_ten_embeddings(seed):
    assert 0.86 < coverage(seed, poisson=False) < 0.94


@pytest.mark.parametrize("seed", range(5))
def test_90_percent_intervals_from_counts(seed):
    assert 0.86 < coverage(seed, poisson=True) < 0.94


def test_a_trial_beyond_the_range_of_numbers_is_named():
    model = make_model(poisson=True)
    X = [np.ones((9, 6)), np.ones((9, 6))]
    start = np.zeros((2, 9, 2))
    start[1] = 1e4  # rates of exp(1e4)
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(ValueError, match="the states of trial 1 cannot be inferred"),
    ):
        smooth(model, in_block(X), start)
