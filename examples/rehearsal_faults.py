"""Why a stage of a rehearsal failed, in one line that says what to change.

    diagnose("... torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.63 GiB ...", status=1, stage="sft")
    -> "GPU memory ran out: --deepspeed zero3_offload (32b), a smaller MAX_PIXELS, ... (CUDA out of memory. Tried ...)"

The words that are looked for are those of ms-swift 4.6, vLLM 0.32, DeepSpeed, torch and the system. What none of them
explains is told by the last line of its traceback. It is part of shell/rehearse.sh.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from itertools import pairwise

from packaging.requirements import Requirement

_INSTALL = 'pip install -c constraints-gpu.txt ".[gpu]"'
_SMALLER = "a smaller MAX_PIXELS"


@dataclass(frozen=True)
class Fault:
    """`words`: a pattern of the log's line. `change`: what to do about it."""

    words: str
    change: str


# The first that is found counts: what is particular stands before what is general.
FAULTS = [
    Fault(
        r"is less than desired GPU memory utilization",
        "vLLM is to have more of the GPU than is free: lower --vllm_gpu_memory_utilization, or end what runs there",
    ),
    Fault(
        r"No available memory for the cache blocks",
        "vLLM has no room beside its weights: raise --vllm_gpu_memory_utilization or --vllm_tensor_parallel_size",
    ),
    Fault(
        r"larger than the available KV cache",
        "vLLM's cache is too small for one answer: raise --vllm_gpu_memory_utilization, or lower --vllm_max_model_len",
    ),
    Fault(r"CUDA out of memory|CUDA error: out of memory", "GPU memory ran out: {out_of_memory}"),
    Fault(
        r"driver on your system is too old|no kernel image is available|CUDA driver version is insufficient",
        "this GPU or its driver is too old for the installed torch: a newer driver, or another machine",
    ),
    Fault(
        r"'deepspeed' distribution was not found|No module named 'deepspeed'",
        f"DeepSpeed is missing: {_INSTALL}; a single GPU with LoRA (1gpu) needs none",
    ),
    Fault(r"vLLM is not available", f"vLLM is missing: {_INSTALL}; or --use_vllm false"),
    Fault(
        r"No module named 'vllm\.|(?:ImportError|AttributeError)[^\n]*\bvllm\b",
        f"the installed vLLM is not the one that this ms-swift works with: {_INSTALL}",
    ),
    Fault(
        r"Sleep mode is not supported on current platform",
        "vLLM's CPU build takes no part in a training: --use_vllm false",
    ),
    Fault(
        r"No space left on device|inline_container\.cc:\d+\] \. unexpected pos",  # the latter is torch's
        "the disk is full: set OUT on a larger one (shm: a larger /dev/shm), or --save_only_model true",
    ),
    Fault(
        r"Bus error|insufficient shared memory",
        "/dev/shm is too small: docker run --ipc host, or --shm-size 16g; or --dataloader_num_workers 0",
    ),
    Fault(
        r"(?i)watchdog caught collective operation timeout",
        "NCCL waited in vain for one of the GPUs: look for the first error above it; else NCCL_P2P_DISABLE=1",
    ),
    Fault(
        r"NCCL error|ncclSystemError|ncclUnhandledCudaError|ncclInternalError|NCCL WARN",
        "NCCL cannot join the GPUs: a larger /dev/shm (docker --ipc host), NCCL_P2P_DISABLE=1, or NCCL_SOCKET_IFNAME; "
        "NCCL_DEBUG=INFO says more",
    ),
    Fault(r"(?i)address already in use|EADDRINUSE", "the port is taken: set MASTER_PORT (server: --port) to another"),
    Fault(
        r"ConnectionError|Max retries exceeded|NameResolutionError|Temporary failure in name resolution",
        "the model cannot be downloaded from here: set MODEL to a folder, or RANDOM_WEIGHTS=1",
    ),
]
_BY_STAGE = {
    "sft": f"--deepspeed zero3 or zero3_offload, {_SMALLER}, --per_device_train_batch_size 1",
    "grpo": "--vllm_gpu_memory_utilization lower, --deepspeed zero3_offload, --max_completion_length lower, "
    f"{_SMALLER}, or a rollout server (shell/server)",
    "detect": f"--gpus more, or {_SMALLER}",
}
_KILLED = (-9, 137)
_OWN = re.compile(r"^(?:\w+/\w+\.sh|zoomin|swift_zoomin): (?P<said>.*)|^\S*RecordError: (?P<raised>.*)")
_ERROR = re.compile(r"^(?:\[rank\d+\]: ?)?(?P<said>[\w.]*(?:Error|Exception|Interrupt)\b.*)")
# What a recipe says before it goes on, and what torchrun says of any process that failed.
_NO_REASON = re.compile(r"^\w+/\w+\.sh: going on from |^\S*\bChildFailedError\b")


def diagnose(log: str, status: int, stage: str) -> str:
    """What to change, of a command that printed `log` and ended with `status`."""
    kind = "sft" if stage == "sft" else "detect" if stage == "detect" else "grpo"
    lines = log.splitlines()
    for fault in FAULTS:
        if found := re.search(fault.words, log):
            said = log[: found.end()].count("\n")
            change = fault.change.format(out_of_memory=_BY_STAGE[kind])
            return f"{change} ({_short(lines[said])})"
    if status in _KILLED:
        return (
            "the system killed it, as it does where host memory runs out: --deepspeed zero3 instead of zero3_offload, "
            "--dataloader_num_workers 1, or a machine with more memory"
        )
    return _last_words(lines) or f"it ended with status {status}, and said nothing that is known here"


def _last_words(lines: list[str]) -> str | None:
    """The last line that is an error, or that our own programs said."""
    for line in reversed(lines):
        if _NO_REASON.match(line):
            continue
        if found := _OWN.match(line) or _ERROR.match(line):
            return _short(next(group for group in found.groups() if group is not None))
    return None


def _short(line: str, most: int = 200) -> str:
    line = re.sub(r"\s+", " ", line).strip()
    return line if len(line) <= most else f"{line[:most]}..."


def last_value(command: Sequence[str], flag: str) -> str | None:
    """The value of a flag that counts: its last."""
    return next((value for word, value in reversed(list(pairwise(command))) if word == flag), None)


def wrong_packages(commands: Iterable[Sequence[str]]) -> Iterator[str]:
    """One line for each package that the commands need, and that is missing or of another version than tried."""
    wanted = {"vllm": False, "deepspeed": False}
    for command in commands:
        wanted["vllm"] |= last_value(command, "--use_vllm") == "true" or last_value(command, "--engine") == "vllm"
        wanted["deepspeed"] |= bool(last_value(command, "--deepspeed"))
    known = [Requirement(line) for line in requires("swift-zoomin") or []]
    for name, is_needed in wanted.items():
        (tried,) = [each for each in known if each.name == name]
        if is_needed and (fault := _package_fault(tried)):
            yield f"{fault}: {_INSTALL}"


def _package_fault(tried: Requirement) -> str | None:
    for name in (tried.name, f"{tried.name}-cpu"):
        try:
            found = version(name)
        except PackageNotFoundError:
            continue
        if tried.specifier.contains(found, prereleases=True):
            return None
        return f"{name} {found} is installed, and {tried.specifier} is what was tried with this ms-swift"
    return f"{tried.name} is missing"
