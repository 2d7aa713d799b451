"""Studies behind the figures in benchmarks/README.md, one script each."""
