"""Centre-out reaching: preparation, a go cue, movement."""

from __future__ import annotations

import numpy as np
from scipy.linalg import block_diag
from sklearn.utils import Bunch, check_random_state

from sklearn_jedi._networks._equation import Equation
from sklearn_jedi._networks._low_rank_rnn import LowRankRNN
from sklearn_jedi._utils._checks import check_integer, check_real
from sklearn_jedi._utils._types import RandomState

__all__ = ["make_reaching"]

_RANK = 5  # of both epochs: what all directions share, and two planes
_TUNING = (0.3, 0.45, 0.25)  # log rate: shared, once round the circle, twice round
_RECURRENCE = 0.5  # of the preparation
_GAIN = 0.5  # of the transfer function: weakly nonlinear
_HANDOVER = 3.0  # how strongly the preparatory state drives the movement
_RATE_SPREAD = 0.5  # SD over neurons of their log mean rate


def make_reaching(
    n_trials_per_direction: int = 24,
    *,
    n_directions: int = 8,
    n_timepoints: int = 120,
    n_neurons: int = 100,
    frequency: float = 2.0,
    decay: float = 0.4,
    mean_rate: float = 10.0,
    preparation_sd: float = 0.1,
    noise: float = 0.02,
    spikes: bool = True,
    dt: float = 0.01,
    tau: float = 0.1,
    random_state: RandomState = None,
) -> Bunch:
    r"""Simulated motor cortex: reaches in several directions, prepared and made.

    As in motor cortex, preparation and movement use orthogonal subspaces [1]_, here
    spanned by the five columns each of `P` and `M`, of length `sqrt(n_neurons)`. Neuron
    i is expected to fire `exp(c_i + r_i)` spikes a bin, where `r` is the state of a
    rate network with `phi(r) = 2 tanh(r / 2)`. At the go cue the network changes:

    - *Preparation* of a reach at the angle `h`, from `r` near zero on:

      .. math:: \tau \dot r = -r + P P^T \phi(r) / (2 n_{neurons}) + b_h,

      with `b_h` such that `r_h = P a_h` is a fixed point, `a_h = (0.3, 0.45 cos h,
      0.45 sin h, 0.25 cos 2h, 0.25 sin 2h)`. The weights have norm 1/2, so it is the
      only one and attracts every state, with a time constant of at most about `2 tau`.
      Trials differ in what they prepare [2]_: theirs is `P (a_h + preparation_sd z)`,
      `z` standard normal, by a constant input that the networks do not contain.
    - *Movement*, from the preparatory state on:

      .. math:: \tau \dot r = -r + M (R M^T + 3 P^T) \phi(r) / n_{neurons}.

      `P^T` hands the preparatory state, which fades with `tau`, over to the subspace of
      movement. There, `R` turns one plane at `frequency` and one at half of it, the
      same way in all directions [3]_; its fifth mode decays without turning and is the
      part that directions share [4]_. The nonzero eigenvalues of the weights are those
      of `R`, for each frequency `f` the `lambda_f` with
      `1 + (dt/tau) (lambda_f - 1) = exp(2 pi i f dt - dt / decay)`, the factor by which
      a step of the map multiplies small states. Where `phi` saturates, the activity
      turns more slowly (1.8 Hz instead of 2) and decays faster.

    Mean rates are lognormal over neurons [5]_, with a standard deviation of 0.5 of
    their logarithm. Counts are Poisson given the rate, which is exponential in the
    state [6]_: the networks have the units, log expected counts, in which
    ``JEDIEstimator(observation="poisson")`` returns its own.

    Parameters
    ----------
    n_trials_per_direction : int, default=24
        Trials of each direction.
    n_directions : int, default=8
        Directions, spread evenly over the circle.
    n_timepoints : int, default=120
        Time points of a trial. The go cue comes at half of them.
    n_neurons : int, default=100
        Neurons of the network; at least 10.
    frequency : float, default=2.0
        Frequency of the faster rotation in Hz.
    decay : float, default=0.4
        Time constant of the movement's modes in s; they are `1 / decay` (in 1/s) from
        the edge of stability.
    mean_rate : float, default=10.0
        Mean firing rate over neurons, directions and time in spikes/s, but for what
        differs between trials, which adds about 2 percent.
    preparation_sd : float, default=0.1
        Standard deviation, between trials of a direction, of each of the five
        coordinates of the preparatory state and of the state in which trials begin.
    noise : float, default=0.02
        Standard deviation of the noise added to each neuron's log rate at each step.
    spikes : bool, default=True
        Whether `X` holds spike counts, or expected counts.
    dt, tau : float, default=0.01, 0.1
        Bin width and time constant in seconds.
    random_state : int, RandomState instance or None, default=None
        Draws subspaces, mean rates, noise and spikes; the same rates with and without
        spikes.

    Returns
    -------
    Bunch
        With the attributes

        X : array of shape (n_trials, n_timepoints, n_neurons)
            Spike counts (integers), or `rates`; trials ordered by direction.
        rates : array of shape (n_trials, n_timepoints, n_neurons)
            Expected counts a bin; `rates / dt` is in spikes/s.
        direction : array of shape (n_trials,)
            Index of the trial's direction, `2 pi direction / n_directions` its angle.
        go : int
            Index of the go cue. `X[:, :go]` is preparation, `X[:, go:]` movement.
        preparation : LowRankRNN of n_directions networks
            Networks in units of log expected counts; they differ in `bias` alone.
        movement : LowRankRNN of one network
            In the same units; `movement.offset` is `c`, its only fixed point, stable.
        preparatory_states : array of shape (n_directions, n_neurons)
            Fixed points `c + r_h` of the preparation, in log expected counts.
        dt : float
            Bin width in seconds.

    References
    ----------
    .. [1] Elsayed, Lara, Kaufman, Churchland and Cunningham, "Reorganization between
       preparatory and movement population responses in motor cortex", Nature
       Communications 7 (2016).
    .. [2] Churchland, Yu, Ryu, Santhanam and Shenoy, "Neural variability in premotor
       cortex provides a signature of motor preparation", Journal of Neuroscience 26
       (2006).
    .. [3] Churchland, Cunningham, Kaufman, Foster, Nuyujukian, Ryu and Shenoy, "Neural
       population dynamics during reaching", Nature 487 (2012).
    .. [4] Kaufman, Seely, Sussillo, Ryu, Shenoy and Churchland, "The largest response
       component in the motor cortex reflects movement timing but not movement type",
       eNeuro 3 (2016).
    .. [5] Buzsaki and Mizuseki, "The log-dynamic brain: how skewed distributions affect
       network operations", Nature Reviews Neuroscience 15 (2014).
    .. [6] Macke, Buesing, Cunningham, Yu, Shenoy and Sahani, "Empirical models of
       spiking in neural populations", Advances in Neural Information Processing
       Systems 24 (2011).

    Examples
    --------
    Preparation and movement as separate trials, averaged within directions:

    >>> import numpy as np
    >>> from sklearn_jedi.datasets import make_reaching
    >>> reaches = make_reaching(3, n_neurons=30, random_state=0)
    >>> reaches.X.shape, reaches.go
    ((24, 120, 30), 60)
    >>> averages = reaches.X.reshape(8, 3, 120, 30).mean(axis=1)
    >>> averages = np.concatenate(np.split(averages, [reaches.go], axis=1))
    >>> epoch, direction = np.repeat([0, 1], 8), np.tile(range(8), 2)
    >>> averages.shape
    (16, 60, 30)
    """
    check_integer("n_trials_per_direction", n_trials_per_direction, 1)
    check_integer("n_directions", n_directions, 1)
    check_integer("n_timepoints", n_timepoints, 2)
    check_integer("n_neurons", n_neurons, 2 * _RANK)
    positive = {"decay": decay, "mean_rate": mean_rate, "dt": dt, "tau": tau}
    for name, value in positive.items():
        check_real(name, value)
    at_least_zero = {
        "frequency": frequency,
        "preparation_sd": preparation_sd,
        "noise": noise,
    }
    for name, value in at_least_zero.items():
        check_real(name, value, positive=False)
    if frequency >= 0.5 / dt:
        raise ValueError(
            f"frequency must be below 1 / (2 dt) = {0.5 / dt:g} Hz; got {frequency!r}"
        )
    rng = check_random_state(random_state)
    # bounded loadings: no neuron's rate explodes
    axes = np.linalg.qr(rng.uniform(-1, 1, (n_neurons, 2 * _RANK)))[0]
    P, M = np.split(np.sqrt(n_neurons) * axes, 2, axis=1)
    mean_rates = np.exp(_RATE_SPREAD * rng.standard_normal(n_neurons))
    mean_rates *= mean_rate / mean_rates.mean()
    angles = 2 * np.pi * np.arange(n_directions) / n_directions
    prepared = _tuning(angles)
    R = _rotations(frequency, decay, dt, tau)
    V_movement = (M @ R.T + _HANDOVER * P) / n_neurons

    def networks(c: np.ndarray) -> tuple[LowRankRNN, LowRankRNN]:
        each = (n_directions, n_neurons, _RANK)
        preparation = LowRankRNN(
            np.broadcast_to(P, each),
            np.broadcast_to(_RECURRENCE * P / n_neurons, each),
            c + _bias(prepared, P),
            tau,
            dt,
            gain=_GAIN,
            offset=c,
        )
        movement = LowRankRNN(M, V_movement, c, tau, dt, gain=_GAIN, offset=c)
        return preparation, movement

    def run(
        c: np.ndarray, start: np.ndarray, inputs: np.ndarray | None, sd: float
    ) -> np.ndarray:
        """Log expected counts, (n_directions, n_states, n_timepoints, n_neurons)."""
        preparation, movement = networks(c)
        noisy = {"noise": sd, "random_state": rng}
        before = preparation.simulate(c + start, go + 1, inputs=inputs, **noisy)
        last = before[:, :, -1].reshape(1, -1, n_neurons)
        after = movement.simulate(last, n_timepoints - go, **noisy)
        after = after.reshape(*start.shape[:2], n_timepoints - go, n_neurons)
        return np.concatenate([before[:, :, :-1], after], axis=2)

    go = n_timepoints // 2
    typical = np.exp(
        run(np.zeros(n_neurons), np.zeros((n_directions, 1, n_neurons)), None, 0.0)
    )
    c = np.log(dt * mean_rates / typical.mean(axis=(0, 1, 2)))

    z = preparation_sd * rng.standard_normal(
        (2, n_directions, n_trials_per_direction, _RANK)
    )
    own = _bias(prepared[:, None] + z[0], P) - _bias(prepared, P)[:, None]
    log_rates = run(c, z[1] @ P.T, own[:, :, None], noise)
    rates = np.exp(log_rates).reshape(-1, n_timepoints, n_neurons)
    preparation, movement = networks(c)
    return Bunch(
        X=rng.poisson(rates) if spikes else rates,
        rates=rates,
        direction=np.repeat(np.arange(n_directions), n_trials_per_direction),
        go=go,
        preparation=preparation,
        movement=movement,
        preparatory_states=c + prepared @ P.T,
        dt=float(dt),
    )


def _tuning(angles: np.ndarray) -> np.ndarray:
    """Coordinates of the preparatory states, (n_directions, 5)."""
    shared, once, twice = _TUNING
    return np.stack(
        [
            np.full(len(angles), shared),
            once * np.cos(angles),
            once * np.sin(angles),
            twice * np.cos(2 * angles),
            twice * np.sin(2 * angles),
        ],
        axis=1,
    )


def _bias(prepared: np.ndarray, P: np.ndarray) -> np.ndarray:
    """The bias with which the preparation has its fixed point at `P prepared`."""
    r = prepared @ P.T
    phi = np.tanh(_GAIN * r) / _GAIN
    bias: np.ndarray = r - _RECURRENCE * phi @ P @ P.T / len(P)
    return bias


def _rotations(frequency: float, decay: float, dt: float, tau: float) -> np.ndarray:
    """Weights within the movement's subspace, (5, 5): see `make_reaching`."""
    steps = np.exp(2j * np.pi * dt * frequency * np.array([0, 1, 0.5]) - dt / decay)
    shared, fast, slow = Equation.of(tau, dt, "tanh").drive_eigenvalues(steps, "map")
    planes = [[[v.real, -v.imag], [v.imag, v.real]] for v in (fast, slow)]
    R: np.ndarray = block_diag(shared.real, *planes)
    return R
