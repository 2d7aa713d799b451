"""Rows of a table: by an expression of its columns, by a mask or by their labels."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_jedi._data._numbers import is_missing
from sklearn_jedi._utils._plain import as_objects
from sklearn_jedi.io._files import quoted

if TYPE_CHECKING:
    from pandas import DataFrame

# An expression of columns, a mask or labels.
Selection = str | ArrayLike

# Comparisons, boolean operators and arithmetic of columns and constants. Calls,
# attributes and subscripts could run code; powers, and text or lists times a number,
# could fill the memory.
_ALLOWED = (
    ast.Expression,
    ast.BoolOp,
    ast.boolop,
    ast.UnaryOp,
    ast.Not,
    ast.Invert,
    ast.USub,
    ast.BinOp,
    ast.BitAnd,
    ast.BitOr,
    ast.Add,
    ast.Sub,
    ast.Mult,
    ast.Div,
    ast.Compare,
    ast.cmpop,
    ast.Name,
    ast.expr_context,
    ast.Constant,
    ast.List,
    ast.Tuple,
)


def select_rows(
    table: DataFrame, selection: Selection | None, name: str, where: str
) -> np.ndarray:
    """Numbers of the chosen rows of a table.

    Parameters
    ----------
    table : DataFrame
    selection : str, bool array of shape (n_rows,), list of labels or None
        None chooses all rows; labels choose rows in their order.
    name : str
        The parameter, for messages.
    where : str
        File or object, for messages.

    Raises
    ------
    ValueError
        If nothing is chosen, or the selection cannot be read.
    """
    if selection is None:
        return np.arange(len(table))
    if isinstance(selection, str):
        rows = np.flatnonzero(_evaluate(table, selection, name, where))
        asked = repr(selection)
    else:
        rows = _from_list(table, _as_values(selection), name, where)
        asked = "the selection"
    if not len(rows):
        raise ValueError(
            f"{where}: {name}: {asked} chooses none of the {len(table)} {name}"
        )
    return rows


def _as_values(selection: ArrayLike) -> np.ndarray:
    """A mask, in which what is missing is false, or labels, which may be tuples."""
    entries: Any = selection.tolist() if hasattr(selection, "tolist") else selection
    if isinstance(entries, (list, tuple)) and any(
        isinstance(x, tuple) for x in entries
    ):
        return as_objects(entries)
    values = np.asarray(selection)
    if values.dtype != object or values.ndim != 1:
        return values
    known = [value for value in values if not is_missing(value)]
    if not known or not all(isinstance(value, (bool, np.bool_)) for value in known):
        return values
    return np.array([not is_missing(value) and bool(value) for value in values])


def _from_list(
    table: DataFrame, values: np.ndarray, name: str, where: str
) -> np.ndarray:
    if values.ndim != 1:
        raise ValueError(
            f"{where}: {name} must be an expression, a mask or a list of ids; got an "
            f"array of shape {values.shape}"
        )
    if values.dtype == bool:
        if len(values) != len(table):
            raise ValueError(
                f"{where}: {name} is a mask of length {len(values)}, but there are "
                f"{len(table)} {name}"
            )
        return np.flatnonzero(values)
    if not table.index.is_unique:
        raise ValueError(
            f"{where}: ids of {name} are not unique; choose {name} by a mask"
        )
    labels = values
    if values.dtype == object and table.index.nlevels == 1:  # tuples are labels, too
        labels = type(table.index)(values, tupleize_cols=False)
    rows = table.index.get_indexer(labels)
    unknown = values[rows < 0].tolist()
    if unknown:
        raise ValueError(
            f"{where}: {name}: there are no ids {quoted(unknown[:10])}; ids go from "
            f"{quoted(table.index[:1])} to {quoted(table.index[-1:])}"
        )
    return np.asarray(rows)


def _evaluate(table: DataFrame, expression: str, name: str, where: str) -> np.ndarray:
    """Which rows an expression is true of, as a mask."""
    problem = f"{where}: {name}={expression!r}"
    columns = [*table.columns, "index"]
    if isinstance(table.index.name, str):
        columns.append(table.index.name)

    # Backticks quote names that are no identifiers. With plain names in their place,
    # what is checked is what pandas evaluates.
    plain = {
        column: f"column_{k}_of_table"
        for k, column in enumerate(table.columns)
        if f"`{column}`" in expression
    }
    quoted = re.sub(
        "`([^`]*)`", lambda found: plain.get(found[1], found[0]), expression
    )
    renamed = table.rename(columns=plain)
    _check_expression(quoted, {*columns, *plain.values()}, columns, problem)
    try:
        chosen = renamed.eval(quoted, engine="python", local_dict={}, global_dict={})
    except Exception as error:
        raise ValueError(f"{problem} cannot be evaluated: {error}") from error
    chosen = _as_mask(chosen)
    if getattr(chosen, "shape", None) != (len(table),) or chosen.dtype != bool:
        raise ValueError(
            f"{problem} must be true or false for each row, as in \"side == 'left'\""
        )
    return np.asarray(chosen)


def _as_mask(chosen: Any) -> Any:
    """Columns of truth values that may be missing as masks, where missing is false."""
    if not hasattr(chosen, "isna"):
        return chosen
    values = chosen.to_numpy(dtype=object)
    known = ~np.asarray(chosen.isna())
    if not all(isinstance(value, (bool, np.bool_)) for value in values[known]):
        return chosen
    mask = np.zeros(len(values), dtype=bool)
    mask[known] = values[known].astype(bool)
    return mask


def _check_expression(
    expression: str, names: set[object], columns: list[object], problem: str
) -> None:
    """Refuse whatever is not a comparison of columns.

    More than one line is refused because pandas evaluates lines one by one, also those
    within a quoted string.
    """
    if "`" in expression:
        raise ValueError(
            f"{problem}: between backticks there must be a column; there are: "
            f"{quoted(columns)}"
        )
    try:
        if len(expression.splitlines()) != 1:
            raise SyntaxError("it must be one line")
        nodes = list(ast.walk(ast.parse(expression.strip(), mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{problem} is not an expression: {error}") from error
    for node in nodes:
        if not isinstance(node, _ALLOWED):
            raise ValueError(
                f"{problem} may only compare columns with values and combine "
                f"comparisons with and, or, not; it contains {type(node).__name__}"
            )
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            for side in (node.left, node.right):
                if not _is_number_or_column(side):
                    raise ValueError(
                        f"{problem} may multiply numbers and columns; it multiplies "
                        f"{ast.unparse(side)[:20]}"
                    )
        if isinstance(node, ast.Name) and node.id not in names:
            raise ValueError(
                f"{problem}: there is no column {node.id!r}; there are: "
                f"{quoted(columns)}"
            )


def _is_number_or_column(node: ast.AST) -> bool:
    """Whether a factor is no text and no list."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, (int, float))
    return not isinstance(node, (ast.List, ast.Tuple))
