"""Rows of other data sets beside ours, in GRPO: they have one turn, earn None, and change nothing for our rows."""

import asyncio
import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import COMMON, GRPO, ROLLOUT, logged, run_swift, trainer_of
from hypothesis import given
from hypothesis import strategies as st
from swift.infer_engine import RequestConfig
from swift.infer_engine.protocol import (
    ChatCompletionResponse,
    ChatCompletionResponseChoice,
    ChatMessage,
    RolloutInferRequest,
    RolloutOutput,
    UsageInfo,
)
from swift.rl_core.data import GRPOSample
from swift.rl_core.grpo_algorithm import compute_rewards_per_func
from swift.rollout import multi_turns, run_multi_turn

import swift_zoomin.register.swift_zoomin_register  # noqa: F401  registers the schedulers
from swift_zoomin import prompts
from swift_zoomin.boxes import PixelLimits
from swift_zoomin.families import QWEN2_5_VL, Frame
from swift_zoomin.images import ImageRef
from swift_zoomin.plugin.rewards import REWARDS
from swift_zoomin.plugin.trajectories import read_trajectories
from swift_zoomin.plugin.watch import PATIENCE, Watch
from swift_zoomin.replies import Reply, render_reply

LIMITS = PixelLimits(3136, 262144, QWEN2_5_VL)
REF = str(ImageRef("/images/a.png", (504, 504), limits=LIMITS))
BOX = [56.0, 56.0, 280.0, 280.0]
REPLY = render_reply(Reply("real", [BOX], ["sign"], "It is sharp."))
ANNOTATION = {"label": "real", "explanation": "It is sharp.", "boxes": [BOX]}
PICTURE = {"bytes": None, "path": REF}
ON_THE_WEB = "https://example.org/a.png"


@pytest.fixture(autouse=True)
def _trainer() -> Iterator[None]:
    with trainer_of(LIMITS):
        yield


def row(question: str, images: list | None = None, **columns: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}], "images": images, **columns}


OURS = row(prompts.query1(Frame.ABSOLUTE), [PICTURE], **ANNOTATION)
OTHERS = {
    "text only": row("What is 2 + 2?"),
    "text only, an empty list of images": row("What is 2 + 2?", []),
    "text only, annotated like ours": row(prompts.query1(Frame.ABSOLUTE).replace("<image>", ""), [], **ANNOTATION),
    "an image and no label": row("<image>What is it?", [PICTURE]),
    "an image and a label of another kind": row("<image>What is it?", [PICTURE], label="cat", boxes=[BOX]),
    "an image and an empty label": row("<image>What is it?", [PICTURE], label="", explanation="It is sharp."),
    "an image on the web, annotated like ours": row(prompts.query1(Frame.ABSOLUTE), [ON_THE_WEB], **ANNOTATION),
    "an image on the web, as a data set holds it": row(
        "<image>Real?", [{"bytes": None, "path": ON_THE_WEB}], label="real"
    ),
}


def response(text: str) -> ChatCompletionResponse:
    choice = ChatCompletionResponseChoice(0, ChatMessage("assistant", text), "stop", token_ids=[1, 2, 3])
    return ChatCompletionResponse("tiny", [choice], UsageInfo(0, 3, 3))


def roll_out(
    rows: list[dict], scheduler: str, replies: list[str], server: bool = False, max_turns: int | None = None
) -> list[GRPOSample]:
    """Samples after their rollout by ms-swift's driver, colocated or as in a server; a reply a row, for every turn."""
    samples = [GRPOSample.from_row(json.loads(json.dumps(row))) for row in rows]
    requests = [sample.to_infer_request(include_extra=True) for sample in samples]
    texts = {id(request): text for request, text in zip(requests, replies, strict=True)}
    config = RequestConfig(max_tokens=9)

    async def infer_async(request: RolloutInferRequest, config: RequestConfig) -> ChatCompletionResponse:
        return response(texts[id(request)])

    def infer(asked: list[RolloutInferRequest], config: RequestConfig) -> list[RolloutOutput]:
        return [RolloutOutput(response=response(texts[id(request)])) for request in asked]

    tokenizer = SimpleNamespace(decode=lambda ids, **_: REPLY)
    template = SimpleNamespace(is_text=lambda token: True, _get_response_prefix=lambda inputs: "")
    engine = SimpleNamespace(infer_async=infer_async, tokenizer=tokenizer, template=template)
    driver = multi_turns[scheduler](engine, max_turns, tokenizer=engine.tokenizer)
    if server:
        outputs = [asyncio.run(driver.run(request, config)) for request in requests]
    else:
        outputs = run_multi_turn(requests, infer(requests, config), driver, infer, config)
    for sample, output in zip(samples, outputs, strict=True):
        sample.apply_rollout_output(rollout_output=output)
    return samples


@pytest.mark.parametrize("server", [False, True], ids=["colocated", "server"])
@pytest.mark.parametrize("scheduler", ["zoomin", "zoomin_query2"])
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_a_row_of_another_data_set_has_one_turn_and_earns_none(other: dict, scheduler: str, server: bool) -> None:
    samples = roll_out([OURS, other, OURS], scheduler, [REPLY] * 3, server)
    assert [sample.rollout_infos["num_turns"] for sample in samples] == [2, 1, 2]
    assert samples[1].rollout_infos == {"num_turns": 1}
    assert [message["role"] for message in samples[1].messages] == ["user", "assistant"]
    assert samples[1].response_token_ids == [[1, 2, 3]]
    assert samples[1].response_loss_mask == [[1, 1, 1]]  # its own rewards train it
    functions = [reward(args=None) for reward in REWARDS.values()]
    rewards = compute_rewards_per_func(samples, functions, None, torch.device("cpu"))
    assert rewards[1].isnan().all()
    torch.testing.assert_close(rewards[[0, 2]], torch.ones(2, len(REWARDS)))


@pytest.mark.parametrize("reply", ["", "neither", REPLY, "<verdict></verdict>"])
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_without_a_scheduler_too_no_reply_to_another_row_earns_a_reward(other: dict, reply: str) -> None:
    columns = {name: [OURS.get(name), other.get(name)] for name in OURS}
    for name, reward in REWARDS.items():
        ours, others = reward(args=None)([REPLY, reply], **columns)
        assert ours == 1, name
        assert others is None, name


@given(st.none() | st.text() | st.integers() | st.floats() | st.lists(st.sampled_from(["real"]), max_size=1))
def test_only_a_verdict_is_a_label(label: Any) -> None:
    for reward in REWARDS.values():
        assert reward(args=None)(["neither"], label=[label], images=[[PICTURE]], boxes=[[]]) == [None]


def test_a_batch_without_any_image_column_is_not_ours() -> None:
    for reward in REWARDS.values():
        assert reward(args=None)([REPLY], label=["real"], explanation=["It is sharp."], boxes=[[BOX]]) == [None]


@pytest.mark.parametrize("name", [name for name in REWARDS if "iou" in name])
def test_without_annotated_boxes_no_image_is_opened(name: str) -> None:
    assert REWARDS[name](args=None)([REPLY], label=["real"], images=[["/gone.png"]], boxes=[None]) == [None]


@pytest.mark.parametrize("server", [False, True], ids=["colocated", "server"])
@pytest.mark.parametrize("scheduler", ["zoomin", "zoomin_query2"])
@pytest.mark.parametrize(("max_turns", "turns"), [(None, 2), (1, 1), (2, 2), (3, 2), (9, 2)])
def test_there_are_two_turns_at_most_whatever_max_turns_allows(
    max_turns: int | None, turns: int, scheduler: str, server: bool
) -> None:
    [sample] = roll_out([OURS], scheduler, [REPLY], server, max_turns)
    assert sample.rollout_infos["num_turns"] == len(sample.rollout_infos["replies"]) == turns
    assert [message["role"] for message in sample.messages] == ["user", "assistant"] * turns
    assert sample.rollout_infos["max_turns"] == turns


def test_a_record_asked_in_other_words_still_gets_its_second_look() -> None:
    [sample] = roll_out([{**OURS, **row("<image>Echt?", [PICTURE])}], "zoomin", [REPLY])
    assert sample.rollout_infos["num_turns"] == 2


def suspicions(batch: list[dict], cut: list[bool]) -> list[str]:
    """What is said after PATIENCE batches of first replies that ended the trajectory."""
    watch = Watch("zoomin_accuracy", 2)
    infos = {"replies": [REPLY], "boxes_px": [BOX]}
    columns = {name: [row.get(name) for row in batch] for name in OURS}
    columns["rollout_infos"] = [infos if row is OURS else {"num_turns": 1} for row in batch]
    for _ in range(PATIENCE):
        read = read_trajectories([REPLY] * len(batch), columns)
        watch.observe(read, [0.0 if item.is_of_record else None for item in read], {"is_truncated": cut})
    return list(watch.suspicions())


def test_replies_to_other_rows_do_not_hide_that_ours_were_cut() -> None:
    [said] = suspicions([OURS, OTHERS["text only"]], [True, False])
    assert "every first reply was cut by length" in said
    [said] = suspicions([OURS, OTHERS["text only"]], [False, True])
    assert "is --max_turns 1?" in said


def test_a_run_without_any_of_our_rows_is_told_what_is_missing_and_not_of_turns() -> None:
    [said] = suspicions([OTHERS["text only"], OTHERS["an image and a label of another kind"]], [False, False])
    assert "zoomin_accuracy was applicable to no reply" in said
    assert "a label that is real or generated" in said


@pytest.mark.swift
def test_a_real_query2_run_mixes_our_rows_with_chats(trained_dir: Path, benchmark_dir: Path, tmp_path: Path) -> None:
    image = str(next((benchmark_dir / "train").rglob("*.png")))
    chats = [row(f"What is {n} + {n}?") for n in range(2)] + [row(f"<image>What is {n}?", [image]) for n in range(2)]
    for chat in chats:
        chat["boxes"] = [[0, 0, 5, 5]]  # whole numbers, where ours are not, and these rows are named last
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    run_swift(
        *(*GRPO, *COMMON, *ROLLOUT, "--model", trained_dir, "--multi_turn_scheduler", "zoomin_query2"),
        *("--dataset", f"{benchmark_dir}/train/records.jsonl:query2#4", tmp_path / "chats.jsonl"),
        *("--reward_funcs", *REWARDS, "--output_dir", tmp_path / "out", "--max_steps", 2),
        *("--max_completion_length", 100, "--gradient_accumulation_steps", 2, "--log_completions", "true"),
    )
    assert len(logged(tmp_path / "out")) == 2
    lines = (tmp_path / "out" / "completions.jsonl").read_text().splitlines()
    steps = [step for step in map(json.loads, lines) if step]
    questions = [prompt for step in steps for prompt in step["prompt"]]
    assert {prompts.query1(Frame.ABSOLUTE) in question for question in questions} == {True, False}
    turns = [count for step in steps for count in step["num_turns"]]
    assert {count for question, count in zip(questions, turns, strict=True) if "What is" in question} == {1}
    assert max(turns) == 2
    for name in REWARDS:
        scores = [score for step in steps for score in step[name]]
        for question, score in zip(questions, scores, strict=True):
            assert (score is None or math.isnan(score)) == ("What is" in question), name
