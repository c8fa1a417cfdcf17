"""One exchange: loss exactly where it belongs, whatever is replied."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import LIMITS
from encoded_rows import encode_for_training, labelled, paths
from swift.infer_engine import RequestConfig, TransformersEngine
from swift.infer_engine.protocol import RolloutInferRequest, RolloutOutput
from swift.rl_core.data import OnPolicySample
from swift.rlhf_trainers.utils import encode_sample
from swift.rollout import multi_turns, run_multi_turn

import swift_zoomin.register.swift_zoomin_register  # noqa: F401
from swift_zoomin.records import Record, read_records
from swift_zoomin.rows import records_to_rows

ENGINE = {"model_type": "qwen2_5_vl", "template_type": "zoomin", "torch_dtype": torch.float32}
GREEDY = {"temperature": 0, "return_details": True}


@pytest.fixture(scope="module")
def records(benchmark_dir: Path) -> list[Record]:
    return read_records(benchmark_dir / "train/records.jsonl")


@pytest.fixture(scope="module")
def engine(model_dir: Path) -> TransformersEngine:
    """Of random weights. Loads the processor first, and with it the pixel limits, as every swift command does."""
    return TransformersEngine(str(model_dir), **ENGINE)


@pytest.fixture(scope="module")
def trained_engine(trained_dir: Path) -> TransformersEngine:
    """Of a model whose replies come to their end."""
    return TransformersEngine(str(trained_dir), **ENGINE)


@pytest.mark.parametrize("purpose", ["explain", "ground", "verdict"])
def test_a_one_turn_variant_trains_its_one_answer(
    engine: TransformersEngine, records: list[Record], purpose: str
) -> None:
    [row] = records_to_rows(records[:1], purpose, LIMITS)
    question, answer = (message["content"] for message in row["messages"])
    for part, purposes in (
        ("explanation", "explain ground"),
        ("regions", "ground"),
        ("verdict", "explain ground verdict"),
    ):
        assert (f"<{part}>" in answer) == (f"<{part}>" in question) == (purpose in purposes)
    assert labelled(encode_for_training(engine, row), engine.tokenizer) == [answer + "<|im_end|>\n"]


def test_the_untrained_first_reply_is_wrong_as_often_as_right(records: list[Record]) -> None:
    rows = records_to_rows(records, "sft", LIMITS)[1::2]
    right = sum(f"<verdict>{row['label']}</verdict>" in row["messages"][1]["content"] for row in rows)
    assert 8 <= right <= 24  # 32 fair draws: outside with probability 0.002
    assert rows == records_to_rows(records, "sft", LIMITS)[1::2]  # the draw hangs on the record alone


def roll_out(engine: TransformersEngine, record: Record, scheduler_name: str, max_tokens: int) -> OnPolicySample:
    """One trajectory by ms-swift's own colocated driver, merged into a sample as the GRPO trainer does."""
    row = records_to_rows([record], "query2", LIMITS)[0]
    sample = OnPolicySample.from_row(row)
    request = RolloutInferRequest(messages=json.loads(json.dumps(row["messages"])), images=paths(row))
    config = RequestConfig(max_tokens=max_tokens, **GREEDY)
    scheduler = multi_turns[scheduler_name](tokenizer=engine.tokenizer, template=engine.template)

    def infer(requests: list, request_config: RequestConfig) -> list[RolloutOutput]:
        return [RolloutOutput(response=response) for response in engine.infer(requests, request_config)]

    [output] = run_multi_turn([request], infer([request], config), scheduler, infer, config)
    sample.apply_rollout_output(rollout_output=output)
    return sample


@pytest.mark.swift
@pytest.mark.parametrize(("scheduler", "trained"), [("zoomin", [0, 1]), ("zoomin_query2", [1])])
def test_rollout_loss_covers_the_sampled_ids_of_the_trained_replies(
    trained_engine: TransformersEngine, records: list[Record], scheduler: str, trained: list[int]
) -> None:
    sample = roll_out(trained_engine, records[0], scheduler, 100)
    assert sample.rollout_infos["num_turns"] == 2
    assert sample.rollout_infos["crops"] == len(sample.rollout_infos["images"]) - 1
    assert len(sample.rollout_infos["replies"]) == 2
    encoded = encode_for_training_sample(trained_engine, sample)
    ids, labels = encoded["input_ids"], encoded["labels"]
    position, expected = 0, []
    for turn, sampled in enumerate(sample.response_token_ids):
        start = next(place for place in range(position, len(ids)) if ids[place : place + len(sampled)] == sampled)
        expected += [-100] * (start - position) + (sampled if turn in trained else [-100] * len(sampled))
        position = start + len(sampled)
    assert labels == expected + [-100] * (len(ids) - position)


def encode_for_training_sample(engine: TransformersEngine, sample: OnPolicySample) -> dict[str, Any]:
    engine.template.set_mode("train")
    encoded = encode_sample(sample, engine.template)
    engine.template.set_mode("transformers")
    return encoded


def test_a_cut_first_reply_ends_the_trajectory(engine: TransformersEngine, records: list[Record]) -> None:
    sample = roll_out(engine, records[0], "zoomin", 5)
    assert sample.rollout_infos["num_turns"] == 1
    assert sample.is_truncated
    assert len(sample.rollout_infos["replies"]) == 1
    assert [message["role"] for message in sample.messages] == ["user", "assistant"]


def test_control_words_in_a_reply_stay_text(engine: TransformersEngine, records: list[Record]) -> None:
    words = "<image><bbox><|image_pad|><|im_end|><|vision_start|>\ud800"
    row = records_to_rows(records[:1], "sft_joint", LIMITS)[0]
    plain = encode_for_training(engine, row)["input_ids"]
    row["messages"][1]["content"] += words
    encoded = encode_for_training(engine, row)
    image_token = engine.template.image_token_id
    assert encoded["input_ids"].count(image_token) == plain.count(image_token)
    assert words.replace("\ud800", "?") in engine.tokenizer.decode(encoded["input_ids"])
    assert encoded["input_ids"].count(engine.tokenizer.eos_token_id) == plain.count(engine.tokenizer.eos_token_id)


def test_sampled_image_tokens_become_blanks_without_loss(engine: TransformersEngine, records: list[Record]) -> None:
    row = records_to_rows(records[:1], "query1", LIMITS)[0]
    pad, start, end = engine.tokenizer.convert_tokens_to_ids(["<|image_pad|>", "<|vision_start|>", "<|im_end|>"])
    [blank] = engine.tokenizer.encode(" ")
    word = engine.tokenizer.encode("o")[0]
    for content in (
        [word, pad, start, word, end],
        {"token_ids": [word, pad, start, word, end], "loss_scale": [1, 1, 1, 1, 1]},
    ):
        row["messages"] = [row["messages"][0], {"role": "assistant", "content": content}]
        encoded = encode_for_training(engine, row)
        assert encoded["input_ids"][-5:] == [word, blank, blank, word, end]
        assert encoded["labels"][-5:] == [word, -100, -100, word, end]
