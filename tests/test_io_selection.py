"""Expressions choose rows, and can do nothing else."""

import numpy as np
import pandas as pd
import pytest

from sklearn_jedi.io._selection import select_rows


@pytest.fixture(scope="module")
def table():
    columns = {
        "side": ["left", "right", "left", "right"],
        "rt": [0.2, 0.4, np.nan, 0.6],
        "hit": [True, False, True, True],
        "go cue": [1.0, 2.0, 3.0, 4.0],
        "size": [1, 2, 3, 4],
        "known": pd.array([True, None, False, True], dtype="boolean"),
        "seen": np.array([True, False, None, True], dtype=object),
    }
    return pd.DataFrame(columns, index=pd.Index([10, 11, 12, 13], name="id"))


@pytest.mark.parametrize(
    ("selection", "rows"),
    [
        (None, [0, 1, 2, 3]),
        ("side == 'left'", [0, 2]),
        ("rt < 0.5 and not side == 'left'", [1]),
        ("(rt < 0.3) | (rt > 0.5)", [0, 3]),
        ("0.3 < rt <= 0.6", [1, 3]),
        ("hit", [0, 2, 3]),
        ("~hit", [1]),
        ("known", [0, 3]),  # what is missing is not chosen
        ("seen", [0, 3]),
        ("2 * size > 5", [2, 3]),
        ("side in ['left', 'up']", [0, 2]),
        ("size not in (1, 2)", [2, 3]),
        ("`go cue` - rt > 1", [1, 3]),
        ("index >= 12", [2, 3]),
        ("id != 10", [1, 2, 3]),
        ("rt > -1", [0, 1, 3]),
        (np.array([True, False, False, True]), [0, 3]),
        (pd.Series([False, True, False, False]), [1]),
        ([13, 10], [3, 0]),
        (pd.array([True, None, False, True], dtype="boolean"), [0, 3]),
        ([True, None, np.nan, True], [0, 3]),
    ],
)
def test_rows(table, selection, rows):
    assert select_rows(table, selection, "trials", "file").tolist() == rows


@pytest.mark.parametrize(
    "expression",
    [
        "rt.__class__",
        "side.to_csv('{path}')",
        "side.str.contains('l')",
        "__import__('os').system('touch {path}')",
        "@rt > 0",
        "rt > @pd.io.common.os.getpid()",
        "rt[0] > 0",
        "[x for x in rt]",
        "(lambda: rt)() > 0",
        "hit if hit else hit",
        "f'{{rt}}' == side",
        "rt == 9 ** 9 ** 9",
        "rt = 3",
        "side == 'a' * 3000000000",
        "size in 3000000000 * [1]",
        "side == '''\nside.to_csv('{path}')\n'''",
        "side == 'left'\nside.to_csv('{path}')",
        "side == `go cue`.to_csv('{path}')",
        "side == '`' + __import__('os').system('touch {path}') + '`'",
        "`side.to_csv('{path}')`",
        "(" * 500 + "hit" + ")" * 500,
        "hit\0",
        "",
    ],
)
def test_expressions_run_no_code(table, tmp_path, expression):
    path = tmp_path / "written"
    with pytest.raises(ValueError, match="file: trials="):
        select_rows(table, expression.format(path=path), "trials", "file")
    assert not path.exists()


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ("rt > 5", r"file: trials: 'rt > 5' chooses none of the 4 trials"),
        ("speed > 5", r"there is no column 'speed'; there are: 'side', 'rt'"),
        ("`go` > 5", r"between backticks there must be a column; .*'go cue'"),
        ("side > 5", r"cannot be evaluated"),
        ("rt + 1", r"must be true or false for each row"),
        ("1 == 1", r"must be true or false for each row"),
        ([True, False], r"a mask of length 2, but there are 4 trials"),
        ([10, 14], r"there are no ids 14; ids go from 10 to 13"),
        ([[10]], r"got an array of shape \(1, 1\)"),
        ([], r"the selection chooses none"),
        ([False] * 4, r"the selection chooses none"),
    ],
)
def test_selections_that_fail(table, selection, message):
    with pytest.raises(ValueError, match=message):
        select_rows(table, selection, "trials", "file")


def test_ids_of_two_parts():
    """Such as probe and unit: tuples, as xarray has them, or a MultiIndex."""
    ids = [("A", 0), ("A", 1), ("B", 0)]
    for index in (pd.Index(ids, tupleize_cols=False), pd.MultiIndex.from_tuples(ids)):
        table = pd.DataFrame(index=index)
        rows = select_rows(table, [("B", 0), ("A", 1)], "units", "file")
        assert rows.tolist() == [2, 1]
        with pytest.raises(ValueError, match=r"there are no ids \('C', 0\)"):
            select_rows(table, [("C", 0)], "units", "file")


def test_ids_that_are_not_unique():
    table = pd.DataFrame({"x": [1, 2]}, index=[0, 0])
    with pytest.raises(ValueError, match="ids of units are not unique"):
        select_rows(table, [0], "units", "file")
    assert select_rows(table, "x > 1", "units", "file").tolist() == [1]
