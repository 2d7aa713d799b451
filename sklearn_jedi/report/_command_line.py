"""The command `sklearn-jedi`: reports from the shell."""

from __future__ import annotations

import argparse
import hashlib
import shlex
import signal
import sys
import warnings
from pathlib import Path
from typing import TextIO

import numpy as np

from sklearn_jedi import __version__
from sklearn_jedi._estimators._parameters import OBSERVATIONS
from sklearn_jedi.datasets import make_attractor_family
from sklearn_jedi.io import TrialSet
from sklearn_jedi.preprocessing import NeuronSelector
from sklearn_jedi.report._reading import BIN_SIZE, reading_of
from sklearn_jedi.report._report import Report, make_report

_EXAMPLES = """examples:
  sklearn-jedi report session.nwb --align go_cue_time --window 0 0.6 --label target
  sklearn-jedi report session.nwb --align go_cue_time --trials "result == 'R'" \\
      --units "quality == 'good' and rate > 1" --label target --group block
  sklearn-jedi report trials.npz --key spikes --dt 0.01 --label target
  sklearn-jedi report trials.mat --variable trials --spike-times spikes \\
      --align goCue --window 0 0.6 --label target
"""


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    argv : list of str, default=None
        Arguments; None means those of the process.

    Returns
    -------
    int
        Exit status: 0 done, 2 an error that the message explains, 130 interrupted.
    """
    argv = sys.argv[1:] if argv is None else argv
    args = _parser().parse_args(argv)
    command = "sklearn-jedi " + shlex.join(argv)
    # being ended is like Ctrl-C: workers are ended, too, and what is finished stays
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            report = args.run(args, command)
    except KeyboardInterrupt:
        print("sklearn-jedi: interrupted", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"sklearn-jedi: error: {error}", file=sys.stderr)
        return 2
    finally:
        signal.signal(signal.SIGTERM, before)
    if not args.quiet:
        for note in report.notes:
            print(f"note: {note}")
        said = "interrupted; unfinished report" if report.interrupted else "report"
        print(f"{said}: {report.path}")
    return 130 if report.interrupted else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sklearn-jedi",
        description="Which dynamics produced this activity, and how do they differ "
        "between conditions?",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="{report,demo}")

    report = commands.add_parser(
        "report",
        help="fit a recording, analyse it, write report.html",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    report.set_defaults(run=_report)
    report.add_argument("file", type=Path, help=".nwb, .npz or .mat file")
    trials = report.add_argument_group("trials")
    trials.add_argument(
        "--align", metavar="COLUMN", help="column of event times that become 0"
    )
    trials.add_argument(
        "--window",
        nargs=2,
        metavar=("FROM", "TO"),
        help="seconds about the alignment (default: -0.3 0.6), or columns of times; of "
        "trials that are cut already, the seconds to keep",
    )
    trials.add_argument(
        "--bin-size",
        type=float,
        metavar="S",
        help=f"seconds, of bins that spike times are counted in (default: {BIN_SIZE})",
    )
    trials.add_argument(
        "--trials", metavar="EXPRESSION", help="such as \"result == 'R' and rt < 0.5\""
    )
    trials.add_argument(
        "--units", metavar="EXPRESSION", help="such as \"quality == 'good'\""
    )
    trials.add_argument(
        "--min-rate",
        type=float,
        default=0.5,
        metavar="HZ",
        help="least mean rate of a neuron, of spike counts (default: 0.5)",
    )
    trials.add_argument("--label", metavar="COLUMN", help="condition of each trial")
    trials.add_argument(
        "--group",
        metavar="COLUMN",
        help="such as block: never split between fit and test",
    )
    arrays = report.add_argument_group("arrays in .npz and .mat files")
    arrays.add_argument("--key", metavar="NAME", help="array of activity (.npz)")
    arrays.add_argument("--variable", metavar="NAME", help="variable of trials (.mat)")
    arrays.add_argument("--activity", metavar="FIELD", help="field of activity (.mat)")
    arrays.add_argument("--spike-times", metavar="FIELD", help="of spike times (.mat)")
    arrays.add_argument("--dt", type=float, metavar="S", help="bin width in seconds")
    arrays.add_argument("--time", metavar="NAME", help="array of bin times")
    arrays.add_argument(
        "--time-unit", choices=("s", "ms", "us"), help="of --time (default: s)"
    )
    arrays.add_argument(
        "--dims",
        nargs=3,
        metavar="AXIS",
        help="what the axes are (default: trial time neuron)",
    )
    model = report.add_argument_group("model")
    model.add_argument("--rank", type=int, help="default: chosen by cross-validation")
    model.add_argument("--embedding-dim", type=int, help="default: the same")
    model.add_argument(
        "--tau",
        type=_auto_or_seconds,
        default="auto",
        metavar="S",
        help="neurons' time constant (default: auto, 0.1 s but at least 5 bins)",
    )
    model.add_argument(
        "--observation",
        default="auto",
        choices=OBSERVATIONS,
        help="what is recorded of the neurons' state: the state itself, or with "
        "gaussian noise, or spike counts (default: auto, gaussian for the square roots "
        "of spike counts)",
    )
    demo = commands.add_parser("demo", help="the same for a simulated recording")
    demo.set_defaults(run=_demo)
    for one, folder in ((report, "report"), (demo, "demo")):
        one.add_argument(
            "--out",
            type=Path,
            default=Path(folder),
            metavar="FOLDER",
            help=f"to write to; a report there is replaced (default: {folder})",
        )
        one.add_argument(
            "--seed", type=int, default=0, help="of splits and fits (default: 0)"
        )
        one.add_argument(
            "--jobs", type=int, default=-1, help="processes (default: -1, all cores)"
        )
        one.add_argument("--quiet", action="store_true", help="say nothing but errors")
    return parser


def _report(args: argparse.Namespace, command: str) -> Report:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        reading = reading_of(args)
        everything = reading.trials()
        trials = _that_fire(everything, args.min_rate)
    notes = [str(one.message) for one in caught if one.category is UserWarning]
    n_units = len(everything.units)
    n_left_out = n_units - len(trials.units)
    if n_left_out:
        notes.append(
            f"{n_left_out} of {n_units} neurons fire less than {args.min_rate:g} "
            "spikes/s and are left out (--min-rate)."
        )
    return make_report(
        trials,
        labels=_column(trials, args.label, "--label", args.file),
        label_name=args.label or "condition",
        groups=_column(trials, args.group, "--group", args.file),
        out=args.out,
        rank=args.rank,
        embedding_dim=args.embedding_dim,
        tau=args.tau,
        observation=args.observation,
        title=args.file.name,
        reading=reading.lines(),
        how=f"{command}\n\nSHA-256 of {args.file.name}: {_hash(args.file)}",
        notes=notes,
        random_state=args.seed,
        n_jobs=args.jobs,
        quiet=args.quiet,
    )


def _demo(args: argparse.Namespace, command: str) -> Report:
    X, y, _ = make_attractor_family(
        24, n_neurons=60, observation_noise=0.5, random_state=args.seed
    )
    names = np.array(["two points", "cycle", "ring"])
    return make_report(
        X,
        dt=0.01,
        labels=names[y],
        label_name="network",
        out=args.out,
        title="Simulated recordings of three networks: two stable points, a limit "
        "cycle, a ring of fixed points",
        reading="from sklearn_jedi.datasets import make_attractor_family\n\n"
        f"trials, _, _ = make_attractor_family(24, n_neurons=60, "
        f"observation_noise=0.5, random_state={args.seed})",
        how=command,
        random_state=args.seed,
        n_jobs=args.jobs,
        quiet=args.quiet,
    )


def _that_fire(trials: TrialSet, min_rate: float) -> TrialSet:
    """The neurons that fire, where trials are spike counts."""
    if not trials.is_counts:
        return trials
    recorded = np.any([np.isfinite(x).any(0) for x in trials.X], axis=0)
    if not recorded.any():
        raise ValueError("every value of the trials is NaN")
    trials = trials.select(units=recorded)
    rates = NeuronSelector(0, dt=trials.dt).fit(trials.X).rates_
    if not (rates >= min_rate).any():
        raise ValueError(
            f"no neuron fires {min_rate:g} spikes/s or more (--min-rate); the highest "
            f"mean rate is {rates.max():.3g}"
        )
    return trials.select(units=rates >= min_rate)


def _column(
    trials: TrialSet, name: str | None, option: str, path: Path
) -> np.ndarray | None:
    if name is None:
        return None
    if name not in trials.table:
        there = ", ".join(map(str, trials.table)) or "none"
        raise ValueError(
            f"{option} {name}: {str(path)!r} has no such column of trials; there are: "
            f"{there}"
        )
    return np.asarray(trials.table[name])


def _auto_or_seconds(text: str) -> float | str:
    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"neither auto nor seconds: {text!r}"
        ) from None


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"sklearn-jedi: {category.__name__}: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
