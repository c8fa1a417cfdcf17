"""vLLM samples what is written, through its own interface for logits processors; it runs in the engine's process.

The file that SCRIPT_FILE names holds all scripts, `[[ids of the first reply, ids of the second], ...]`; a request's
seed says which one it follows. The weights have no say.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor


def forced(logits: torch.Tensor, token: int, step: int) -> torch.Tensor:
    """Logits that leave no doubt about the token, and give another log probability at each step."""
    only = torch.zeros_like(logits)
    only[..., token] = 8 + step / 10
    return only


def log_probability(step: int, words: int) -> float:
    """Of the token that `forced` chose, among so many."""
    return float(torch.zeros(words).index_fill(0, torch.tensor([0]), 8 + step / 10).log_softmax(0)[0])


class ScriptedSampling(AdapterLogitsProcessor):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.script = json.loads(Path(os.environ["SCRIPT_FILE"]).read_text())

    def is_argmax_invariant(self) -> bool:
        return False

    def new_req_logits_processor(self, params: Any) -> Callable[..., torch.Tensor]:
        replies = self.script["replies"][params.seed]

        def force(prompt: list[int], sampled: list[int], logits: torch.Tensor) -> torch.Tensor:
            is_second = prompt.count(self.script["start"]) > 3  # system, user, assistant: so many begin before query 1
            step = len(sampled) + (len(replies[0]) if is_second else 0)
            return forced(logits, replies[is_second][len(sampled)], step)

        return force
