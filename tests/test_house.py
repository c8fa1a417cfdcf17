"""Who may import whom, and how long functions and files may be, read from the code itself.

The core stands in `swift_zoomin/*.py`. `plugin/` is what ms-swift calls, and every other room is a wing, entered only
through a command. An import inside a function counts like one at the head of its module.
"""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "swift_zoomin"
ROOMS_OF_MS_SWIFT = {"plugin", "detection", "register"}
# `cli` is a wing of a single file. `served` is what two wings share, and imports neither.
# `startup` wraps a function of ms-swift without importing it.
WINGS = {
    *("served", "annotation", "splitting", "detection", "convert", "evaluation", "checking", "cli"),
    *("report", "probing", "attention", "demo"),
}
ALLOWED_BETWEEN_ROOMS = {
    ("detection", "plugin"),
    ("register", "plugin"),
    ("annotation", "served"),
    ("detection", "served"),
    ("detection", "report"),
    ("attention", "detection"),
    *(("demo", other) for other in ("detection", "report", "attention", "probing", "served")),
    ("probing", "detection"),
}
HEAVY = {"torch", "swift", "vllm", "transformers", "datasets", "sklearn", "peft", "trl", "deepspeed"}
TRAINING_STACK = HEAVY - {"sklearn"}
LONGEST_FUNCTION, LONGEST_FILE = 45, 400  # lines


UNIT_TESTS = [file for file in sorted((ROOT / "tests").rglob("test_*.py")) if file.parent.name != "ms_swift"]


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def room_of(module: str) -> str:
    """ "core", or the name of the folder or of the wing of one file that a module belongs to."""
    parts = module.split(".")
    if len(parts) > 1 and (parts[1] in WINGS or (PACKAGE / parts[1]).is_dir()):
        return parts[1]
    return "core"


def imports_of(source: str) -> set[str]:
    """All modules that a source text imports, wherever in it, with `import_module` of a literal too.

    Of `from a.b import c` both `a.b` and `a.b.c`, of which only one may be a module.
    """
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "a relative import"
            assert node.level == 0, "a relative import"
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            found |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return found


def own_imports() -> dict[str, set[str]]:
    """For each module of the package, the modules of the package that it imports."""
    return {name: imports_of(file.read_text()) & MODULES.keys() for name, file in MODULES.items()}


def test_only_three_rooms_import_ms_swift() -> None:
    clients = {
        name
        for name, file in MODULES.items()
        if any(imported == "swift" or imported.startswith("swift.") for imported in imports_of(file.read_text()))
    }
    assert {room_of(name) for name in clients} <= ROOMS_OF_MS_SWIFT
    assert clients, "nothing was read"


def test_neither_the_core_nor_the_plugin_imports_a_wing() -> None:
    for name, imported in own_imports().items():
        if room_of(name) in ("core", "plugin", "register"):
            assert not {room_of(other) for other in imported} & WINGS, name
        if room_of(name) == "core":
            assert {room_of(other) for other in imported} <= {"core"}, name


def test_wings_meet_only_through_files() -> None:
    for name, imported in own_imports().items():
        room = room_of(name)
        for other in {room_of(other) for other in imported} - {room, "core"}:
            assert (room, other) in ALLOWED_BETWEEN_ROOMS, f"{name} imports from {other}"


def test_no_import_leads_back_to_where_it_began() -> None:
    graph = own_imports()
    for name, imported in graph.items():
        # A package's head runs before its modules, and may name them: what it imports is no climb of theirs.
        graph[name] = {other for other in imported if other != name and not name.startswith(f"{other}.")}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError, which names the modules
    assert set(order) >= set(graph)


def test_importing_the_core_loads_nothing_heavy() -> None:
    core = [name for name in MODULES if room_of(name) == "core"]
    assert len(core) > 15
    code = f"import sys, {', '.join(core)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(core) <= set(loaded)
    assert not HEAVY & set(loaded)


@pytest.mark.slow
def test_a_wing_without_ms_swift_loads_nothing_heavy_either() -> None:
    wings = [name for name in MODULES if room_of(name) in WINGS and name != "swift_zoomin.detection.engine"]
    code = f"import sys, {', '.join(wings)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)


def own_modules() -> dict[str, Path]:
    """The package's modules, and those that examples and tests import by their file's name alone."""
    loose = {file.stem: file for folder in ("examples", "tests") for file in (ROOT / folder).rglob("*.py")}
    return {**MODULES, **loose}


@cache
def imports_of_head(file: Path) -> frozenset[str]:
    """What importing a module imports: functions and classes are left out, as they run later."""
    tree = ast.parse(file.read_text())
    tree.body = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return frozenset(imports_of(ast.unparse(tree)))


def loaded_by(file: Path) -> set[str]:
    """What the unit tests of a file import, and what the heads of our own modules among that import in turn."""
    own = own_modules()
    source = file.read_text()
    # A file that is marked as a whole is imported, but none of its tests is a unit test.
    found = set(imports_of_head(file)) if "\npytestmark = " in source else imports_of(source)
    loaded: set[str] = set()
    while found:
        name = found.pop()
        loaded.add(name)
        if name in own:
            found |= imports_of_head(own[name]) - loaded
    return loaded


@pytest.mark.slow
@pytest.mark.parametrize("file", UNIT_TESTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_unit_test_loads_neither_ms_swift_nor_torch(file: Path) -> None:
    """Loading them takes longer than all unit tests; test.sh leaves out the folder of those that do."""
    assert not {name.split(".")[0] for name in loaded_by(file)} & TRAINING_STACK


FOLDERS = ("swift_zoomin", "tests", "examples", "shell")
FILES = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_function_fits_in_the_eye_and_a_file_in_one_reading(file: Path) -> None:
    source = file.read_text()
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    }
    assert not long
    assert len(source.splitlines()) <= LONGEST_FILE


def test_imports_are_seen_wherever_they_stand() -> None:
    source = "import a.b\ndef f():\n    from c import d\n    import_module('e')\nif x:\n    import g as h\n"
    assert imports_of(source) == {"a.b", "c", "c.d", "e", "g"}
