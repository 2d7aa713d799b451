"""Recordings larger than memory: peak memory, time and R^2 against trials.

numpy.memmap and zarr arrays are written in pieces and fitted in minibatches, each in a
process of its own that may allocate no more than 500 MB (RLIMIT_DATA) beyond what
loaded libraries take; 100,000 trials of 50 time points x 60 neurons are 1.1 GB.
"copy_fits" says whether an array of that size could have been allocated. "peak_MB" is
anonymous memory added by the fit: pages of the mapped file are not in it. Half an hour,
most of it for noisy trials, which are therefore read from a memmap only.
Asked for: memory flat in trials, but for the few numbers kept of each.
"""

from __future__ import annotations

from benchmarks._common import add, arguments, save, table
from benchmarks._on_disk import FITS, measure

TRIALS = (1_000, 10_000, 100_000)
LIMIT = 500


def main() -> None:
    args = arguments(__doc__)
    sizes, rest = (TRIALS, (50, 60)) if not args.quick else ((100, 400), (20, 20))
    fits = [(fit, "memmap") for fit in FITS] + [("EM", "zarr"), ("trained", "zarr")]
    rows: list[dict] = []
    summary = {f"bytes of a trial of {rest}": 4 * rest[0] * rest[1]}
    for fit, store in fits[: 1 if args.quick else None]:
        for n_trials in sizes:
            row = measure(fit, (n_trials, *rest), store=store, limit=LIMIT)
            add(rows, **row)
        before, last = rows[-2:]
        grown = (last["peak_MB"] - before["peak_MB"]) / (
            last["trials"] - before["trials"]
        )
        of = f"{fit}, {store}, {last['trials']} trials"
        summary[f"{of}: memory (MB)"] = last["peak_MB"]
        summary[f"{of}: bytes for each more than {before['trials']}"] = 2**20 * grown
    table(rows)
    save("larger_than_memory", rows, summary)


if __name__ == "__main__":
    main()
