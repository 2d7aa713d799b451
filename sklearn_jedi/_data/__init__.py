"""The gate: from what users hand over to trials that the engine reads."""
