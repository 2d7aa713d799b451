"""The two estimators: their parameters, `fit`, and what can be asked of them."""
