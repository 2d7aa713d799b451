"""Families of rate networks whose dynamics differ between conditions.

Every generator returns ``(X, y, networks)``: the observed activity, the condition
of each trial, and a `LowRankRNN` with one network per condition, so that
``networks[y]`` are the networks behind the trials.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.utils import check_random_state

from sklearn_jedi._networks._equation import Equation
from sklearn_jedi._networks._low_rank_rnn import LowRankRNN
from sklearn_jedi._utils._types import RandomState

__all__ = ["make_attractor_family", "make_driven_teachers", "make_rotation_family"]

Family = tuple[np.ndarray, np.ndarray, LowRankRNN]


def make_driven_teachers(
    n_trials_per_condition: int = 24,
    *,
    n_timepoints: int = 100,
    n_neurons: int = 200,
    rank: int = 5,
    gain: float = 1.8,
    frequencies: Sequence[float] = (1.0, 2.0, 4.0, 6.0, 8.0, 10.0),
    input_amplitude: float = 3.0,
    noise: float = 0.01,
    observation_noise: float = 0.0,
    fraction_observed: float = 1.0,
    dt: float = 0.01,
    tau: float = 0.1,
    random_state: RandomState = None,
) -> Family:
    r"""One random low-rank network, driven at another frequency in each condition.

    The weights `J = gain / sqrt(n_neurons rank) U V^T` have standard normal `U` and
    `V`, so that an entry has variance `gain^2 / n_neurons` as in random networks of
    full rank [1]_. Two inputs a quarter of a period apart, `sin(2 pi f t + p)` and
    `cos(2 pi f t + p)`, reach every neuron with standard normal weights; the phase
    `p` is drawn anew for each trial. `X` is the activity under these inputs, but the
    networks returned do not contain them: an autonomous model fitted to `X` has to
    produce by its own dynamics what the inputs caused. One second of transient is
    discarded.

    Parameters
    ----------
    n_trials_per_condition : int, default=24
        Trials of each frequency.
    n_timepoints : int, default=100
        Time points of a trial.
    n_neurons : int, default=200
        Neurons of the network.
    rank : int, default=5
        Rank of the weights.
    gain : float, default=1.8
        Scale of the weights; from 1 on, activity can sustain itself.
    frequencies : sequence of float, default=(1, 2, 4, 6, 8, 10)
        Input frequency of each condition in Hz.
    input_amplitude : float, default=3.0
        Amplitude of the inputs, in rate units.
    noise : float, default=0.01
        Standard deviation of the noise added to each neuron at each step.
    observation_noise : float, default=0.0
        Standard deviation of the noise added to the recorded activity.
    fraction_observed : float, default=1.0
        Fraction of the neurons that is recorded. Neurons are exchangeable; the
        first ones are kept.
    dt, tau : float, default=0.01, 0.1
        Time step and time constant in seconds.
    random_state : int, RandomState instance or None, default=None
        Draws weights, phases and noise.

    Returns
    -------
    X : array of shape (n_trials, n_timepoints, n_observed)
        Activity, trials ordered by condition.
    y : array of shape (n_trials,)
        Index of the trial's frequency.
    networks : LowRankRNN of len(frequencies) networks
        The network without its input: the same one for every condition.

    References
    ----------
    .. [1] Sompolinsky, Crisanti and Sommers, "Chaos in random neural networks",
       Physical Review Letters 61 (1988).

    Examples
    --------
    >>> from sklearn_jedi.datasets import make_driven_teachers
    >>> X, y, networks = make_driven_teachers(2, n_neurons=30, random_state=0)
    >>> X.shape, y.shape, len(networks)
    ((12, 100, 30), (12,), 6)
    """
    rng = check_random_state(random_state)
    n_conditions = len(frequencies)
    scale = np.sqrt(gain / np.sqrt(n_neurons * rank))
    U = scale * rng.standard_normal((n_neurons, rank))
    V = scale * rng.standard_normal((n_neurons, rank))
    weights_in = input_amplitude * rng.standard_normal((2, n_neurons))
    networks = LowRankRNN(_repeat(U, n_conditions), _repeat(V, n_conditions), None,
                          tau, dt)  # fmt: skip

    n_transient = round(1.0 / dt)
    n_steps = n_transient + n_timepoints
    phases = rng.uniform(0, 2 * np.pi, (n_conditions, n_trials_per_condition, 1))
    time = dt * np.arange(n_steps - 1)
    angle = 2 * np.pi * np.reshape(frequencies, (-1, 1, 1)) * time + phases
    inputs = np.stack([np.sin(angle), np.cos(angle)], axis=-1) @ weights_in
    start = 0.5 * rng.standard_normal((n_conditions, n_trials_per_condition, n_neurons))
    activity = networks.simulate(
        start, n_steps, inputs=inputs, noise=noise, random_state=rng
    )
    return _observe(
        activity[:, :, n_transient:],
        networks,
        observation_noise,
        fraction_observed,
        rng,
    )


def make_rotation_family(
    n_trials_per_condition: int = 24,
    *,
    n_timepoints: int = 100,
    n_neurons: int = 100,
    frequencies: Sequence[float] = (1.0, 2.0, 3.0, 4.0),
    activity_sd: float = 1.0,
    noise: float = 0.05,
    observation_noise: float = 0.0,
    fraction_observed: float = 1.0,
    dt: float = 0.01,
    tau: float = 0.1,
    random_state: RandomState = None,
) -> Family:
    r"""Networks that rotate by themselves, with known eigenvalues.

    Rank two: `J_f = lambda_f`-scaled rotation in a plane shared by all conditions.
    The complex pair `lambda_f` is the one whose limit cycle has frequency `f` and a
    standard deviation of `activity_sd` over neurons and time: with
    `s = E[z phi(sd z)] / sd`, `z` standard normal, the mean slope at that
    amplitude, a cycle of the map needs
    `1 + (dt/tau) (s lambda - 1) = exp(2 pi i f dt)`.

    Parameters
    ----------
    n_trials_per_condition : int, default=24
        Trials of each frequency.
    n_timepoints : int, default=100
        Time points of a trial.
    n_neurons : int, default=100
        Neurons of the network.
    frequencies : sequence of float, default=(1, 2, 3, 4)
        Frequency of the limit cycle in each condition in Hz.
    activity_sd : float, default=1.0
        Standard deviation of the activity on the cycle.
    noise, observation_noise, fraction_observed, dt, tau, random_state
        As in `make_driven_teachers`; `noise` is 0.05 by default.

    Returns
    -------
    X : array of shape (n_trials, n_timepoints, n_observed)
        Activity, from normally distributed states in the plane on: the amplitude
        differs between trials and settles on the cycle.
    y : array of shape (n_trials,)
        Index of the trial's frequency.
    networks : LowRankRNN of len(frequencies) networks
        The networks; the nonzero eigenvalues of ``networks.J[k]`` are exactly
        `lambda_f` and its conjugate.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_jedi.datasets import make_rotation_family
    >>> X, y, networks = make_rotation_family(2, random_state=0)
    >>> X.shape
    (8, 100, 100)
    """
    rng = check_random_state(random_state)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    slope = (weights @ (nodes * np.tanh(activity_sd * nodes))) / (
        weights.sum() * activity_sd
    )
    step = np.exp(2j * np.pi * np.asarray(frequencies, dtype=float) * dt)
    eigenvalues = Equation.of(tau, dt, "tanh").drive_eigenvalues(step, "map") / slope

    # columns orthogonal and of length sqrt(n_neurons): V^T U is the rotation itself
    plane = np.linalg.qr(rng.standard_normal((n_neurons, 2)))[0] * np.sqrt(n_neurons)
    rotation = np.array([[[v.real, -v.imag], [v.imag, v.real]] for v in eigenvalues])
    networks = LowRankRNN(plane @ rotation, _repeat(plane / n_neurons, len(step)),
                          None, tau, dt)  # fmt: skip

    start = activity_sd * rng.standard_normal((len(step), n_trials_per_condition, 2))
    activity = networks.simulate(
        start @ plane.T, n_timepoints, noise=noise, random_state=rng
    )
    return _observe(activity, networks, observation_noise, fraction_observed, rng)


def make_attractor_family(
    n_trials_per_condition: int = 24,
    *,
    kinds: Sequence[str] = ("bistable", "limit_cycle", "ring"),
    n_timepoints: int = 100,
    n_neurons: int = 100,
    radius: float = 1.0,
    noise: float = 0.02,
    observation_noise: float = 0.0,
    fraction_observed: float = 1.0,
    dt: float = 0.01,
    tau: float = 0.1,
    random_state: RandomState = None,
) -> Family:
    r"""Rank-two networks with known attractors: two points, a cycle, a ring.

    All kinds share the plane `U` with rows `sqrt(2) (cos a_i, sin a_i)`, the angles
    `a_i` spread evenly over the circle (in random order over the neurons), and
    differ in the 2 x 2 matrix `K` of `J = U K U^T / n_neurons`. With
    `s = mean(sqrt(2) cos a_i tanh(sqrt(2) radius cos a_i)) / radius`:

    - "bistable", `K = diag(1/s, 1/2)`: fixed points `+radius U[:, 0]` and
      `-radius U[:, 0]`, both stable, and the origin, a saddle;
    - "limit_cycle", the rotation with eigenvalue `lambda`,
      `1 + (dt/tau) (s lambda - 1) = exp(2 pi i 2 Hz dt)`: the origin is the only
      fixed point, unstable, inside a 2 Hz cycle of that radius;
    - "ring", `K = I / s`: every point `radius U (cos a, sin a)` of a ring is fixed
      up to a drift that vanishes exponentially with the number of neurons.

    Parameters
    ----------
    n_trials_per_condition : int, default=24
        Trials of each kind.
    kinds : sequence of str, default=("bistable", "limit_cycle", "ring")
        The condition of each network.
    n_timepoints : int, default=100
        Time points of a trial.
    n_neurons : int, default=100
        Neurons of the network.
    radius : float, default=1.0
        Distance of the attractors from the origin; about the standard deviation of
        the activity of a neuron over the ring.
    noise, observation_noise, fraction_observed, dt, tau, random_state
        As in `make_driven_teachers`; `noise` is 0.02 by default.

    Returns
    -------
    X : array of shape (n_trials, n_timepoints, n_observed)
        Activity, from states drawn within twice the radius.
    y : array of shape (n_trials,)
        Index of the trial's kind.
    networks : LowRankRNN of len(kinds) networks
        The networks behind the conditions.

    Examples
    --------
    >>> from sklearn_jedi.datasets import make_attractor_family
    >>> X, y, networks = make_attractor_family(2, random_state=0)
    >>> X.shape, len(networks)
    ((6, 100, 100), 3)
    """
    rng = check_random_state(random_state)
    angles = 2 * np.pi * rng.permutation(n_neurons) / n_neurons
    U = np.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    slope = np.mean(U[:, 0] * np.tanh(radius * U[:, 0])) / radius
    equation, step = Equation.of(tau, dt, "tanh"), np.exp(2j * np.pi * 2.0 * dt)
    cycle = equation.drive_eigenvalues(step, "map") / slope
    matrices = {
        "bistable": np.diag([1 / slope, 0.5]),
        "limit_cycle": np.array([[cycle.real, -cycle.imag], [cycle.imag, cycle.real]]),
        "ring": np.eye(2) / slope,
    }
    unknown = [kind for kind in kinds if kind not in matrices]
    if unknown:
        raise ValueError(f"kinds must be among {sorted(matrices)}; got {unknown}")
    K = np.stack([matrices[kind] for kind in kinds])
    networks = LowRankRNN(U @ K, _repeat(U / n_neurons, len(kinds)), None, tau, dt)

    start = 2 * radius * rng.uniform(-1, 1, (len(kinds), n_trials_per_condition, 2))
    activity = networks.simulate(
        start @ U.T, n_timepoints, noise=noise, random_state=rng
    )
    return _observe(activity, networks, observation_noise, fraction_observed, rng)


def _repeat(matrix: np.ndarray, n: int) -> np.ndarray:
    return np.broadcast_to(matrix, (n, *matrix.shape))


def _observe(
    activity: np.ndarray,
    networks: LowRankRNN,
    observation_noise: float,
    fraction_observed: float,
    rng: np.random.RandomState,
) -> Family:
    """Conditions x trials x time x neurons into what a recording would hold."""
    if not 0 < fraction_observed <= 1:
        raise ValueError(
            f"fraction_observed must be in (0, 1]; got {fraction_observed}"
        )
    n_conditions, n_trials, n_timepoints, n_neurons = activity.shape
    n_observed = max(1, round(fraction_observed * n_neurons))
    X = activity[..., :n_observed].reshape(-1, n_timepoints, n_observed).copy()
    if observation_noise:
        X += observation_noise * rng.standard_normal(X.shape)
    return X, np.repeat(np.arange(n_conditions), n_trials), networks
