"""Progress, optional imports, threads, parameter checks, sums of data in pieces."""
