"""Shared ground: a tiny real model, a small benchmark, and ms-swift commands run as a user runs them."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from browser import chromium, open_page  # noqa: F401  fixtures of the tests that open pages
from zoomin_command import zoomin_command

from swift_zoomin.boxes import PixelLimits
from swift_zoomin.checkpoints import Settings
from swift_zoomin.families import QWEN2_5_VL

ROOT = Path(__file__).parent.parent
FIRST_LOOK_PIXELS = "12544"  # 112 x 112, as in the sandbox
LIMITS = PixelLimits(4 * 28 * 28, int(FIRST_LOOK_PIXELS), QWEN2_5_VL)  # of the tiny model, under that MAX_PIXELS
_cache = tempfile.TemporaryDirectory(prefix="zoomin-tests-")  # removed with this process
os.environ["XDG_CACHE_HOME"] = _cache.name  # no test leaves anything in the user's own
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
VLLM_MEMORY_SHARE = 0.2  # of the machine's, which must be free when vLLM starts; other tests run beside
os.environ["MAX_PIXELS"] = FIRST_LOOK_PIXELS
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"  # tiny matrices gain nothing from threads

# What the commands of the mission need besides: model, data and steps.
COMMON = [
    *("--model_type", "qwen2_5_vl", "--template", "zoomin", "--tuner_type", "full", "--freeze_vit", "false"),
    *("--freeze_aligner", "false", "--torch_dtype", "float32", "--check_model", "false", "--report_to", "none"),
    *(
        "--add_version",
        "false",
        "--logging_steps",
        "1",
        "--save_only_model",
        "true",
        "--gradient_checkpointing",
        "false",
    ),
]
SFT = ["sft", "--custom_register_path", "swift_zoomin"]
GRPO = ["rlhf", "--rlhf_type", "grpo", "--custom_register_path", "swift_zoomin"]
ROLLOUT = ["--use_vllm", "false", "--num_generations", "2", "--per_device_train_batch_size", "4"]


def engine_module(engine: type, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """For sys.modules: `swift_zoomin.detection.engine` with this engine, and a hub that has every model."""

    def download(model: str) -> Path:
        folder = tmp_path_factory.mktemp("hub") / Path(model).name
        folder.mkdir()
        (folder / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
        return folder

    return SimpleNamespace(SwiftEngine=engine, download=download)


@contextmanager
def trainer_of(limits: PixelLimits) -> Iterator[None]:
    """As where a model with these limits is trained: what the rewards compare a rollout with."""
    template = SimpleNamespace(settings=Settings(limits))
    with pytest.MonkeyPatch.context() as patch:
        for module in ("rollout_settings", "template"):
            patch.setattr(f"swift_zoomin.plugin.{module}.current_template", lambda: template)
        yield


def child_environment(**changes: str) -> dict[str, str]:
    """This environment, changed, and without what running ms-swift in this process leaves in it.

    That is what it derives from MAX_PIXELS, and a process group's names and port.
    """
    left = ("_TOKEN_NUM", "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "NPROC_PER_NODE")
    kept = {name: value for name, value in os.environ.items() if not name.endswith(left)}
    return {**kept, **changes}


def run_swift(
    *arguments: object, cwd: Path = ROOT, fails: bool = False, unset: Sequence[str] = (), **environment: str
) -> str:
    """Run one `swift` command in a process of its own, without the variables `unset`, and return what it printed."""
    variables = child_environment(**environment)
    for name in unset:
        del variables[name]
    command = [str(Path(sys.executable).parent / "swift"), *map(str, arguments)]
    done = subprocess.run(
        command,
        cwd=cwd,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert (done.returncode != 0) == fails, done.stdout[-6000:]
    return done.stdout


def logged(output_dir: Path) -> list[dict]:
    """The metrics that ms-swift logged, one dictionary a step."""
    lines = map(json.loads, (output_dir / "logging.jsonl").read_text().splitlines())
    return [line for line in lines if "loss" in line]


def checkpoint(output_dir: Path) -> Path:
    return max(output_dir.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))


def run_example(script: str, *arguments: object) -> None:
    subprocess.run([sys.executable, str(ROOT / "examples" / script), *map(str, arguments)], check=True)


# Fixtures that import or run ms-swift, or what comes with it.
NEED_MS_SWIFT = {"model_dir", "qwen3_vl_dir", "processor", "sft_dir"}


@pytest.hookimpl(tryfirst=True)  # before tests are left out by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What lies in ms_swift/ or asks for a model is no unit test."""
    for item in items:
        if "ms_swift" in item.path.parts or NEED_MS_SWIFT & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.swift)


@pytest.fixture
def zoomin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    return zoomin_command(monkeypatch, capsys)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    from scripted_commands import scripted_engine  # which takes its module from here

    return scripted_engine(monkeypatch, tmp_path_factory)


@pytest.fixture(scope="session")
def benchmark_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("benchmark")
    run_example("make_benchmark.py", folder, "--train", 32, "--test", 8)
    return folder


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights."""
    folder = tmp_path_factory.mktemp("model")
    run_example("make_model.py", folder)
    return folder


@pytest.fixture(scope="session")
def qwen3_vl_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the other family that there is a tiny model of."""
    folder = tmp_path_factory.mktemp("qwen3_vl")
    run_example("make_model.py", folder, "--family", "qwen3_vl")
    return folder


@pytest.fixture(scope="session")
def processor(model_dir: Path) -> Any:
    """The tiny model's, as ms-swift loads it; imported here, for unit tests never need ms-swift."""
    from swift.model import get_processor

    return get_processor(str(model_dir), model_type="qwen2_5_vl")


@pytest.fixture(scope="session")
def sft_dir(model_dir: Path, benchmark_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output of the mission's SFT command, run from the repository root until the model knows the form of a reply."""
    folder = tmp_path_factory.mktemp("sft")
    data = f"{benchmark_dir}/train/records.jsonl:sft"
    run_swift(
        *(*SFT, *COMMON, "--model", model_dir, "--dataset", data, "--output_dir", folder),
        *("--max_steps", 120, "--per_device_train_batch_size", 16, "--learning_rate", "2e-3"),
        *("--lr_scheduler_type", "constant"),
    )
    return folder


@pytest.fixture(scope="session")
def trained_dir(sft_dir: Path) -> Path:
    return checkpoint(sft_dir)
