"""Which tokens of a trajectory are trained, and with which advantage: token by token, in both of ms-swift's drivers.

The engines are real; only what their model samples is written in a script.
"""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import COMMON, GRPO, LIMITS, ROLLOUT, logged, run_swift
from swift.infer_engine import RequestConfig, TransformersEngine
from swift.infer_engine.protocol import RolloutInferRequest, RolloutOutput
from swift.rl_core.data import GRPOSample
from swift.rlhf_trainers.utils import collate_to_grpo_micro_batch, encode_sample
from swift.rollout import multi_turns, run_multi_turn

import swift_zoomin.register.swift_zoomin_register  # noqa: F401
from swift_zoomin.plugin.turn_credit import advantages_of
from swift_zoomin.records import Record, read_records
from swift_zoomin.rows import records_to_rows

ENGINE = {"model_type": "qwen2_5_vl", "template_type": "zoomin", "torch_dtype": torch.float32}
MAX_TOKENS = 6
ASKED = {"max_tokens": MAX_TOKENS, "temperature": 0, "return_details": True, "logprobs": True}

# Letters of the replies below: words, both end tokens, and two that stand for images.
TOKENS = {"w": "o", "E": "<|im_end|>", "X": "<|endoftext|>", "P": "<|image_pad|>", "V": "<|vision_start|>"}

# Both replies; and for `zoomin` and `zoomin_query2` the advantage of each token: of query 1's rewards (a), of query 2's
# (b), or no loss (-). TransformersEngine strips an X at the end, so there its letter is left out.
CASES = {
    "both replies end": ("wwwE", "wwE", "aaaa bbb", "---- bbb"),
    "the first is cut": ("wwwwww", "", "aaaaaa", "------"),
    "the second is cut": ("wwE", "wwwwww", "aaa bbbbbb", "--- bbbbbb"),
    "the first is empty": ("X", "wwE", "a bbb", "- bbb"),
    "the second is empty": ("wwE", "X", "aaa b", "--- b"),
    "both are empty": ("X", "X", "a b", "- b"),
    "the first holds one image token": ("wPwE", "wwE", "a-aa bbb", "---- bbb"),
    "the first holds several": ("VwPPE", "wwE", "-a--a bbb", "----- bbb"),
    "the second holds one image token": ("wwE", "wPwE", "aaa b-bb", "--- b-bb"),
    "the second holds several": ("wE", "VPwVE", "aa --b-b", "-- --b-b"),
    "the second holds one at its end": ("wE", "wwwwwP", "aa bbbbb-", "-- bbbbb-"),
    "both hold one": ("PE", "PwE", "-a -bb", "-- -bb"),
    "the first is cut and holds one": ("wwPwww", "", "aa-aaa", "------"),
    "the first is cut and holds nothing else": ("PVPVPV", "", "------", "------"),
    "the second is cut and holds nothing else": ("wE", "PPPPPP", "aa ------", "-- ------"),
    "the first ends in the other end token": ("wwX", "wE", "aaa bb", "--- bb"),
    "the second ends in the other end token": ("wE", "wwX", "aa bbb", "-- bbb"),
    "both end in the other end token": ("wwX", "wX", "aaa bb", "--- bb"),
    "an image token and the other end token": ("PX", "wPX", "-a b-b", "-- b-b"),
}
SCHEDULERS = ("zoomin", "zoomin_query2")


def letters(sampled: str, script: str) -> str:
    """The letters, or what is written under them, that TransformersEngine leaves of a reply."""
    return script if sampled == "X" else script[: len(sampled.rstrip("X"))]


@pytest.fixture(scope="module")
def record(benchmark_dir: Path) -> Record:
    return read_records(benchmark_dir / "train/records.jsonl")[0]


class Script:
    """Hangs on the head of a real model and lets it sample what is written, each token with another probability."""

    def __init__(self, engine: TransformersEngine) -> None:
        self.engine = engine
        self.ids = {letter: engine.tokenizer.convert_tokens_to_ids(token) for letter, token in TOKENS.items()}
        self._due: Iterator[str] = iter("")
        self._step = 0
        engine.model.lm_head.register_forward_hook(self._force)

    def _force(self, module: torch.nn.Module, inputs: Any, logits: torch.Tensor) -> torch.Tensor:
        self._step += 1
        forced = torch.zeros_like(logits)
        forced[..., self.ids[next(self._due)]] = 8 + self._step / 10
        return forced

    def infer(self, requests: list[RolloutInferRequest], config: RequestConfig) -> list[RolloutOutput]:
        return [RolloutOutput(response=response) for response in self.engine.infer(requests, config, use_tqdm=False)]

    def roll_out(self, record: Record, scheduler: str, driver: str, replies: str) -> GRPOSample:
        """One trajectory, merged into a sample as the GRPO trainer does."""
        self._due, self._step = iter(replies), 0
        [row] = records_to_rows([record], "query2", LIMITS)
        sample = GRPOSample.from_row({**row, "request_id": "r"})
        request = sample.to_infer_request(include_extra=True)
        config = RequestConfig(**ASKED)
        if driver == "colocated":
            colocated = multi_turns[scheduler](tokenizer=self.engine.tokenizer, template=self.engine.template)
            [output] = run_multi_turn([request], self.infer([request], config), colocated, self.infer, config)
        else:
            output = asyncio.run(multi_turns[scheduler](infer_engine=self.engine).run(request, config))
        assert next(self._due, None) is None
        sample.apply_rollout_output(rollout_output=output)
        return sample


@pytest.fixture(scope="module")
def script(model_dir: Path) -> Script:
    return Script(TransformersEngine(str(model_dir), **ENGINE))


def ids_of(replies: list[str], template: Any) -> list[list[int]]:
    return [[template.tokenizer.convert_tokens_to_ids(TOKENS[letter]) for letter in reply] for reply in replies]


def written(sample: GRPOSample, template: Any) -> tuple[list[str], torch.Tensor, Any]:
    """What a trainer makes of a sample: letters as in CASES, one string a reply; labels; and the batch.

    Raises AssertionError where anything but the sampled ids of a reply is under loss.
    """
    template.set_mode("train")
    sample.encoded = encode_sample(sample, template)
    template.set_mode("transformers")
    ids, labels = list(sample.encoded["input_ids"]), list(sample.encoded["labels"])
    _, batch = collate_to_grpo_micro_batch([sample], template, device=torch.device("cpu"), use_logits_to_keep=True)
    sample.advantages = torch.tensor([-0.25, 0.75])
    mask = batch.completion_mask[0].tolist()
    spread = advantages_of([sample], batch.completion_mask, template)[0].tolist()
    names = ["-ab"[kept * (1 + (value > 0))] for value, kept in zip(spread, mask, strict=True)]
    names = ["-"] * (len(ids) - len(names)) + names
    assert [name != "-" for name in names] == [label != -100 for label in labels]
    assert all(label in (token, -100) for token, label in zip(ids, labels, strict=True))

    start, end = template.tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    role = template.tokenizer.encode("assistant\n")
    found, position = [], 0
    for reply in sample.response_token_ids:
        begins = ids.index(start, position)
        while ids[begins + 1 : begins + 1 + len(role)] != role:
            begins = ids.index(start, begins + 1)
        begins += 1 + len(role)
        assert set(names[position:begins]) <= {"-"}
        position = begins + len(reply)
        blank = template.tokenizer.encode(" ")[0]
        assert ids[begins:position] == [token if template.is_text(token) else blank for token in reply]
        found.append("".join(names[begins:position]))
    assert position == len(ids)
    assert end in ids
    return found, batch.completion_mask[0], batch


def assert_own_log_probabilities(sample: GRPOSample, reported: list[list[float]], mask: torch.Tensor, batch: Any) -> None:
    """Each token under loss has the log probability that its engine reported for it, or none of the sample has one."""
    rolled_out = batch.rollout_per_token_logps
    if rolled_out is not None:
        expected = torch.tensor([value for reply in reported for value in reply])
        assert torch.equal(rolled_out[0][mask], expected)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("driver", ["colocated", "server"])
@pytest.mark.parametrize("case", CASES)
def test_each_sampled_token_is_trained_with_its_querys_advantage_and_nothing_else(
    script: Script, record: Record, scheduler: str, driver: str, case: str
) -> None:
    first, second, of_zoomin, of_query2 = CASES[case]
    replies = [reply for reply in (first, second) if reply]
    sample = script.roll_out(record, scheduler, driver, "".join(replies))
    template = script.engine.template
    expected = (of_zoomin if scheduler == "zoomin" else of_query2).split()
    kept = [letters(reply, reply) for reply in replies]
    assert sample.response_token_ids == ids_of(kept, template)
    assert sample.rollout_infos["num_turns"] == len(replies)
    found, _, batch = written(sample, template)
    assert found == [letters(reply, row) for reply, row in zip(replies, expected, strict=True)]
