"""Rooms import downward only: read from the source, wherever in it an import stands."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "sklearn_jedi"
# Each room, and those that it may import from besides itself.
FLOORS = ["_utils", "_networks", "_data", "_engine", "_training", "_models"]
ROOMS = {
    **{room: FLOORS[:floor] for floor, room in enumerate(FLOORS)},
    "_estimators": FLOORS,
    "analysis": ["_networks", "_utils", "_data"],
    "baselines": ["_data", "_utils"],
    "datasets": ["_networks", "_utils"],
    "io": ["_data", "_utils"],
    "metrics": ["analysis", "_networks", "_utils", "_data"],
    "plotting": ["analysis", "_networks", "_utils", "_data"],
    "preprocessing": ["_data", "_utils"],
}
ROOMS["report"] = [*ROOMS, "sklearn_jedi"]


def imports(path):
    """Lines of a file, and the rooms that they import from."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            names = [node.module]
            if node.module == "sklearn_jedi":
                names = [f"sklearn_jedi.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            room = rest.partition(".")[0]
            if package == "sklearn_jedi":  # its own names come from the top floors
                yield node.lineno, room if room in ROOMS else "sklearn_jedi"


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_downward(room):
    upward = [
        f"{path.relative_to(PACKAGE.parent)}:{line}: {room} may not import {other}"
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for line, other in imports(path)
        if other != room and other not in ROOMS[room]
    ]
    assert upward == []


def test_every_room_has_its_floor_and_no_module_lies_outside():
    inside = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert inside == {*ROOMS, "__init__.py", "py.typed"}
    opened = {room for _, room in imports(PACKAGE / "__init__.py")}
    assert opened == {"_estimators", "_networks"}
