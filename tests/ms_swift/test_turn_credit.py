"""Turn-level credit: each query's tokens get the advantage of that query's rewards, in tensors of the real trainer."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import COMMON, ROLLOUT, logged, run_swift
from swift.model import get_processor
from swift.rl_core.advantage import compute_advantages
from swift.rl_core.data import GRPOSample
from swift.rlhf_trainers.utils import collate_to_grpo_micro_batch, encode_sample
from swift.template import get_template

import swift_zoomin.register.swift_zoomin_register  # noqa: F401
from swift_zoomin.plugin.template import ZoomInTemplate
from swift_zoomin.plugin.turn_credit import advantages_of, per_token, trained_tokens, whole_sequence_setting


@pytest.mark.parametrize(
    ("mask", "second_reply", "expected"),
    [  # of query 1's advantage a and query 2's b; what lies under no loss does not matter and is shown as -
        ([1, 1, 0, 0, 1, 1, 1], 3, "aa--bbb"),
        ([0, 0, 1, 0, 1, 0, 1], 2, "--a-b-b"),
        ([1, 0, 1, 0, 0, 1, 0], 1, "a-a--b-"),  # a blank within the first reply
        ([0, 0, 0, 0, 1, 1, 0], 2, "----bb-"),  # the first reply is masked
        ([1, 1, 1, 0, 0, 0, 0], 0, "aaa----"),  # one turn
        ([0, 0, 0, 0, 0, 0, 0], 0, "-------"),
    ],
)
def test_the_tokens_of_the_second_reply_get_its_advantage_and_all_others_the_firsts(
    mask: list[int], second_reply: int, expected: str
) -> None:
    by_query = torch.tensor([[5.0, 6.0], [-0.25, 0.75]])
    completion_mask = torch.tensor([[0] * 7, mask], dtype=torch.bool)
    spread = per_token(by_query, [0, second_reply], completion_mask)
    assert spread.shape == completion_mask.shape
    named = {-0.25: "a", 0.75: "b"}
    seen = [named[value] if kept else "-" for value, kept in zip(spread[1].tolist(), mask, strict=True)]
    assert "".join(seen) == expected


@pytest.fixture(scope="module")
def template(model_dir: Path) -> ZoomInTemplate:
    template = get_template(get_processor(str(model_dir), model_type="qwen2_5_vl"), template_type="zoomin")
    template.set_mode("train")
    return template


def message_of(input_ids: torch.Tensor, mask: torch.Tensor, template: ZoomInTemplate) -> torch.Tensor:
    """Which message each of the last tokens stands in, counted from the template's own start marks, which are under no
    loss: after a system message, 3 and 5 are the replies. Of the mask's shape.
    """
    starts = input_ids == template.tokenizer.convert_tokens_to_ids("<|im_start|>")
    starts[:, -mask.shape[1] :] &= ~mask
    return starts.cumsum(1)[:, -mask.shape[1] :]


def test_real_trajectories_are_split_where_their_replies_are(template: ZoomInTemplate) -> None:
    word, end, pad, vision = template.tokenizer.convert_tokens_to_ids(
        [template.tokenizer.tokenize("o")[0], "<|im_end|>", "<|image_pad|>", "<|vision_start|>"]
    )
    first, blanks, second = [word] * 4 + [end], [pad, word, vision, word, pad, end], [word] * 2 + [end]
    samples = [
        GRPOSample(
            [{"role": role, "content": "o"} for _ in sampled for role in ("user", "assistant")],
            response_token_ids=sampled,
            response_loss_mask=mask,
            rollout_infos={"num_turns": len(sampled)},
        )
        for sampled, mask in (
            ([first, second], [[1] * 5, [1] * 3]),
            ([blanks, second], [[1] * 6, [1] * 3]),
            ([first, blanks], [[1] * 5, [1] * 6]),
            ([first, second], [[0] * 5, [1] * 3]),  # zoomin_query2
            ([blanks, second], [[0] * 6, [1] * 3]),
            ([first], [[1] * 5]),
            ([blanks], [[1] * 6]),
            ([first, second], []),  # ms-swift trains all where there is no mask
        )
    ]
    counts = [trained_tokens(sample, template) for sample in samples]
    assert counts == [3, 3, 3, 3, 3, 0, 0, 3]
    for sample in samples:
        sample.encoded = encode_sample(sample, template)
    inputs, batch = collate_to_grpo_micro_batch(samples, template, device=torch.device("cpu"), use_logits_to_keep=True)
    mask = batch.completion_mask
    assert mask.sum(1).tolist() == [8, 6, 8, 3, 3, 5, 3, 8]
    by_query = torch.randn(len(samples), 2)
    spread = per_token(by_query, counts, mask)
    message = message_of(inputs["input_ids"], mask, template)
    assert set(message[mask].tolist()) == {3, 5}
    expected = torch.where(message == 3, by_query[:, :1], by_query[:, 1:])
    assert torch.equal(spread[mask], expected[mask])


# Registers last: its trainer is whatever --custom_register_path has put in place, and writes down what it trains on.
RECORDER = """
import importlib
import torch
from swift.rewards import orms
from swift.trainers import TrainerFactory

module, name = TrainerFactory.TRAINER_MAPPING["grpo"].rsplit(".", 1)
REGISTERED = getattr(importlib.import_module(module), name)
SEEN = []


class Recorder(REGISTERED):
    def _postprocess_batch(self, samples, batch_encoded_inputs):
        super()._postprocess_batch(samples, batch_encoded_inputs)
        batches = [encoded["grpo_batch"] for encoded in batch_encoded_inputs]
        SEEN.append({
            "trainer": REGISTERED.__name__,
            "rewards": self._rewards_per_func,
            "turns": [sample.rollout_infos["num_turns"] for sample in samples],
            "input_ids": [encoded["model_inputs"]["input_ids"] for encoded in batch_encoded_inputs],
            "mask": [batch.completion_mask for batch in batches],
            "advantages": [batch.advantages for batch in batches],
        })
        torch.save(SEEN, f"{self.args.output_dir}/seen{self.accelerator.process_index}.pt")


TrainerFactory.TRAINER_MAPPING["grpo"] = f"{__name__}.Recorder"


class Length:
    def __init__(self, args=None, **kwargs):
        pass

    def __call__(self, completions, **kwargs):
        return [len(completion) / 100 for completion in completions]


class Words(Length):
    def __call__(self, completions, **kwargs):
        return [None if "real" in completion else len(set(completion.split())) / 10 for completion in completions]


orms.update(length=Length, words=Words)
"""
GENERATIONS = 4
ZOOMIN = ["zoomin_format", "zoomin_iou", "zoomin_accuracy", "zoomin_bleu"]
OWN = ["length", "words"]


@pytest.fixture(scope="module")
def train(trained_dir: Path, benchmark_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs three steps of two micro-batches and returns what the trainer saw in each process; some records lack boxes.

    The temperature is high enough for replies that are cut, and for marks of messages and of images within them.
    """
    folder = tmp_path_factory.mktemp("turn_credit")
    (folder / "recorder.py").write_text(RECORDER)
    rows = map(json.loads, (benchmark_dir / "train/records.jsonl").read_text().splitlines())
    data = [{**row, "image": str(benchmark_dir / "train" / row["image"])} for row in rows]
    data[::3] = [{**row, "boxes": None, "box_labels": None} for row in data[::3]]
    (folder / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in data))

    def run(out: str, register: str, rewards: list[str], *more: object, **environment: str) -> list[Any]:
        run_swift(
            *("rlhf", "--rlhf_type", "grpo", "--custom_register_path", register, folder / "recorder.py"),
            *(*COMMON, *ROLLOUT, "--num_generations", GENERATIONS, "--gradient_accumulation_steps", 2),
            *("--model", trained_dir, "--dataset", f"{folder}/records.jsonl:query2", "--max_steps", 3),
            *("--multi_turn_scheduler", "zoomin", "--max_completion_length", 100, "--temperature", 1.5),
            *("--output_dir", folder / out, "--reward_funcs", *rewards, *more),
            **environment,
        )
        assert len(logged(folder / out)) == 3
        return [torch.load(path) for path in sorted((folder / out).glob("seen*.pt"))]

    return run


@pytest.mark.swift
def test_each_query_is_trained_with_the_advantage_of_its_own_rewards(train: Any, template: ZoomInTemplate) -> None:
    weights = torch.tensor([1.0, 2.0, 1.0, 0.5])
    two = {"NPROC_PER_NODE": "2", "ACCELERATE_USE_CPU": "true"}
    more = ("--reward_weights", *weights.tolist(), "--use_cpu", "true", "--ddp_backend", "gloo")
    processes = train("credit", "swift_zoomin.turn_credit", ZOOMIN, *more, **two)
    advantages = []
    for seen in zip(*processes, strict=True):
        rewards = seen[0]["rewards"]
        assert rewards.shape == (4 * GENERATIONS, 4)
        by_query = torch.stack(
            [
                compute_advantages(rewards[:, group], weights[group], GENERATIONS)[0]
                for group in (slice(0, 2), slice(2, 4))
            ],
            1,
        )
        advantages.append(by_query)
        micro_batches = [
            (ids, mask, spread)
            for step in seen
            for ids, mask, spread in zip(step["input_ids"], step["mask"], step["advantages"], strict=True)
        ]
        for (ids, mask, spread), expected in zip(micro_batches, by_query.chunk(4), strict=True):
            message = message_of(ids, mask, template)
            assert set(message[mask].tolist()) <= {3, 5}
            assert torch.equal(spread[mask], torch.where(message == 3, expected[:, :1], expected[:, 1:])[mask])
    of_query1, of_query2 = torch.cat(advantages).unbind(1)
    assert (of_query1 * of_query2).any()
    assert (of_query1 - of_query2).abs().max() > 0.1
    steps = [step for seen in processes for step in seen]
    assert {step["trainer"] for step in steps} == {"TurnCreditTrainer"}
    assert 2 in {turn for step in steps for turn in step["turns"]}
    assert any(step["rewards"].isnan().any() for step in steps)


@pytest.mark.swift
def test_rewards_of_no_query_train_as_ms_swifts_own_trainer_does(train: Any) -> None:
    settings = ("--advantage_estimator", "rloo", "--kl_in_reward", "false", "--scale_rewards", "batch")
    [credit] = train("own_credit", "swift_zoomin.turn_credit", OWN, *settings)
    [plain] = train("own_plain", "swift_zoomin", OWN, *settings)
    assert {step["trainer"] for step in plain} == {"GRPOTrainer"}
    for ours, theirs in zip(credit, plain, strict=True):
        assert torch.equal(ours["rewards"].nan_to_num(-1), theirs["rewards"].nan_to_num(-1))
        for name in ("input_ids", "mask", "advantages"):
            assert all(map(torch.equal, ours[name], theirs[name]))
    assert any(advantages.any() for step in plain for advantages in step["advantages"])


PLAIN = {
    "use_liger_kernel": False,
    "loss_type": "grpo",
    "off_policy_sequence_mask_delta": None,
    "importance_sampling_level": "token",
}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({}, None),
        ({"loss_type": "dapo", "importance_sampling_level": "sequence_token"}, None),
        ({"use_liger_kernel": True}, "--use_liger_kernel true"),
        ({"loss_type": "real"}, "--loss_type real"),
        ({"off_policy_sequence_mask_delta": 0.0}, "--off_policy_sequence_mask_delta 0.0"),
        ({"importance_sampling_level": "sequence"}, "--importance_sampling_level sequence"),
    ],
)
def test_settings_by_which_a_sequence_has_one_advantage_are_named(changed: dict[str, Any], named: str | None) -> None:
    assert whole_sequence_setting(SimpleNamespace(**{**PLAIN, **changed})) == named


def test_advantages_are_moved_to_the_masks_device_before_they_are_stacked(template: ZoomInTemplate) -> None:
    """As sequence parallelism brings them: each sample's from its own process's device."""
    samples = [GRPOSample([], rollout_infos={"num_turns": 1}) for _ in range(2)]
    for sample, device in zip(samples, ("cpu", "meta"), strict=True):
        sample.advantages = torch.zeros(2, device=device)
    mask = torch.ones(2, 3, dtype=torch.bool, device="meta")
    assert advantages_of(samples, mask, template).device.type == "meta"


@pytest.mark.swift
@pytest.mark.parametrize(
    ("more", "refusal"),
    [
        ([], "needs --template zoomin and --multi_turn_scheduler zoomin"),
        (
            ["--multi_turn_scheduler", "zoomin", "--kl_in_reward", "true"],
            "knows neither --kl_in_reward nor teacher models",
        ),
        (["--multi_turn_scheduler", "gym_scheduler"], "needs --template zoomin and --multi_turn_scheduler zoomin"),
        (
            ["--multi_turn_scheduler", "zoomin", "--importance_sampling_level", "sequence"],
            "cannot be used with --importance_sampling_level sequence",
        ),
    ],
)
def test_settings_that_cannot_be_split_are_refused(
    trained_dir: Path, benchmark_dir: Path, tmp_path: Path, more: list[str], refusal: str
) -> None:
    printed = run_swift(
        *("rlhf", "--rlhf_type", "grpo", "--custom_register_path", "swift_zoomin.turn_credit", *COMMON, *ROLLOUT),
        *("--model", trained_dir, "--dataset", f"{benchmark_dir}/train/records.jsonl:query2", "--output_dir", tmp_path),
        *("--reward_funcs", "zoomin_iou", *more),
        fails=True,
    )
    assert f"ValueError: swift_zoomin.turn_credit {refusal}" in printed
