"""report.html: one file that opens without a network."""

from __future__ import annotations

import base64
from html import escape
from typing import NamedTuple

from sklearn_jedi.report._section import Table

_STYLE = """
:root { --ink: #1c1e21; --soft: #5b6168; --line: #d9dce0; --warn: #b45309; }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
       color: var(--ink); background: #fff; max-width: 62rem; margin: 0 auto;
       padding: 1.5rem 1.25rem 4rem; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .4rem; padding-top: .8rem;
     border-top: 1px solid var(--line); }
p.data { color: var(--soft); margin-top: 0; }
figure { margin: 1rem 0; }
figure img { max-width: 100%; height: auto; display: block; margin: 0 auto; }
figcaption { color: var(--soft); font-size: .9rem; margin-top: .4rem; }
ul.found { padding-left: 1.2rem; } ul.found li { margin: .35rem 0; }
.notes { border-left: 4px solid var(--warn); background: #fdf6ec;
         padding: .6rem 1rem; margin: 1.4rem 0; }
.notes h2 { border: 0; padding: 0; margin: 0 0 .3rem; font-size: 1.05rem; }
.notes ul { margin: 0; padding-left: 1.2rem; } .notes li { margin: .3rem 0; }
.notes.none { border-color: #15803d; background: #f0f9f2; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; margin: .6rem 0; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; vertical-align: top;
         border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); }
details { margin: .5rem 0; } summary { cursor: pointer; color: var(--soft); }
pre { background: #f5f6f7; padding: .8rem; overflow-x: auto; font-size: .85rem;
      white-space: pre-wrap; }
"""


class Part(NamedTuple):
    """A section as it goes to the page; `width` of the picture in inches."""

    name: str
    title: str
    summary: str
    caption: str
    png: bytes
    width: float
    tables: list[Table]


def page(
    title: str,
    data: str,
    parts: list[Part],
    notes: list[str],
    reproduce: str,
    *,
    unfinished: str | None,
) -> str:
    """The whole page; all text is escaped here.

    Parameters
    ----------
    title, data : str
        The recording: its name, and what is in it.
    parts : list of Part
        Finished sections, in order.
    notes : list of str
        Why results should not be trusted.
    reproduce : str
        Command and versions.
    unfinished : str or None
        What is missing and why; None where all is there.
    """
    body = [f"<h1>{escape(title)}</h1>", f'<p class="data">{escape(data)}</p>']
    if unfinished:
        body.append(_box("Not finished", [unfinished], "notes"))
    if notes:
        body.append(_box("Read with care", notes, "notes"))
    elif not unfinished:
        nothing = ["No check of this report found a reason to doubt it."]
        body.append(_box("No warnings", nothing, "notes none"))
    body.append('<ul class="found">')
    body += [f"<li>{escape(part.summary)}</li>" for part in parts]
    body.append("</ul>")
    for number, part in enumerate(parts, 1):
        body.append(_section(number, part))
    body.append("<h2>How this was made</h2>")
    body.append(f"<pre>{escape(reproduce)}</pre>")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _section(number: int, part: Part) -> str:
    picture = base64.b64encode(part.png).decode()
    tables = "".join(_table(table) for table in part.tables)
    return (
        f'<h2 id="{escape(part.name)}">{number}. {escape(part.title)}</h2>'
        f'<figure><img alt="{escape(part.summary)}" '
        f'src="data:image/png;base64,{picture}" style="width: {96 * part.width:.0f}px">'
        f"<figcaption><b>Figure {number}.</b> {escape(part.caption)}</figcaption>"
        f"</figure>"
        + (f"<details><summary>Numbers</summary>{tables}</details>" if tables else "")
    )


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in table.rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div>'


def _box(title: str, lines: list[str], kind: str) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<div class="{kind}"><h2>{escape(title)}</h2><ul>{items}</ul></div>'
