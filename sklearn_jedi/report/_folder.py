"""The folder that a report is written to, section by section."""

from __future__ import annotations

import io
import platform
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sklearn_jedi._estimators._jedi import JEDIEstimator
from sklearn_jedi.report._page import Finding, page
from sklearn_jedi.report._preparation import Preparation
from sklearn_jedi.report._saved_model import MODEL, RESULTS, save_model
from sklearn_jedi.report._section import Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = "report.html"
# the first line of reproduce.txt tells that a folder is a report
_MARK = "This folder is a report of sklearn-jedi."
_DPI = 160
_PACKAGES = (
    "sklearn-jedi",
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "skorch",
    "matplotlib",
    "pandas",
    "pynapple",
    "pynwb",
)


class Folder:
    """Files of a report; what is finished stays, whatever happens later.

    Parameters
    ----------
    path : Path
        Made where it does not exist. One that holds anything but an earlier report is
        refused.
    sections : list of Section
        What may be added.
    title, data, how : str
        The recording: its name, what is in it, and how to make the report again.
    preparation : Preparation
        Of trials for the model.
    lines : str
        Python that uses the model again.

    Raises
    ------
    FileExistsError, NotADirectoryError
        If `path` holds something else.
    """

    def __init__(
        self,
        path: Path,
        sections: list[Section],
        title: str,
        data: str,
        how: str,
        preparation: Preparation,
        lines: str,
    ) -> None:
        self._sections = sections
        self._title = title.encode("utf-8", "backslashreplace").decode()
        self.path, self._data = path, data
        how = how.encode("utf-8", "backslashreplace").decode()  # names of files
        self._how = f"{how}\n\n{versions()}"
        self._preparation = preparation
        self._lines = lines.encode("utf-8", "backslashreplace").decode()
        self._findings: list[Finding] = []
        self._arrays: dict[str, Any] = {}
        self.notes: list[str] = []

    def open(self) -> None:
        """Make the folder, empty of an earlier report's files."""
        check_folder(self.path)
        figures = self.path / "figures"
        figures.mkdir(parents=True, exist_ok=True)
        for section in self._sections:
            for kind in ("png", "svg"):
                (figures / f"{section.name}.{kind}").unlink(missing_ok=True)
        for name in (PAGE, RESULTS, MODEL):
            (self.path / name).unlink(missing_ok=True)
        (self.path / "reproduce.txt").write_text(
            f"{_MARK}\n\n{self._how}\n\nTo use the model again, in Python:\n\n"
            f"{self._lines}\n",
            encoding="utf-8",
        )

    def add(self, section: Section, caveat: str = "") -> None:
        """Write what a section found, and what is to be said before it."""
        import matplotlib as mpl

        with mpl.rc_context(
            {
                "svg.fonttype": "none",
                "text.parse_math": False,  # labels may hold dollars
                "axes.spines.top": False,
                "axes.spines.right": False,
                "font.size": 10,
            }
        ):
            figure = section.draw()
            png = io.BytesIO()
            figure.savefig(png, dpi=_DPI, format="png")
            figure.set_layout_engine("none")  # has placed everything
            figure.savefig(self.path / "figures" / f"{section.name}.svg")
        width = figure.get_figwidth()
        _close(figure)
        (self.path / "figures" / f"{section.name}.png").write_bytes(png.getvalue())
        self._arrays |= {
            f"{section.name}_{key}": value for key, value in section.arrays().items()
        }
        arrays = io.BytesIO()
        np.savez_compressed(arrays, **self._arrays)
        self._replace(RESULTS, arrays.getvalue())
        self._findings = [one for one in self._findings if one.name != section.name]
        self._findings.append(
            Finding(
                section.name,
                section.title,
                caveat + section.summary(),
                section.caption(),
                png.getvalue(),
                width,
                section.tables(),
            )
        )
        self.notes += [note for note in section.notes() if note not in self.notes]

    def note(self, caught: list[warnings.WarningMessage], section: Section) -> None:
        """Keep the warnings of a section for the reader of the page."""
        said = [one for one in caught if issubclass(one.category, UserWarning)]
        for text in dict.fromkeys(str(one.message) for one in said):
            line = f"{section.title}: {text}."
            if line not in self.notes:
                self.notes.append(line)

    def write(self, model: JEDIEstimator | None, unfinished: str | None) -> None:
        """Write the model, once there is one, and the page of what there is.

        Parameters
        ----------
        model : JEDIEstimator or None
        unfinished : str or None
            What is missing and why; None where all is there.
        """
        target = self.path / MODEL
        if model is not None and not target.exists():
            save_model(target, self._preparation, model)
        text = page(
            self._title,
            self._data,
            self._findings,
            self.notes,
            self._how,
            lines=None if model is None else self._lines,
            unfinished=unfinished,
        )
        self._replace(PAGE, text.encode())

    def _replace(self, name: str, content: bytes) -> None:
        """Write a file so that there is the old one or the new one, and no half."""
        part = self.path / "figures" / f"{name}.part"
        part.write_bytes(content)
        part.replace(self.path / name)


def check_folder(path: Path) -> None:
    """Refuse to write over anything but an earlier report."""
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(
            f"{str(path)!r} is a file: give the report a folder of its own (--out)"
        )
    if not path.is_dir():
        return
    others = {item.name for item in path.iterdir()} - {".DS_Store", "Thumbs.db"}
    made = path / "reproduce.txt"
    if made.is_file() and made.read_text("utf-8", "replace").startswith(_MARK):
        ours = {PAGE, "figures", RESULTS, MODEL, "reproduce.txt"}
        others -= ours
    if others:
        raise FileExistsError(
            f"the folder {str(path)!r} holds other files "
            f"({', '.join(sorted(others)[:3])}): choose another (--out)"
        )


def versions() -> str:
    """Versions of what the results depend on."""
    lines = [f"Python {platform.python_version()} ({platform.system()})"]
    for package in _PACKAGES:
        try:
            lines.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return "\n".join(lines)


def _close(figure: Figure) -> None:
    import matplotlib.pyplot as plt

    plt.close(figure)
