"""Rate networks as plain arrays: low-rank, latent, transfer functions, the step."""
