"""`--loss_scale`: what it says of a message's role and of its words holds for replies that are taught as token ids."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from conftest import COMMON, GRPO, LIMITS, ROLLOUT, SFT, logged, run_swift
from PIL import Image
from swift.loss_scale import ConfigLossScale, loss_scale_map
from swift.model import get_processor
from swift.template import get_template

import swift_zoomin.register.swift_zoomin_register  # noqa: F401
from swift_zoomin.images import ImageRef
from swift_zoomin.plugin.command_line import read_command

REPLY = "<think>\n\n</think>\n\nThought: a sign. Action: look, <tool_call>{} é</tool_call> then \ud800 Action: answer"


class VerdictLossScale(ConfigLossScale):
    """As a user's plugin may have it."""

    is_binary = False

    def get_loss_scale(self, context: Any, **kwargs: Any) -> tuple[list[Any], list[float]]:
        if not isinstance(context, str) or "<verdict>" not in context:
            return [context], [1.0]
        start, end = context.index("real"), context.index("</verdict>") + len("</verdict>")
        return [context[:start], context[start:end], context[end:]], [0.0, 3.0, 1.0]


@cache
def processor_of(model_dir: Path) -> Any:
    return get_processor(str(model_dir), model_type="qwen2_5_vl")


def encoded(model_dir: Path, template_type: str, row: dict[str, Any], scale: str) -> tuple[dict[str, Any], Any]:
    template = get_template(
        processor_of(model_dir), template_type=template_type, loss_scale=scale, is_binary_loss_scale=False
    )
    template.set_mode("train")
    return template.encode(json.loads(json.dumps(row))), template.tokenizer


def conversation(*replies: str, **more: Any) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for reply in replies:
        messages.append({"role": "user", "content": "What is the value of this?"})
        messages.append({"role": "assistant", "content": reply})
    messages[1].update(more)
    return messages


def row_of_ours(tmp_path: Path, messages: list[dict[str, Any]]) -> dict[str, Any]:
    Image.new("RGB", (112, 112)).save(tmp_path / "a.png")
    first = {**messages[0], "content": "<image>" + messages[0]["content"]}
    return {"messages": [first, *messages[1:]], "images": [str(ImageRef.of(tmp_path / "a.png").under(LIMITS))]}


def test_a_pattern_weighs_the_words_that_it_matches(
    model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(loss_scale_map, "verdict", VerdictLossScale)
    row = row_of_ours(tmp_path, conversation("<explanation>A sign.</explanation>\n<verdict>real</verdict>"))
    weighed, tokenizer = encoded(model_dir, "zoomin", row, "default+verdict")
    plain, _ = encoded(model_dir, "zoomin", row, "default")
    assert weighed["input_ids"] == plain["input_ids"]
    scales = list(zip(weighed["input_ids"], weighed["loss_scale"], strict=True))
    assert tokenizer.decode([token for token, scale in scales if scale == 3]).strip() == "real</verdict>"
    assert next(tokenizer.decode([token]) for token, scale in scales if scale == 1) == "<|im_end|>"
    taught = [label for label in weighed["labels"] if label >= 0]
    assert tokenizer.decode(taught).strip().startswith("real</verdict>")  # a weight of 0 is not taught


SCALES = ["default", "all", "last_round", "react", "hermes", "agentflan", "ignore_empty_think", "last_round+react"]


@pytest.mark.parametrize("loss", [None, False, True])
@pytest.mark.parametrize("scale", [*SCALES, "hermes+ignore_empty_think", "all+react"])
def test_a_reply_is_weighed_as_ms_swift_weighs_text(
    scale: str, loss: bool | None, model_dir: Path, tmp_path: Path
) -> None:
    more = {} if loss is None else {"loss": loss}
    text = REPLY.replace("\ud800", "?")  # ms-swift cannot encode it
    theirs, tokenizer = encoded(model_dir, "qwen2_5_vl", {"messages": conversation(text, text, **more)}, scale)
    ours, _ = encoded(model_dir, "zoomin", row_of_ours(tmp_path, conversation(REPLY, REPLY, **more)), scale)
    expected = weights_by_reply(tokenizer, theirs, text)
    found = weights_by_reply(tokenizer, ours, text)
    for ours_each, theirs_each in zip(found, expected, strict=True):
        for start, end, weight in ours_each:
            of_characters = {w for s, e, w in theirs_each if s < end and e > start}
            assert weight in of_characters
        assert {weight for *_, weight in ours_each} == {weight for *_, weight in theirs_each}


def weights_by_reply(tokenizer: Any, row: dict[str, Any], text: str) -> list[list[tuple[int, int, float]]]:
    """Of each reply its tokens: bytes from, to, and the weight."""
    opening = tokenizer.encode("<|im_start|>assistant\n", add_special_tokens=False)
    ids, found = row["input_ids"], []
    for start in range(len(ids)):
        if ids[start : start + len(opening)] != opening:
            continue
        tokens, place = [], 0
        for index in range(start + len(opening), len(ids)):
            length = len(token_bytes(tokenizer, ids[index]))
            if place < len(text.encode()):
                tokens.append((place, place + length, row["loss_scale"][index]))
            place += length
        found.append(tokens)
    assert len(found) == 2
    return found


def token_bytes(tokenizer: Any, token: int) -> bytes:
    """Byte-level vocabularies write a byte as one character each."""
    written = tokenizer.convert_ids_to_tokens(token)
    return b"." * len(written)


def test_rows_of_other_data_sets_keep_their_weights(model_dir: Path) -> None:
    row = {"messages": conversation(REPLY.replace("\ud800", ""), "Action: none")}
    for scale in ("react", "last_round+hermes+ignore_empty_think"):
        ours, _ = encoded(model_dir, "zoomin", row, scale)
        theirs, _ = encoded(model_dir, "qwen2_5_vl", row, scale)
        assert ours["loss_scale"] == theirs["loss_scale"]
        assert ours["input_ids"] == theirs["input_ids"]


GRPO_COMMAND = ["rlhf.py", "--rlhf_type", "grpo", "--dataset", "a/records.jsonl:query1"]


@pytest.mark.parametrize("scale", ["react", "last_round+hermes", "hermes+ignore_empty_think"])
def test_grpo_refuses_patterns_that_would_do_nothing(scale: str) -> None:
    command = read_command([*GRPO_COMMAND, "--loss_scale", scale])
    problem = command.problem("a/records.jsonl", "query1")
    assert problem is not None
    assert problem.startswith(f"--loss_scale {scale.removeprefix('last_round+')} looks for words")
    imitating = read_command([*GRPO_COMMAND, "--loss_scale", scale, "--chord_sft_dataset", "b.jsonl"])
    assert imitating.problem("a/records.jsonl", "query1") is None


@pytest.mark.parametrize("scale", ["default", "last_round", "all", "last_round+base"])
def test_grpo_takes_what_goes_by_the_role_of_a_message(scale: str) -> None:
    assert read_command([*GRPO_COMMAND, "--loss_scale", scale]).problem("a/records.jsonl", "query1") is None


@pytest.mark.swift
def test_a_training_weighs_its_replies_by_pattern(model_dir: Path, benchmark_dir: Path, tmp_path: Path) -> None:
    lines = (benchmark_dir / "train/records.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    for row in rows:
        row["image"] = str(benchmark_dir / "train" / row["image"])
        row["explanation"] = f"Action: {row['explanation']}"
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    losses = {}
    for scale in ("default", "react"):
        run_swift(
            *(*SFT, *COMMON, "--model", model_dir, "--dataset", tmp_path / "records.jsonl:sft"),
            *("--loss_scale", scale, "--max_steps", 1, "--output_dir", tmp_path / scale),
        )
        losses[scale] = logged(tmp_path / scale)[0]["loss"]
    assert losses["react"] > 1.5 * losses["default"]  # twice, but for the end of the reply
    printed = run_swift(
        *(*GRPO, *COMMON, *ROLLOUT, "--model", model_dir, "--dataset", tmp_path / "records.jsonl:query1"),
        *("--loss_scale", "react", "--reward_funcs", "zoomin_format", "--output_dir", tmp_path / "grpo"),
        fails=True,
    )
    assert "--loss_scale react looks for words" in printed.splitlines()[-1]
