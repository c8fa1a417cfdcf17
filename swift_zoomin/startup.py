"""The start-up hook behind `--custom_register_path swift_zoomin`.

ms-swift 4.5.3 and later take only a file there; earlier ones took a package name, as the paper's toolchain does. A line
in site-packages (`startup.pth`) makes Python ask here when `swift.utils.utils` is imported, and that module's
`import_external_file` then answers to the names in FILES as well. Any other program gets one more entry in
`sys.meta_path`, and nothing more is imported. A checkpoint's args.json keeps the name, so it can be replayed on another
machine.
"""

from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

REGISTER = Path(__file__).parent / "register"
FILES = {
    "swift_zoomin": str(REGISTER / "swift_zoomin_register.py"),
    "swift_zoomin.turn_credit": str(REGISTER / "swift_zoomin_turn_credit.py"),
}


def find_spec(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    """The module's ordinary spec, with one function of the module wrapped after it has run."""
    spec = PathFinder.find_spec(name, path)
    if spec is None or spec.loader is None:
        return spec
    execute = spec.loader.exec_module

    def execute_and_wrap(module: Any) -> None:
        execute(module)
        import_file = module.import_external_file
        module.import_external_file = lambda path: import_file(FILES.get(path, path))

    spec.loader.exec_module = execute_and_wrap  # type: ignore[method-assign]
    return spec
