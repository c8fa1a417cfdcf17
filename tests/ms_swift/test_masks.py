"""Which tokens of a trajectory are trained, with which advantage and which log probability, token by token.

In both of ms-swift's drivers: that of colocated engines, and the rollout server's. The engines are real; what their
model samples is written in a script.
"""

import asyncio
import json
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import COMMON, GRPO, LIMITS, ROLLOUT, ROOT, checkpoint, logged, run_swift
from rollout_server import RolloutServer
from safetensors.torch import load_file
from scripted_sampling import forced, log_probability
from swift.infer_engine import RequestConfig, TransformersEngine
from swift.infer_engine.protocol import RolloutInferRequest, RolloutOutput
from swift.rl_core.data import GRPOSample
from swift.rlhf_trainers.utils import collate_to_grpo_micro_batch, encode_sample
from swift.rollout import multi_turns, run_multi_turn

import swift_zoomin.register.swift_zoomin_register  # noqa: F401
from swift_zoomin.boxes import PixelLimits
from swift_zoomin.plugin.rewards import REWARDS
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


def scripts(case: str) -> list[str]:
    """The replies of a case, one or two."""
    return [reply for reply in CASES[case][:2] if reply]


def left(reply: str) -> str:
    """What TransformersEngine leaves of a reply: it takes <|endoftext|> for padding."""
    return reply if reply == "X" else reply.rstrip("X")


@pytest.fixture(scope="module")
def record(benchmark_dir: Path) -> Record:
    return read_records(benchmark_dir / "train/records.jsonl")[0]


def request_of(record: Record, limits: PixelLimits) -> tuple[GRPOSample, RolloutInferRequest]:
    """As the GRPO trainer makes them from a row of the dataset."""
    [row] = records_to_rows([record], "query2", limits)
    sample = GRPOSample.from_row({**row, "request_id": "r"})
    return sample, sample.to_infer_request(include_extra=True)


class Scripted:
    """TransformersEngine with a real model whose head says what is written."""

    def __init__(self, model: Path, model_type: str = "qwen2_5_vl") -> None:
        self.engine = TransformersEngine(str(model), **{**ENGINE, "model_type": model_type})
        self.template = self.engine.template
        self._due: Iterator[tuple[int, str]] = iter(())
        self.engine.model.lm_head.register_forward_hook(self._force)

    def _force(self, module: torch.nn.Module, inputs: Any, logits: torch.Tensor) -> torch.Tensor:
        step, letter = next(self._due)
        return forced(logits, self.template.tokenizer.convert_tokens_to_ids(TOKENS[letter]), step)

    def infer(self, requests: list[RolloutInferRequest], config: RequestConfig) -> list[RolloutOutput]:
        return [RolloutOutput(response=response) for response in self.engine.infer(requests, config, use_tqdm=False)]

    def roll_out(self, record: Record, scheduler: str, driver: str, replies: list[str]) -> GRPOSample:
        self._due = enumerate("".join(replies))
        sample, request = request_of(record, self.template.settings.limits)
        config = RequestConfig(**ASKED)
        if driver == "colocated":
            colocated = multi_turns[scheduler](tokenizer=self.engine.tokenizer, template=self.template)
            [output] = run_multi_turn([request], self.infer([request], config), colocated, self.infer, config)
        else:
            output = asyncio.run(multi_turns[scheduler](infer_engine=self.engine).run(request, config))
        assert next(self._due, None) is None
        sample.apply_rollout_output(rollout_output=output)
        return sample


@pytest.fixture(scope="module")
def scripted(model_dir: Path) -> Scripted:
    return Scripted(model_dir)


@pytest.fixture(scope="module")
def scripted_qwen3_vl(qwen3_vl_dir: Path) -> Scripted:
    return Scripted(qwen3_vl_dir, "qwen3_vl")


def ids_of(replies: list[str], template: Any) -> list[list[int]]:
    return [[template.tokenizer.convert_tokens_to_ids(TOKENS[letter]) for letter in reply] for reply in replies]


def collated(samples: list[GRPOSample], template: Any) -> tuple[torch.Tensor, Any]:
    """Input ids and batch, as the GRPO trainer makes them, with turn-level credit."""
    mode = template.mode
    template.set_mode("train")
    for sample in samples:
        sample.encoded = encode_sample(sample, template)
        sample.advantages = torch.tensor([-0.25, 0.75])
    inputs, batch = collate_to_grpo_micro_batch(samples, template, device=torch.device("cpu"), use_logits_to_keep=True)
    template.set_mode(mode)
    batch.advantages = advantages_of(samples, batch.completion_mask, template)
    return inputs["input_ids"], batch


def written(sample: GRPOSample, template: Any) -> str:
    """What is trained of each reply, as CASES writes it.

    Raises AssertionError where anything but a reply is under loss, or where an id is not the one that was sampled.
    """
    [ids], batch = collated([sample], template)
    assert batch.logits_to_keep < len(ids)  # there is no logit for the first token
    mask, spread = batch.completion_mask[0].tolist(), batch.advantages[0].tolist()
    trained = ["-ab"[kept and 1 + (value > 0)] for kept, value in zip(mask, spread, strict=True)]
    trained = ["-"] * (len(ids) - len(trained)) + trained
    blank, *opening = template.tokenizer.encode(" <|im_start|>assistant\n")
    end, words = 0, []
    for reply in sample.response_token_ids:
        begin = next(
            index for index in range(end, len(ids)) if ids[index : index + len(opening)].tolist() == opening
        ) + len(opening)
        assert set(trained[end:begin]) == {"-"}
        end = begin + len(reply)
        assert ids[begin:end].tolist() == [token if template.is_text(token) else blank for token in reply]
        words.append("".join(trained[begin:end]))
    assert end == len(ids)
    return " ".join(words)


def assert_own_log_probabilities(sample: GRPOSample, template: Any, replies: list[str], expected: str) -> None:
    """Each trained token has the log probability of its own step, or none has one where image tokens were sampled."""
    [_], batch = collated([sample], template)
    steps = [
        before + index
        for before, row in zip(accumulate(map(len, replies), initial=0), expected.split(), strict=False)
        for index, letter in enumerate(row)
        if letter != "-"
    ]
    rolled_out = batch.rollout_per_token_logps
    if rolled_out is not None:
        of_steps = torch.tensor([log_probability(step, template.config.text_config.vocab_size) for step in steps])
        assert torch.allclose(rolled_out[0][batch.completion_mask[0]], of_steps, atol=1e-5)
    elif not any(letter in reply for letter in "PV" for reply in replies):
        assert not steps or "X" in replies  # TransformersEngine strips it with its log probability


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("driver", ["colocated", "server"])
@pytest.mark.parametrize("case", CASES)
def test_each_sampled_token_is_trained_with_its_querys_advantage_and_nothing_else(
    scripted: Scripted, record: Record, scheduler: str, driver: str, case: str
) -> None:
    assert_trained_as_written(scripted, record, scheduler, driver, case)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("driver", ["colocated", "server"])
@pytest.mark.parametrize("case", ["both replies end", "both hold one"])
def test_so_it_is_for_qwen3_vl(
    scripted_qwen3_vl: Scripted, record: Record, scheduler: str, driver: str, case: str
) -> None:
    assert_trained_as_written(scripted_qwen3_vl, record, scheduler, driver, case)


def assert_trained_as_written(scripted: Scripted, record: Record, scheduler: str, driver: str, case: str) -> None:
    replies = scripts(case)
    sample = scripted.roll_out(record, scheduler, driver, replies)
    assert sample.response_token_ids == ids_of([left(reply) for reply in replies], scripted.template)
    assert sample.rollout_infos["num_turns"] == len(replies)
    rows = CASES[case][2 + SCHEDULERS.index(scheduler)].split()
    expected = " ".join(row[: len(left(reply))] for reply, row in zip(replies, rows, strict=True))
    assert written(sample, scripted.template) == expected
    assert_own_log_probabilities(sample, scripted.template, replies, expected)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_batch_keeps_each_trajectorys_masks_and_advantages(
    scripted: Scripted, record: Record, scheduler: str
) -> None:
    """Also beside one that trains nothing, for which ms-swift would keep the logits of the whole row and one more."""
    samples = [scripted.roll_out(record, scheduler, "colocated", scripts(case)) for case in CASES]
    ids, batch = collated(samples, scripted.template)
    assert batch.logits_to_keep == batch.completion_mask.shape[1] < ids.shape[1]
    for index, sample in enumerate(samples):
        [alone], own = collated([sample], scripted.template)
        labels = torch.tensor(sample.encoded["labels"])
        whole = torch.zeros(ids.shape[1], dtype=torch.bool)
        whole[-batch.completion_mask.shape[1] :] = batch.completion_mask[index]
        assert torch.equal(whole[: len(alone)], labels != -100)
        assert not whole[len(alone) :].any()
        mine, theirs = batch.advantages[index][batch.completion_mask[index]], own.advantages[0][own.completion_mask[0]]
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    ("reply", "expected", "has_log_probabilities"),
    [  # what is under loss of the one reply of a run without a scheduler
        ("wwwE", "wwwE", True),
        ("wPwE", "w--E", False),  # three of four under loss would get the log probabilities of their neighbours
        ("PwwE", "--wE", False),
        ("wPPE", "w--E", False),
        ("wwwwwP", "wwwww-", True),
        ("PPPPPP", "------", False),
    ],
)
def test_without_a_scheduler_no_token_gets_anothers_log_probability(
    scripted: Scripted, record: Record, reply: str, expected: str, has_log_probabilities: bool
) -> None:
    scripted._due = enumerate(reply)
    sample, request = request_of(record, LIMITS)
    [output] = scripted.infer([request], RequestConfig(**ASKED))
    sample.apply_rollout_output(rollout_output=output)
    assert sample.response_token_ids == ids_of([reply], scripted.template)[0]
    _, batch = collated([sample], scripted.template)
    labels = sample.encoded["labels"][-len(reply) :]
    assert "".join("-" if label == -100 else letter for label, letter in zip(labels, reply, strict=True)) == expected
    rolled_out = batch.rollout_per_token_logps
    assert (rolled_out is not None) == has_log_probabilities
    if rolled_out is not None:
        steps = [index for index, letter in enumerate(expected) if letter != "-"]
        of_steps = torch.tensor(
            [log_probability(index, scripted.template.config.text_config.vocab_size) for index in steps]
        )
        assert torch.allclose(rolled_out[0][batch.completion_mask[0]], of_steps, atol=1e-5)


def test_answers_in_the_prompt_of_another_data_set_are_not_trained(scripted: Scripted) -> None:
    """ms-swift trains every answer of a conversation where a multi-turn scheduler is given."""
    asked, again = ({"role": "user", "content": text} for text in ("What is it?", "Sure?"))
    history = [asked, {"role": "assistant", "content": "A cat."}, again]
    [sampled] = ids_of(["wwE"], scripted.template)
    sample = GRPOSample(
        [*history, {"role": "assistant", "content": sampled}],
        response_token_ids=[sampled],
        response_loss_mask=[[1] * 3],
        rollout_infos={"num_turns": 1},
    )
    assert scripted.template.loss_scale.base_strategy == "default"
    collated([sample], scripted.template)
    assert [label for label in sample.encoded["labels"] if label != -100] == sampled


@pytest.mark.vllm
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_the_rollout_server_gives_each_sampled_token_its_mask(
    scripted: Scripted, record: Record, model_dir: Path, tmp_path: Path, scheduler: str
) -> None:
    """The server's weights have no say either; each request's seed says which script it follows."""
    template = scripted.template
    start = template.tokenizer.convert_tokens_to_ids("<|im_start|>")
    script_file = tmp_path / "script.json"
    replies = [ids_of(scripts(case), template) for case in CASES]
    script_file.write_text(json.dumps({"start": start, "replies": replies}))
    engine = ("--vllm_engine_kwargs", json.dumps({"logits_processors": ["scripted_sampling:ScriptedSampling"]}))
    environment = {"SCRIPT_FILE": str(script_file), "PYTHONPATH": f"{Path(__file__).parent}:{ROOT}"}
    found, due = {}, {}
    with RolloutServer(model_dir, tmp_path / "server", scheduler, more=engine, **environment) as server:
        for seed, case in enumerate(CASES):
            sample, request = request_of(record, LIMITS)
            [output] = server.infer([request], seed=seed, **ASKED)
            sample.apply_rollout_output(rollout_output=output)
            assert sample.response_token_ids == replies[seed]
            assert sample.rollout_infos["num_turns"] == len(replies[seed])
            found[case] = written(sample, template)
            due[case] = CASES[case][2 + SCHEDULERS.index(scheduler)]
            assert_own_log_probabilities(sample, template, scripts(case), due[case])
    assert found == due


@pytest.mark.parametrize("loss_type", ["cispo", "dapo", "fipo"])
def test_a_loss_that_divides_by_no_trained_token_is_refused_where_first_replies_are_not_trained(loss_type: str) -> None:
    """Divided by zero, the gradient is NaN, and then so are all weights."""
    reward = REWARDS["zoomin_accuracy"]
    for scheduler, other in (("zoomin", loss_type), ("zoomin_query2", "grpo"), (None, loss_type)):
        assert reward(args=SimpleNamespace(multi_turn_scheduler=scheduler, loss_type=other))
    with pytest.raises(ValueError, match=f"--loss_type {loss_type} divides by the trained tokens of a step"):
        reward(args=SimpleNamespace(multi_turn_scheduler="zoomin_query2", loss_type=loss_type))


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.swift
def test_a_run_whose_first_replies_are_all_cut_ends_and_teaches_zoomin_query2_nothing(
    model_dir: Path, benchmark_dir: Path, tmp_path: Path
) -> None:
    """Rewards differ, so anything under loss would change the weights; with random weights no reply ends in time."""
    reward = tmp_path / "place.py"
    reward.write_text(
        "from swift.rewards import ORM, orms\n"
        "class Place(ORM):\n"
        "    def __call__(self, completions, **columns):\n"
        "        return [float(at) for at in range(len(completions))]\n"
        "orms['place'] = Place\n"
    )
    for scheduler, is_taught in (("zoomin", True), ("zoomin_query2", False)):
        out = tmp_path / scheduler
        run_swift(
            *(*GRPO, reward, *COMMON, *ROLLOUT, "--model", model_dir, "--reward_funcs", "place", "--output_dir", out),
            *("--dataset", f"{benchmark_dir}/train/records.jsonl:query2", "--multi_turn_scheduler", scheduler),
            *("--max_completion_length", 4, "--max_steps", 2, "--learning_rate", "1e-2", "--beta", 0),
            *("--weight_decay", 0, "--lr_scheduler_type", "constant"),
        )
        steps = logged(out)
        assert [step["completions/clipped_ratio"] for step in steps] == [1, 1]
        assert [step["completions/max_length"] for step in steps] == [4 * is_taught] * 2
        assert [step["reward_std"] > 0 for step in steps] == [True, True]
        before, after = weights_of(model_dir), weights_of(checkpoint(out))
        assert any(not torch.equal(before[name], after[name]) for name in before) == is_taught
