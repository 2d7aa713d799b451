"""The equation in few dimensions, and how it is inferred: regressions, smoother, EM."""
