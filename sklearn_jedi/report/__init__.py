"""A recording's dynamics on one page."""

from sklearn_jedi.report._report import Report, make_report

__all__ = ["Report", "make_report"]
