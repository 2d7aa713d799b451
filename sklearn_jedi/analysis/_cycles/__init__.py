"""How a cycle is pinned down: by its returns, as a curve, by samples, by shooting."""
