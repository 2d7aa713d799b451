"""Settings of the documentation; `make docs` builds it, without the network."""

import importlib
import pkgutil
import re
import sys
from inspect import getdoc
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util.math import get_node_equation_number

import sklearn_jedi

sys.path.insert(0, str(Path(__file__).parent))  # for `_figures`

project = "sklearn-jedi"
author = copyright = "sklearn-jedi developers"
version = release = sklearn_jedi.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples", "auto_examples/**.ipynb"]
templates_path = ["_templates"]
default_role = "py:obj"
highlight_language = "python"

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
# the gallery's own file cache cannot be pickled, which Sphinx points out
suppress_warnings = ["config.cache"]

html_theme = "pydata_sphinx_theme"
html_title = "sklearn-jedi"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_prev_next": False,
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {  # pages without others below them
    page: []
    for page in (
        *("getting_started", "coming_from", "references", "whats_new", "contributing"),
    )
}


sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "nested_sections": False,
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sklearn_jedi",),
    "reset_modules": ("matplotlib", "_figures.reset"),
    "download_all_examples": False,
    "notebook_images": False,
    "remove_config_comments": True,
    "capture_repr": (),
    "show_memory": False,
    "write_computation_times": False,
    "show_signature": False,
    "thumbnail_size": (540, 240),
    "min_reported_time": 0,
    "parallel": 2,
}

# What scikit-learn gives every estimator, and the fields of named tuples, whose
# description stands under Attributes.
_NOT_OURS = ("_request", "get_metadata_routing", "set_output", "get_params")


def skip_member(app, what, name, member, skip, options):
    """Leave out of the API what is documented elsewhere."""
    inherited = name.endswith(_NOT_OURS) or name == "set_params"
    field = (getdoc(member) or "").startswith("Alias for field number")
    return True if inherited or field else None


def mathml(tex: str, **options: bool) -> str:
    """A formula as MathML, with two things put right that docutils does not.

    An index of a letter with an accent belongs beside it, not below; and there is a
    space between the name of a function and a letter.
    """
    text = tex2mathml(tex, **options)
    text = re.sub(
        r"<munderover>\s*(<mi>[^<]*</mi>)(.*?)(<mo stretchy=\"false\">[^<]*</mo>)\s*"
        r"</munderover>",
        r'<msub><mover accent="true">\1\3</mover>\2</msub>',
        text,
        flags=re.DOTALL,
    )
    return re.sub(
        r"(&ApplyFunction;</mo>)(?=\s*<m[in]>)", r'\1<mspace width="0.17em"/>', text
    )


def equation(writer, node: nodes.math_block) -> None:
    """A formula on lines of its own, as MathML, which browsers draw by themselves."""
    number = get_node_equation_number(writer, node) if node.get("label") else ""
    tex = node.astext().strip()
    if "\\\\" in tex or "&" in tex:
        tex = rf"\begin{{aligned}}{tex}\end{{aligned}}"
    writer.body.append(writer.starttag(node, "div", CLASS="formula"))
    writer.body.append(f"{mathml(tex, as_block=True)}{number}</div>")
    raise nodes.SkipNode


def formula(writer, node: nodes.math) -> None:
    """A formula within the text, as MathML."""
    writer.body.append(mathml(node.astext()))
    raise nodes.SkipNode


_MODULES = ["sklearn_jedi"] + [
    f"sklearn_jedi.{module.name}"
    for module in pkgutil.iter_modules(sklearn_jedi.__path__)
    if module.ispkg and not module.name.startswith("_")
]
_PUBLIC = {
    name: f"{module}.{name}"
    for module in _MODULES
    for name in importlib.import_module(module).__all__
}


def link(code: re.Match) -> str:
    """Code that is the name of something public, linked to its page."""
    path = _PUBLIC.get(code[1])
    return f"{{py:obj}}`{code[1]} <{path}>`" if path else code[0]


def markdown(app, docname: str, source: list[str]) -> None:
    """What pages that are also read as they are can say for this site only by this.

    A file outside of `docs` is linked to, and names of the API are not.
    """
    if app.env.doc2path(docname).suffix == ".md":
        text = source[0].replace("(../benchmarks/README.md", "(benchmarks.md")
        source[0] = re.sub(r"(?<!`)`(\w+)`(?!`)", link, text)


def setup(app):
    """Connect what is above."""
    app.add_html_math_renderer("mathml", (formula, None), (equation, None))
    app.connect("autodoc-skip-member", skip_member)
    app.connect("source-read", markdown)


html_math_renderer = "mathml"
