"""Beside `swift_zoomin` on `--custom_register_path`: lets accelerate take two CPU processes for DeepSpeed's.

accelerate knows CPUs only with `use_cpu`, and with that no DeepSpeed. Its `PartialState` asks `_prepare_backend` for a
backend, and everything after that is DeepSpeed's own. ACCELERATE_TORCH_DEVICE=cpu and DS_ACCELERATOR=cpu say the rest.
"""

from importlib import import_module
from typing import Any

import deepspeed
from accelerate.state import DistributedType, PartialState


def prepare_backend(state: PartialState, *args: Any, **kwargs: Any) -> tuple[str, DistributedType]:
    return "gloo", DistributedType.MULTI_CPU


PartialState._prepare_backend = prepare_backend
# A faster sum within one machine, which would take minutes to compile. The module is shadowed by torch itself.
import_module("deepspeed.comm.torch").build_shm_op = lambda: None
deepspeed.init_distributed(dist_backend="gloo", auto_mpi_discovery=False)
