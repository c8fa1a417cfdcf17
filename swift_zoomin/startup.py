"""The start-up hook behind `--custom_register_path swift_zoomin`.

ms-swift 4.5.3 and later take only a file there; earlier ones took a package name, as the paper's toolchain does. A
line in site-packages (`startup.pth`) imports this module whenever Python starts. It waits for `swift.utils.utils`, and
lets that module's `import_external_file` answer to the package's name as well. Any other program sees one more entry in
`sys.meta_path`. A checkpoint's args.json keeps the name, so it can be replayed on another machine.
"""

import sys

_WAITED_FOR = "swift.utils.utils"


class _Hook:
    @staticmethod
    def find_spec(name, path=None, target=None):  # type: ignore[no-untyped-def]
        if name != _WAITED_FOR:
            return None
        sys.meta_path.remove(_Hook)
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path, target)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def exec_module(module):  # type: ignore[no-untyped-def]
                execute(module)
                _answer_to_our_name(module)

            spec.loader.exec_module = exec_module
        return spec


def _answer_to_our_name(module):  # type: ignore[no-untyped-def]
    import_file = module.import_external_file

    def import_external_file(file_path: str):  # type: ignore[no-untyped-def]
        if file_path == "swift_zoomin":
            from pathlib import Path

            file_path = str(Path(__file__).parent / "register" / "swift_zoomin_register.py")
        return import_file(file_path)

    module.import_external_file = import_external_file


sys.meta_path.insert(0, _Hook)
