"""Fitted models: what is inferred and predicted with them, and their files."""
