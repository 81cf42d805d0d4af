"""The plan of the house: no circle of imports, no arrow upwards, rooms with a purpose, no twin names."""

import ast
from collections import Counter
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("socratic_env", "agents", "envs_registry")
FLOORS = (
    ("types", "errors", "loops", "numbers", "plugins", "terminal"),
    ("verifiers", "rewards"),
    ("dialogue",),
    ("protocols", "records", "leakage", "models", "viewpoints"),
    ("questions", "traces", "teachers", "students"),
    ("engine", "reflection"),
    ("envs", "multi_agent"),
    ("evaluation",),
    ("checks", "adapters", "cli"),
)
"""Rooms of the core, from the ground up: each knows those below it, and its own floor's only one way."""


def modules() -> dict[str, Path]:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    named = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files}
    return {name.removesuffix(".__init__"): path for name, path in named.items()}


def imports(name: str, path: Path, known: dict[str, Path], everywhere: bool) -> set[str]:
    """What a module imports of the project: at its top, or anywhere in it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if everywhere else iter(tree.body)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    exact = {one for one in found if one in known}
    # `from package import module` means the module, not all that the package's front exports.
    inner = {one.rpartition(".")[0] for one in exact}
    return {one for one in exact if one != name and not (one in inner and path.name != "__init__.py")}


def room(module: str) -> str:
    """The folder of a module, or the module itself where it stands at the top."""
    return ".".join(module.split(".")[:2])


def test_no_import_runs_in_a_circle():
    known = modules()
    graph = {name: imports(name, path, known, everywhere=False) for name, path in known.items()}
    # A package's front imports its own modules, which may be imported through it.
    graph = {name: {one for one in found if not name.startswith(f"{one}.")} for name, found in graph.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other: {' -> '.join(error.args[1])}")


def test_no_import_runs_upwards():
    known = modules()
    floor = {f"socratic_env.{name}": level for level, names in enumerate(FLOORS) for name in names}
    rooms = {room(name) for name in known if name.startswith("socratic_env.")}
    assert rooms == set(floor), "give a new room its floor above, and its line in docs/layout.md"
    for name, path in known.items():
        if name == "socratic_env":
            continue  # the front exports from all floors
        for other in imports(name, path, known, everywhere=True):
            assert not (name.startswith(("socratic_env", "envs_registry")) and other.startswith("agents"))
            if room(name) in floor and room(other) in floor:
                assert floor[room(other)] <= floor[room(name)], f"{name} imports {other}, which is above it"


def test_rooms_of_one_floor_know_each_other_one_way_only():
    known = modules()
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        if name.count(".") and not name.startswith("envs_registry"):
            others = {room(other) for other in imports(name, path, known, everywhere=True)}
            graph.setdefault(room(name), set()).update(others - {room(name), "socratic_env", "agents"})
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"rooms import each other: {' -> '.join(error.args[1])}")


def test_no_two_modules_have_one_name():
    names = Counter(path.name for path in modules().values())
    del names["__init__.py"]
    del names["__main__.py"]
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("package", ["socratic_env", "agents"])
def test_the_top_is_small_and_every_room_says_what_it_is_for(package):
    top = [path for path in (ROOT / package).glob("*.py") if path.name != "__init__.py"]
    assert len(top) <= 12, "a newcomer has to tell these apart at once; put parts into rooms"
    page = (ROOT / "docs" / "layout.md").read_text(encoding="utf-8")
    for front in (ROOT / package).glob("*/__init__.py"):
        purpose = ast.get_docstring(ast.parse(front.read_text(encoding="utf-8")))
        assert purpose, f"{front.parent.name} does not say what it is for"
        assert f"`{front.parent.name}/`" in page, f"docs/layout.md leaves out {front.parent.name}/"
