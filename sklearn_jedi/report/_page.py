"""report.html: one file that opens without a network."""

from __future__ import annotations

import base64
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from sklearn_jedi.report._section import Table


class Finding(NamedTuple):
    """A section as it goes to the page; `width` of the picture in inches."""

    name: str
    title: str
    summary: str
    caption: str
    png: bytes
    width: float
    tables: list[Table]

    @property
    def picture(self) -> str:
        return base64.b64encode(self.png).decode()

    @property
    def pixels(self) -> int:
        return round(96 * self.width)


def page(
    title: str,
    data: str,
    findings: list[Finding],
    notes: list[str],
    reproduce: str,
    *,
    lines: str | None,
    unfinished: str | None,
) -> str:
    """The whole page; the template escapes all text.

    Parameters
    ----------
    title, data : str
        The recording: its name, and what is in it.
    findings : list of Finding
        Of finished sections, in order.
    notes : list of str
        Why results should not be trusted.
    reproduce : str
        Command and versions.
    lines : str or None
        Python that uses the model again; None where there is none yet.
    unfinished : str or None
        What is missing and why; None where all is there.
    """
    environment = Environment(
        loader=PackageLoader("sklearn_jedi", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("page.html.jinja").render(
        title=title,
        data=data,
        findings=findings,
        notes=notes,
        reproduce=reproduce,
        lines=lines,
        unfinished=unfinished,
    )
