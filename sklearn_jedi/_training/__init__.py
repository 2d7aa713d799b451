"""Torch: the hypernetwork, and training by gradient."""
