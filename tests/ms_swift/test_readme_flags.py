"""The training commands of the READMEs, read by ms-swift's own parser."""

import importlib.util
import socket
from pathlib import Path

import pytest
from documented import TRAINING
from swift.arguments import RLHFArguments, SftArguments
from swift.utils import parse_args


def replaced(arguments: list[str], **values: object) -> list[str]:
    """The same command line with some options' values replaced by local ones."""
    result = list(arguments)
    for name, value in values.items():
        result[result.index(f"--{name}") + 1] = str(value)
    return result


@pytest.mark.parametrize(("stage", "command"), TRAINING)
def test_every_flag_of_a_training_command_is_known_to_ms_swift(
    stage: str,
    command: list[str],
    model_dir: Path,
    benchmark_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:  # ms-swift starts a group of one where vLLM rolls out
        monkeypatch.setenv("MASTER_PORT", str(free.getsockname()[1]))
    arguments = command[2:]
    purpose = arguments[arguments.index("--dataset") + 1].split(":")[1]
    data = f"{benchmark_dir}/train/records.jsonl:{purpose}"
    # Half precision needs a GPU already to be parsed.
    arguments = replaced(arguments, model=model_dir, dataset=data, output_dir=tmp_path, torch_dtype="float32")
    if importlib.util.find_spec("deepspeed") is None:  # part of the GPU stack
        place = arguments.index("--deepspeed")
        del arguments[place : place + 2]
    kind = SftArguments if command[1] == "sft" else RLHFArguments
    if command[1] == "rlhf":  # one process here, not four: two generations need two steps
        arguments += ["--steps_per_generation", "2"]
    parsed, unknown = parse_args(kind, [*arguments, "--model_type", "qwen2_5_vl", "--check_model", "false"])
    assert unknown == []
    assert parsed.template == "zoomin"
    assert not parsed.freeze_vit
    assert not parsed.freeze_aligner
