"""Docstrings of all that is public: numpydoc's sections, and those that are needed."""

import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import sklearn_jedi

validate = pytest.importorskip(
    "numpydoc.validate", reason="docstrings are checked by numpydoc, of the docs extra"
).validate

# Not checked: descriptions that the summary or "As in `fit`." already give (PR04, PR07,
# RT03), and sections that not every docstring needs (ES01, EX01, SA01).
CHECKS = {
    *("GL01", "GL03", "GL05", "GL06", "GL07", "GL08", "GL10"),
    *("SS01", "SS02", "SS03", "SS04", "SS06"),
    *("PR01", "PR02", "PR03", "PR05", "PR06", "PR10"),
    *("RT01", "YD01"),
}
# Optional libraries are imported in functions, so all modules can be imported.
MODULES = ["sklearn_jedi"] + [
    f"sklearn_jedi.{module.name}"
    for module in pkgutil.iter_modules(sklearn_jedi.__path__)
    if module.ispkg and not module.name.startswith("_")
]


def documented():
    """Dotted names of public classes, functions and methods."""
    for module in MODULES:
        for name in importlib.import_module(module).__all__:
            public = getattr(importlib.import_module(module), name)
            yield f"{module}.{name}"
            if inspect.isclass(public):
                yield from methods(f"{module}.{name}", public)


def methods(path, cls):
    """Methods that this package defines, and not scikit-learn."""
    for base in cls.__mro__:
        if not base.__module__.startswith("sklearn_jedi"):
            continue
        for name, member in vars(base).items():
            member = getattr(member, "__func__", member)  # of a class method
            if inspect.isfunction(member) and not name.startswith("_"):
                yield f"{path}.{name}"


def is_named_tuple(name):
    module, _, attribute = name.rpartition(".")
    public = getattr(importlib.import_module(module), attribute, None)
    return inspect.isclass(public) and hasattr(public, "_fields")


@pytest.mark.parametrize("name", sorted(set(documented())))
def test_docstring(name):
    checks = CHECKS
    if name.rpartition(".")[0] in MODULES and is_named_tuple(name):
        checks = CHECKS - {"PR01"}  # fields stand under Attributes
    found = validate(name)["errors"]
    assert not [f"{code}: {text}" for code, text in found if code in checks]


@pytest.mark.parametrize("module", MODULES)
def test_api_page_lists_all(module):
    page = Path(__file__).parents[1] / "docs" / "api.md"
    listed = page.read_text().split(f"currentmodule:: {module}\n")[1].split("```")[0]
    names = [line.strip() for line in listed.splitlines() if line.startswith("   ")]
    public = importlib.import_module(module).__all__
    assert sorted(name for name in names if not name.startswith(":")) == sorted(public)
