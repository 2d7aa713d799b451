"""A recording's dynamics on one page."""

from sklearn_jedi.report._report import Report, make_report
from sklearn_jedi.report._saved_model import load_model

__all__ = ["Report", "load_model", "make_report"]
