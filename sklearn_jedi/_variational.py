r"""Variational training of latent dynamics that sessions share, from EM's solution.

The model is that of `_smoother`, with weights from a hypernetwork; recognition networks
(`_encoder`) stand in for the smoother, and all parameters climb the evidence lower
bound together [1]_, [2]_. Recognition starts at random and the model does not: it is
trained alone first. Afterwards only the model is kept, and only where it forecasts
held-out trials better than EM's: states and embeddings are always the smoother's.

References
----------
.. [1] Vermani, Nassar, Jeon, Dowling and Park, "Meta-dynamical state space models for
   integrative neural data analysis", ICLR (2025), arXiv:2410.05454.
.. [2] Kingma and Welling, "Auto-encoding variational Bayes", ICLR (2014).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import GradientNormClipping
from torch import nn
from torch.utils.data import Dataset

from sklearn_jedi._callbacks import Horizons, KeepBest, ProgressBar
from sklearn_jedi._encoder import Recognition
from sklearn_jedi._hypernetwork import Hypernetwork
from sklearn_jedi._net import JEDINet, NonFiniteLossError, _cuda_devices
from sklearn_jedi._nonlinearities import get_nonlinearity
from sklearn_jedi._readout import LEAST_VARIANCE
from sklearn_jedi._rollout import free_run
from sklearn_jedi._smoother import StateSpace, smooth
from sklearn_jedi._threads import few_threads
from sklearn_jedi._trials import Block, Trials

# Of a session's trials, one in so many is held out, where there are as many as three,
# and no more than that many.
_HELD_OUT_EVERY = 5
_FEWEST_TRIALS = 3
_MOST_HELD_OUT = 32
# Held-out trials are forecast every so many epochs, of which there are more where all
# trials fit in a few batches.
_SCORED_EVERY = 5
_FEWEST_BATCHES = 2
# Share of the epochs in which recognition is trained alone.
_RECOGNITION_ALONE = 1 / 3
_RECOGNITION_RATE = 1e-2
_MODEL_RATE = 2e-3
_PERCEPTRON_RATE = 6e-4


class Variational(NamedTuple):
    """What training leaves.

    Attributes
    ----------
    models : list of StateSpace
        EM's, where nothing was better.
    hypernetwork : Hypernetwork or None
        The map of the models, in float64 on the CPU; None where it is EM's.
    net : VariationalNet
    history : skorch.history.History
    best_epoch : int
        Zero where nothing was better than EM.
    interrupted : bool
        Whether Ctrl-C, rather than a callback, ended it early.
    error : NonFiniteLossError or None
    """

    models: list[StateSpace]
    hypernetwork: Hypernetwork | None
    net: VariationalNet
    history: Any
    best_epoch: int
    interrupted: bool
    error: NonFiniteLossError | None


class LatentFamily(nn.Module):
    """The generative model of all sessions, starting at EM's.

    Latents are in units in which EM's noise of a step is white with variance one, so
    that diagonal noise contains EM's.

    Parameters
    ----------
    models : list of StateSpace
    change_rank, hidden_layer_sizes
        As in `Hypernetwork`.
    """

    def __init__(
        self,
        models: Sequence[StateSpace],
        change_rank: int | None,
        hidden_layer_sizes: Sequence[int],
    ) -> None:
        super().__init__()
        shared = models[0]
        red = shared.red
        root = np.linalg.cholesky(shared.step_cov)
        inverse = np.linalg.inv(root).T
        self.hypernetwork = Hypernetwork(shared.map.A, hidden_layer_sizes, change_rank)
        self.alpha, self.gain = red.alpha, red.gain
        self.phi = get_nonlinearity(red.nonlinearity)
        self.poisson = shared.readout.poisson
        first_cov = inverse.T @ shared.first_cov @ inverse
        whiten_first = np.linalg.cholesky(np.linalg.inv(first_cov))
        for name, array in {
            "root": root,
            "inverse": inverse,
            "read_in": red.gain * red.P @ root,
            "threshold": red.gain * red.mean_out,
            "directions": red.Q / red.gain,
            "feature_mean": red.feature_mean,
            "mean_in": red.mean_in,
            "first_mean": shared.first_mean @ inverse,
            "whiten_first": whiten_first,
        }.items():
            self.register_buffer(name, _tensor(array))
        widths = [len(model.loading) for model in models]
        rank = len(root)
        loading = np.zeros((len(models), max(widths), rank + 1))
        variance = np.ones((len(models), max(widths)))
        for s, (model, width) in enumerate(zip(models, widths, strict=True)):
            loading[s, :width] = model.loading
            loading[s, :width, -1] += model.readout.offset
            variance[s, :width] = model.readout.variance
        self.loading = nn.Parameter(_tensor(loading))
        self.log_variance = nn.Parameter(_tensor(np.log(variance)))
        self.log_step = nn.Parameter(torch.zeros(rank))

    def dynamics(self, embeddings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights (n, n_units, rank) of the units' activity, and bias (n, 1, rank)."""
        weights = self.hypernetwork(embeddings)
        slopes = weights[:, :-1] @ self.inverse
        bias = (weights[:, -1] + self.mean_in) @ self.inverse
        bias = bias - self.feature_mean @ slopes
        return self.alpha * self.directions @ slopes, self.alpha * bias[:, None]

    def step(
        self, z: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor
    ) -> torch.Tensor:
        """Expected next states; all of shape (n, 1, rank)."""
        activity = self.phi.value(torch, z @ self.read_in.T + self.threshold)
        return (1 - self.alpha) * z + torch.baddbmm(bias, activity, weights)

    def log_likelihood(
        self, z: torch.Tensor, batch: dict[str, torch.Tensor]
    ) -> torch.Tensor:
        """Sum over a batch, up to a constant."""
        session, values = batch["session"], batch["values"]
        loading = self.loading[session]
        activity = z @ self.root.T @ loading[..., :-1].mT + loading[:, None, :, -1]
        if self.poisson:
            each = values * activity - activity.exp()
        else:
            log_variance = self.log_variance[session][:, None]
            squares = (values - activity) ** 2
            each = -0.5 * (squares * (-log_variance).exp() + log_variance)
        return (each * batch["recorded"]).sum()

    def models(self, before: Sequence[StateSpace]) -> list[StateSpace]:
        """The models as they now are, in numpy, with one hypernetwork of float64."""
        hypernetwork = copy.deepcopy(self.hypernetwork).cpu().double()
        hypernetwork.requires_grad_(False)
        loadings, variances, root, log_step = (
            part.detach().cpu().double().numpy()
            for part in (self.loading, self.log_variance, self.root, self.log_step)
        )
        half = root * np.exp(log_step)
        models = []
        for old, loading, log_variance in zip(
            before, loadings, variances, strict=True
        ):
            n_neurons, readout = len(old.loading), old.readout
            own = loading[:n_neurons].copy()
            own[:, -1] -= readout.offset
            if not self.poisson:
                variance = np.maximum(np.exp(log_variance[:n_neurons]), LEAST_VARIANCE)
                readout = readout._replace(variance=variance)
            models.append(
                old._replace(
                    map=hypernetwork,
                    step_cov=half @ half.T,
                    loading=own,
                    readout=readout,
                )
            )
        return models


class VariationalModel(nn.Module):
    """The generative model, recognition, and the evidence lower bound."""

    def __init__(self, family: LatentFamily, recognition: Recognition) -> None:
        super().__init__()
        self.family = family
        self.recognition = recognition

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """The bound, from one draw, divided by the number of recorded values."""
        family, group, within = self.family, batch["group"], batch["within"]
        code = self.recognition(batch)
        embeddings = code.mean + code.variance.sqrt() * torch.randn_like(code.mean)
        weights, bias = (part[group] for part in family.dynamics(embeddings))
        # a second axis of length one, for products of each trial with its weights
        target, gate, sd = (
            part[:, :, None].unbind(1)
            for part in self.recognition.corrections(code, group)
        )
        noise = torch.randn_like(code.read)[:, :, None].unbind(1)
        mean = target[0]
        first = self._first_divergence(mean[:, 0], sd[0][:, 0])
        states, moves = [mean + sd[0] * noise[0]], []
        for t in range(1, len(target)):
            expected = family.step(states[-1], weights, bias)
            moves.append(gate[t] * (target[t] - expected))
            states.append(expected + moves[-1] + sd[t] * noise[t])
        steps = self._step_divergence(torch.cat(moves, 1), torch.cat(sd[1:], 1))
        bound = family.log_likelihood(torch.cat(states, 1), batch)
        bound = bound - first.sum() - (steps * within[:, 1:]).sum()
        of_embeddings = code.mean**2 + code.variance - 1 - code.variance.log()
        bound = bound - 0.5 * of_embeddings.sum()
        return bound / batch["recorded"].sum().clamp_min(1)

    def _first_divergence(self, mean: torch.Tensor, sd: torch.Tensor) -> torch.Tensor:
        """Of the first states' posterior from their prior, per trial."""
        whiten = self.family.whiten_first
        error = (mean - self.family.first_mean) @ whiten
        trace = (sd[:, :, None] * whiten).square().sum((1, 2))
        constant = 2 * whiten.diagonal().log().sum() + mean.shape[1]
        return 0.5 * (error.square().sum(1) + trace - constant) - sd.log().sum(1)

    def _step_divergence(self, move: torch.Tensor, sd: torch.Tensor) -> torch.Tensor:
        """Of each state's posterior from its prediction (n_trials, n_steps)."""
        log_step = self.family.log_step
        squares = (move**2 + sd**2) * (-2 * log_step).exp()
        return (0.5 * (squares - 1) - sd.log() + log_step).sum(2)


class Recordings(Dataset):
    """Trials of all sessions, read when they are needed.

    Parameters
    ----------
    sessions : list of Trials
    rows : list of int arrays
        Which trials of each session.
    """

    def __init__(self, sessions: list[Trials], rows: list[np.ndarray]) -> None:
        self.sessions = sessions
        self.session = np.repeat(np.arange(len(rows)), [len(own) for own in rows])
        self.row = np.concatenate(rows)
        before = np.cumsum([0, *(trials.n_groups for trials in sessions)])
        own = [trials.groups[r] for trials, r in zip(sessions, rows, strict=True)]
        self.group = np.concatenate(own) + before[self.session]
        self.n_neurons = max(trials.n_neurons for trials in sessions)

    def __len__(self) -> int:
        return len(self.row)

    def read(self, index: np.ndarray) -> dict[str, torch.Tensor]:
        """A batch, padded to the largest session and the longest trial."""
        blocks = []
        for session in np.unique(self.session[index]):
            own = index[self.session[index] == session]
            blocks.append((session, self.sessions[session].read(self.row[own])))
        n_timepoints = max(block.values.shape[1] for _, block in blocks)
        shape = (len(index), n_timepoints, self.n_neurons)
        values, recorded = np.zeros(shape), np.zeros(shape)
        lengths, sessions, groups = [], [], []
        first = n_groups = 0
        for session, block in blocks:
            n, T, width = block.values.shape
            own = (slice(first, first + n), slice(T), slice(width))
            values[own] = block.values
            recorded[own] = 1.0 if block.recorded is None else block.recorded
            lengths.append(block.lengths)
            sessions.append(np.full(n, session))
            groups.append(n_groups + block.group)
            first, n_groups = first + n, n_groups + block.n_groups
        within = np.less(np.arange(n_timepoints), np.concatenate(lengths)[:, None])
        return {
            "values": _tensor(values),
            "recorded": _tensor(recorded),
            "within": _tensor(within),
            "session": torch.as_tensor(np.concatenate(sessions)),
            "group": torch.as_tensor(np.concatenate(groups)),
        }


class GroupBatches:
    """Each trial once, in random order, groups together where they fit in a batch.

    An embedding is inferred from the trials of its group that are in the batch.
    """

    def __init__(self, dataset: Recordings, batch_size: int) -> None:
        self.dataset = dataset
        n_batches = max(_FEWEST_BATCHES, -(-len(dataset) // batch_size))
        self.n_batches = min(n_batches, len(dataset))

    def __len__(self) -> int:
        return self.n_batches

    def __iter__(self) -> Iterator[Any]:
        data = self.dataset
        mixed = torch.randperm(len(data)).numpy()
        rank = torch.randperm(int(data.group.max()) + 1).numpy()
        order = mixed[np.argsort(rank[data.group[mixed]], kind="stable")]
        for part in np.array_split(order, self.n_batches):
            yield data.read(part), torch.zeros(1)


class Forecasts:
    """Held-out trials: the second half given the first, through the smoother.

    EM has seen these trials, which speaks for EM. Costs are negative log likelihoods
    under EM's readout noise. Of EM's cost, what is above that of the trials' own
    smoothed states could at best be avoided.

    Parameters
    ----------
    sessions : list of Trials
    rows : list of int arrays
    models : list of StateSpace
        EM's.
    """

    def __init__(
        self, sessions: list[Trials], rows: list[np.ndarray], models: list[StateSpace]
    ) -> None:
        self.models = models
        self.blocks = [
            (session, block)
            for session, (trials, own) in enumerate(zip(sessions, rows, strict=True))
            if len(own)
            for block in trials.take(own).blocks()
        ]
        self.start = self._cost(models)
        self.least = sum(
            self._part_cost(session, models, block, smooth(models[session], block).z)
            for session, block in self.blocks
        )

    def __call__(self, models: list[StateSpace]) -> float:
        """The cost that could be avoided, as a share of EM's."""
        avoidable = self.start - self.least
        if not avoidable > 0:
            return 1.0
        return float((self._cost(models) - self.least) / avoidable)

    def _cost(self, models: list[StateSpace]) -> float:
        cost = 0.0
        for session, block in self.blocks:
            model, half = models[session], block.lengths // 2
            posterior = smooth(model, _first_bins(block, half), marginal=True)
            last = posterior.z[np.arange(len(half)), half - 1]
            z = np.zeros((*block.values.shape[:2], last.shape[1]))
            n_steps = block.values.shape[1] - int(half.min())
            weights = model.map.weights(posterior.c)[block.group]
            path = free_run(model.red, weights, model.activity(last), n_steps)
            bins = half[:, None] + np.arange(n_steps)
            trial, step = np.nonzero(bins < block.lengths[:, None])
            z[trial, bins[trial, step]] = path[trial, step]
            cost += self._part_cost(session, models, block, z)
        return cost

    def _part_cost(
        self, session: int, models: list[StateSpace], block: Block, z: np.ndarray
    ) -> float:
        """Of states in the second halves."""
        bins = np.arange(z.shape[1])
        later = (bins >= block.lengths[:, None] // 2)[..., None]
        recorded = np.ones(block.values.shape, dtype=bool)
        recorded &= later & block.within[..., None]
        if block.recorded is not None:
            recorded &= block.recorded
        second = block._replace(values=block.values * recorded, recorded=recorded)
        readout = self.models[session].readout
        with np.errstate(over="ignore", invalid="ignore"):
            terms = readout.terms(models[session].loading, second)
            return float(terms.cost(z).sum())


def _first_bins(block: Block, lengths: np.ndarray) -> Block:
    """The first bins of each trial, the others cut off."""
    n_timepoints = max(2, int(lengths.max()))
    cut = block._replace(
        values=block.values[:, :n_timepoints].copy(),
        recorded=None,
        lengths=lengths,
    )
    recorded = np.repeat(cut.within[..., None], block.values.shape[2], axis=2)
    if block.recorded is not None:
        recorded &= block.recorded[:, :n_timepoints]
    cut.values[~recorded] = 0.0
    return cut._replace(recorded=None if recorded.all() else recorded)


class Stages(Horizons):
    """Recognition alone, then everything, each with a cycle of the learning rate."""

    def plan(self, max_epochs: int, X: Any) -> list[str]:
        first = round(_RECOGNITION_ALONE * max_epochs)
        return ["recognition"] * first + ["all"] * (max_epochs - first)

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        stage = self.horizons_[min(self.epoch_, len(self.horizons_) - 1)]
        net.module_.family.requires_grad_(stage == "all")
        net.history.record("stage", stage)
        self.batch_ = 0


class KeepForecasts(KeepBest):
    """Keep the model with the best forecasts of the held-out trials."""

    def __init__(self, forecasts: Forecasts, max_epochs: int) -> None:
        self.forecasts = forecasts
        self.max_epochs = max_epochs

    def on_train_begin(self, net: NeuralNet, X: Any = None, **kwargs: Any) -> None:
        self.best_epoch_ = 0
        self.start_loss_ = self.best_loss_ = self._loss = 1.0
        self._keep(net)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        epoch = len(net.history)
        last = epoch == self.max_epochs
        changed = net.history[-1, "stage"] == "all"
        if changed and (last or epoch % _SCORED_EVERY == 0):
            models = net.module_.family.models(self.forecasts.models)
            self._loss = self.forecasts(models)
        net.history.record("valid_loss", self._loss)
        super().on_epoch_end(net)


class StageProgress(ProgressBar):
    """One line: epoch, what is trained, loss, avoidable cost relative to EM's."""

    def text(self, epoch: Any) -> str:
        return (
            f"{epoch['stage']}, loss {epoch['train_loss']:.4f}, "
            f"held out {epoch['valid_loss']:.3f} of EM's"
        )


class VariationalNet(JEDINet):
    """The skorch net of variational training; its loss is the negative bound."""

    def infer(self, x: dict[str, torch.Tensor], **fit_params: Any) -> Any:
        return self.module_({name: part.to(self.device) for name, part in x.items()})

    def get_loss(
        self, y_pred: Any, y_true: Any, X: Any = None, training: bool = False
    ) -> torch.Tensor:
        if not torch.isfinite(y_pred):
            raise NonFiniteLossError(
                "the training loss became NaN or infinite, most likely because a "
                "callback changed the weights; the best finite model is kept. Set "
                "max_epochs=0 for EM's"
            )
        return -y_pred


def train_variational(
    sessions: list[Trials],
    models: list[StateSpace],
    *,
    change_rank: int | None,
    hidden_layer_sizes: Sequence[int],
    max_epochs: int,
    batch_size: int,
    device: str,
    callbacks: list | None,
    random_state: np.random.RandomState,
    progress: bool,
) -> Variational:
    """Train from EM's solution; keep what forecasts held-out trials best.

    Parameters
    ----------
    sessions : list of Trials
        In network units, or counts where the readout is Poisson.
    models : list of StateSpace
        EM's, one per session, which differ in `loading` and `readout`.
    change_rank : int or None
        Largest rank of what embeddings change in the weights.
    """
    rows = [held_out_trials(trials) for trials in sessions]
    rest = [
        np.setdiff1d(np.arange(len(trials)), own)
        for trials, own in zip(sessions, rows, strict=True)
    ]
    seed = random_state.randint(2**31 - 1)
    with (
        torch.random.fork_rng(devices=_cuda_devices(device)),
        few_threads(max(trials.n_neurons for trials in sessions)),
    ):
        torch.manual_seed(seed)
        data = Recordings(sessions, rest)
        forecasts = Forecasts(sessions, rows, models)
        family = LatentFamily(models, change_rank, hidden_layer_sizes)
        recognition = first_recognition(family, models)
        net = VariationalNet(
            VariationalModel(family, recognition),
            criterion=nn.MSELoss,
            optimizer=torch.optim.Adam,
            optimizer__param_groups=[
                ("family.hypernetwork.perceptron*", {"lr": _PERCEPTRON_RATE}),
                ("family*", {"lr": _MODEL_RATE}),
            ],
            lr=_RECOGNITION_RATE,
            max_epochs=max_epochs,
            batch_size=batch_size,
            iterator_train=GroupBatches,
            train_split=None,
            callbacks=[
                ("stages", Stages()),
                ("keep_best", KeepForecasts(forecasts, max_epochs)),
                ("clipping", GradientNormClipping(1.0)),
                *([("progress", StageProgress(max_epochs))] if progress else []),
                *copy.deepcopy(list(callbacks or [])),
            ],
            callbacks__print_log=None,
            device=device,
            verbose=0,
        )
        error = None
        try:
            net.fit(data, y=None)
        except NonFiniteLossError as caught:
            error = caught
    keep_best = dict(net.callbacks_)["keep_best"]
    keep_best.restore(net)
    keep_best.forecasts = None  # holds data
    net.module_.to("cpu")
    net.device = "cpu"
    best_epoch = keep_best.best_epoch_
    if best_epoch:
        models = net.module_.family.models(models)
    return Variational(
        models,
        models[0].map if best_epoch else None,
        net,
        net.history,
        best_epoch,
        net.interrupted_,
        error,
    )


def held_out_trials(trials: Trials) -> np.ndarray:
    """Numbers of the trials that training does not see; none of small sessions."""
    if len(trials) < _FEWEST_TRIALS:
        return np.empty(0, dtype=int)
    every = max(_HELD_OUT_EVERY, -(-len(trials) // _MOST_HELD_OUT))
    numbers = np.arange(every // 2, len(trials), every)
    return numbers[trials.lengths[numbers] >= 4]


def first_recognition(
    family: LatentFamily, models: Sequence[StateSpace]
) -> Recognition:
    """Read-ins that invert EM's readouts, as of the noise of each neuron."""
    n_sessions, width, size = family.loading.shape
    read_in = np.zeros((n_sessions, width, size - 1))
    centre = np.zeros((n_sessions, width))
    noise = np.zeros(size - 1)
    inverse = family.inverse.cpu().double().numpy()
    for session, model in enumerate(models):
        n = len(model.loading)
        at_zero = model.loading[:, -1]
        # a count's excess over its expectation, relative to it, is linear in small z
        rate = np.exp(at_zero + model.readout.offset)
        variance = 1 / rate if model.readout.poisson else model.readout.variance
        centre[session, :n] = rate if model.readout.poisson else at_zero
        C = model.loading[:, :-1] @ np.linalg.inv(inverse).T
        weighted = C / variance[:, None]
        precision = C.T @ weighted
        precision += 1e-6 * np.trace(precision) * np.eye(size - 1)
        weights = weighted @ np.linalg.inv(precision)
        if model.readout.poisson:
            weights /= rate[:, None]
        read_in[session, :n] = weights
        noise += np.diag(np.linalg.inv(precision)) / n_sessions
    first = inverse.T @ models[0].first_cov @ inverse
    return Recognition(
        _tensor(read_in),
        _tensor(centre),
        _tensor(np.sqrt(np.diag(first) + noise)),
        _tensor(np.sqrt(noise)),
        models[0].map.n_axes,
    )


def _tensor(array: Any) -> torch.Tensor:
    return torch.as_tensor(np.asarray(array), dtype=torch.get_default_dtype())
