"""The start-up hook: it makes the package's name work in a wheel install, costs next to nothing, and can be removed."""

import importlib.util
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from conftest import ROOT

from swift_zoomin.startup import FILES, find_spec

REGISTERED = """
import sys
from types import SimpleNamespace
from swift.utils import import_external_file
import_external_file(sys.argv[1])
from swift.dataset import DATASET_MAPPING
from swift.rewards import orms
from swift.rollout import multi_turns
from swift.template import TEMPLATE_MAPPING
from swift.trainers import TrainerFactory
import swift_zoomin
assert {"zoomin_format", "zoomin_iou", "zoomin_accuracy", "zoomin_bleu", "zoomin_accuracy_query1"} <= set(orms)
assert {"zoomin", "zoomin_query2"} <= set(multi_turns)
assert "zoomin" in TEMPLATE_MAPPING and "records.jsonl" in DATASET_MAPPING and "records.parquet" in DATASET_MAPPING
assert {"zoomin_iou_unique", "zoomin_iou_f1", "zoomin_iou_union"} <= set(orms)
assert TrainerFactory.get_trainer_cls(SimpleNamespace(rlhf_type="grpo")).__name__ == sys.argv[2]
print(swift_zoomin.__file__)
"""
NAMES = {"swift_zoomin": "GRPOTrainer", "swift_zoomin.turn_credit": "TurnCreditTrainer"}  # and whose trainer runs


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Error processing line" not in done.stderr  # what Python says of a broken .pth file
    return done.stdout


@pytest.mark.swift
def test_a_wheel_answers_to_its_names_and_goes_away_whole(tmp_path: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, ROOT, cwd=tmp_path)
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env/bin/python"
    home = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip())
    # The other packages come from this environment, as paths: its own .pth files are not read again.
    here = sysconfig.get_path("purelib")
    schemas = "import torchvision_schemas\n" if (Path(here) / "torchvision_schemas.py").exists() else ""
    (home / "others.pth").write_text(f"{here}\n{schemas}")
    [wheel] = tmp_path.glob("*.whl")
    run(*pip, "--python", python, "install", "--no-deps", wheel, cwd=tmp_path)
    assert (home / "swift_zoomin/py.typed").exists()  # other people's type checkers read our annotations
    assert (home / "swift_zoomin/annotation/page/review.html").exists()
    empty = tmp_path / "empty"
    empty.mkdir()
    for name, trainer in NAMES.items():
        assert run(python, "-c", REGISTERED, name, trainer, cwd=empty).splitlines()[-1].startswith(str(home))
    run(*pip, "--python", python, "uninstall", "--yes", "swift-zoomin", cwd=tmp_path)
    assert not list(home.glob("*swift_zoomin*"))
    run(python, "-c", "pass", cwd=empty)


def test_other_programs_pay_under_two_milliseconds_and_import_nothing(tmp_path: Path) -> None:
    line = (ROOT / "swift_zoomin/startup.pth").read_text()
    measure = f"import sys, time; start = time.perf_counter(); exec({line!r}); print(time.perf_counter() - start)"
    seconds = min(float(run(sys.executable, "-c", measure, cwd=tmp_path)) for _ in range(5))
    assert seconds < 0.002
    loaded = run(sys.executable, "-c", "import sys; print(*sys.modules)", cwd=tmp_path).split()
    assert not {"swift", "torch", "swift_zoomin", "pathlib"} & set(loaded)


def test_a_name_that_is_not_ours_means_to_ms_swift_what_it_meant(tmp_path: Path) -> None:
    (tmp_path / "stand_in.py").write_text("import_external_file = lambda path: f'imported {path}'\n")
    spec = find_spec("stand_in", [str(tmp_path)])
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for theirs in (str(tmp_path / "my_plugin.py"), "my_plugin.py", "swift_zoomin.py", "", "swift_zoomin.other"):
        assert module.import_external_file(theirs) == f"imported {theirs}"
    for ours, file in FILES.items():
        assert module.import_external_file(ours) == f"imported {file}"
        assert Path(file).is_file()


def test_a_module_that_is_not_there_is_not_there_with_the_hook_either(tmp_path: Path) -> None:
    assert find_spec("swift_zoomin_absent", [str(tmp_path)]) is None
