"""Parse swift commands with ms-swift's own argument classes, as the first of many processes would; start none.

Reads JSON lines {"processes": 4, "command": ["swift", "sft"]} and prints for each {"unknown": [...], "error": null,
"batch": 4}: what ms-swift does not know, what it refuses, the rows of a step, or the replies of a rollout, over all
processes, for which torch's fake process group stands.
"""

import importlib.util
import json
import os
import socket
import sys
from typing import Any

import torch.distributed
from accelerate import PartialState
from swift.arguments import RLHFArguments, RolloutArguments, SftArguments, deploy_args
from swift.utils import parse_args
from torch.testing._internal.distributed.fake_pg import FakeStore

KINDS = {"sft": SftArguments, "rlhf": RLHFArguments, "rollout": RolloutArguments}


def without(arguments: list[str], *names: str) -> list[str]:
    """The arguments without these options and their values."""
    left, skipping = [], False
    for argument in arguments:
        if argument.startswith("--"):
            skipping = argument in names
        if not skipping:
            left.append(argument)
    return left


def fit(arguments: list[str], processes: int) -> list[str]:
    """The arguments without what this machine lacks: half precision, DeepSpeed, a running rollout server."""
    if not torch.cuda.is_available():
        arguments = [*without(arguments, "--torch_dtype"), "--torch_dtype", "float32"]
        if processes > 1:
            arguments += ["--use_cpu", "true", "--ddp_backend", "gloo"]
    if importlib.util.find_spec("deepspeed") is None:
        arguments = without(arguments, "--deepspeed")
    if "server" in arguments:
        server = [argument for argument in arguments if argument.startswith("--vllm_server")]
        arguments = [*without(arguments, "--use_vllm", "--vllm_mode", *server), "--use_vllm", "false"]
    return arguments


def parse(kind: str, arguments: list[str], processes: int) -> dict[str, Any]:
    if processes > 1:
        torch.distributed.init_process_group("fake", rank=0, world_size=processes, store=FakeStore())
        os.environ |= {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    try:
        parsed, unknown = parse_args(KINDS[kind], fit(arguments, processes))
        training = getattr(parsed, "training_args", None)
        assert training is None or training.world_size == processes
        batch = getattr(training, "generation_batch_size", None) or getattr(training, "train_batch_size", None)
        return {"unknown": unknown, "error": None, "batch": batch}
    except (Exception, SystemExit) as error:  # an argument parser's complaint is a SystemExit
        return {"unknown": [], "error": f"{type(error).__name__}: {error}", "batch": None}
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        if processes > 1:
            for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"):
                del os.environ[name]
        PartialState._reset_state()


with socket.create_server(("127.0.0.1", 0)) as free:  # ms-swift starts a group of one where vLLM rolls out
    os.environ["MASTER_PORT"] = str(free.getsockname()[1])
if not torch.cuda.is_available():
    os.environ["ACCELERATE_USE_CPU"] = "true"
    deploy_args.get_device_count = lambda: 8  # the rollout server counts GPUs already when it parses

if __name__ == "__main__":
    for line in sys.stdin:
        job = json.loads(line)
        print("parsed", json.dumps(parse(job["command"][1], job["command"][2:], job["processes"])))
