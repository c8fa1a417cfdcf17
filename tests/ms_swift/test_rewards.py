"""The reward classes, called as ms-swift calls them: one trajectory or many, one turn or two."""

import asyncio
import base64
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import trainer_of
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rewarded import FIRST, LARGE_REF, LAST, LIMITS, NAMES, REF, ROW, VARIANTS, run, two_turns
from swift.dataset import RowPreprocessor
from swift.infer_engine.protocol import ChatCompletionResponseChoice, ChatMessage, RolloutInferRequest
from swift.rl_core.data import GRPOSample
from swift.rl_core.grpo_algorithm import compute_rewards_per_func

import swift_zoomin.register.swift_zoomin_register  # noqa: F401  registers the schedulers
from swift_zoomin import prompts
from swift_zoomin.boxes import PixelLimits, model_size
from swift_zoomin.families import QWEN2_5_VL, Frame
from swift_zoomin.images import ImageRef
from swift_zoomin.plugin.rewards import REWARDS
from swift_zoomin.plugin.scheduler import ZoomInScheduler
from swift_zoomin.records import Record
from swift_zoomin.replies import VERDICTS, render_reply
from swift_zoomin.rows import gold_reply


@pytest.fixture(scope="module", autouse=True)
def _at_most_256_image_tokens():
    with trainer_of(LIMITS):
        yield


def score(completions: list[str], rows: list[dict[str, Any]]) -> dict[str, list[float | None]]:
    """All five rewards of a batch, with ms-swift's own columns and a stranger's beside those of the dataset."""
    full = [
        {
            "messages": [
                {"role": "user", "content": prompts.query1(Frame.ABSOLUTE)},
                {"role": "assistant", "content": completion},
            ],
            "images": [{"bytes": None, "path": REF}],
            "rollout_infos": {},
            "prompt_id": "p",
            "finish_reason": "stop",
            "is_truncated": False,
            "camera": "unknown",
            **row,
        }
        for completion, row in zip(completions, rows, strict=True)
    ]
    columns = RowPreprocessor.rows_to_batched(full)
    return {name: REWARDS[name](args=None)(completions, trainer_state=None, **columns) for name in NAMES}


def score_one(completion: str, **row: Any) -> dict[str, float | None]:
    return {name: scores[0] for name, scores in score([completion], [{**ROW, **row}]).items()}


def after_first(reply: str, image: str = REF) -> dict[str, Any]:
    """What the scheduler says of a first reply."""
    messages = [{"role": "user", "content": prompts.query1(Frame.ABSOLUTE)}, {"role": "assistant", "content": reply}]
    request = RolloutInferRequest(messages, images=[image])
    choice = ChatCompletionResponseChoice(0, ChatMessage("assistant", reply), "stop")
    return asyncio.run(ZoomInScheduler().on_turn_end(request, choice, 1))["rollout_infos"]


def values(*rewards: float | None) -> dict[str, Any]:
    """Expected scores in the order of NAMES."""
    return {
        name: None if reward is None else pytest.approx(reward) for name, reward in zip(NAMES, rewards, strict=True)
    }


def test_accuracy_and_bleu_are_earned_by_query_2_and_the_others_by_query_1() -> None:
    assert {name for name, reward in REWARDS.items() if reward.query == 2} == {"zoomin_accuracy", "zoomin_bleu"}
    assert {reward.query for reward in REWARDS.values()} == {1, 2}


@pytest.mark.parametrize(
    ("completion", "row", "expected"),
    [  # format, IoU, accuracy, BLEU, accuracy of query 1
        (FIRST, {"label": "real", "explanation": "A clean photo"}, (1, 1, 1, 1, 1)),
        (FIRST, {}, (1, 1, 0, 0, 0)),  # the wrong verdict, no common word
        (LAST, {}, (1, 0, 1, 1, 1)),  # no region marked where one is annotated
        (LAST, {"boxes": []}, (1, 1, 1, 1, 1)),  # none annotated, none marked
        (LAST, {"boxes": None}, (1, None, 1, 1, 1)),
        (LAST, {"explanation": None}, (1, 0, 1, None, 1)),
        (LAST, {"explanation": ""}, (1, 0, 1, None, 1)),
        # Faults of peers
        ("", {}, (0, 0, 0, 0, 0)),  # the empty answer earns nothing
        ("", {"boxes": []}, (0, 0, 0, 0, 0)),  # nor where there is nothing to mark
        ("<regions>[]</regions>", {"boxes": []}, (0, 0, 0, 0, 0)),
        ("<verdict>not real</verdict>", {"label": "real"}, (0, 0, 0, 0, 0)),
        ("<verdict>real or generated</verdict>", {}, (0, 0, 0, 0, 0)),
        ("<verdict>real</verdict><verdict>generated</verdict>", {}, (0, 0, 0, 0, 0)),
        ("generated", {}, (0, 0, 0, 0, 0)),  # no tag: the whole text is no verdict
        ("<regions>nothing to mark</regions><verdict>generated</verdict>", {}, (1, 0, 1, 0, 1)),  # no box token
    ],
)
def test_one_turn_is_first_and_last_reply_at_once(completion: str, row: dict, expected: tuple) -> None:
    assert score_one(completion, **row) == values(*expected)


@pytest.mark.parametrize(
    ("infos", "row", "expected"),
    [  # format, IoU, accuracy, BLEU, accuracy of query 1
        (two_turns(FIRST, LAST), {}, (1, 1, 1, 1, 0)),  # the second look corrects the first
        (two_turns(LAST, FIRST), {}, (1, 1, 0, 0, 1)),  # and may spoil it
        (two_turns("no tag", LAST), {}, (0, 1, 1, 1, 0)),  # query 1 earns format
        (two_turns(FIRST, ""), {}, (1, 1, 0, 0, 0)),
        (two_turns(FIRST, LAST, []), {}, (1, 0, 1, 1, 0)),
        (two_turns(FIRST, LAST, [[100.0, 70.0, 300.0, 350.0]]), {}, (1, 0.5, 1, 1, 0)),  # half of the columns
        (two_turns(FIRST, LAST), {"boxes": None, "explanation": None}, (1, None, 1, None, 0)),
        # cut after the first reply: wrong, not missing
        ({"replies": [FIRST], "boxes_px": ROW["boxes"]}, {"label": "real"}, (1, 1, 0, 0, 1)),
        ({"replies": [""], "boxes_px": []}, {}, (0, 0, 0, 0, 0)),
        ({"replies": [""], "boxes_px": []}, {"boxes": []}, (0, 0, 0, 0, 0)),
        (two_turns(LAST, FIRST, []), {"boxes": []}, (1, 1, 0, 0, 1)),
        ({"replies": [FIRST], "boxes_px": []}, {"boxes": None, "explanation": ""}, (1, None, 0, None, 0)),
    ],
)
def test_query_1_earns_format_and_iou_and_query_2_accuracy_and_bleu(infos: dict, row: dict, expected: tuple) -> None:
    assert score_one(infos["replies"][-1], rollout_infos=infos, **row) == values(*expected)


def test_a_cut_first_reply_with_the_right_verdict_earns_no_final_accuracy() -> None:
    scores = score_one(LAST, rollout_infos={"replies": [LAST], "boxes_px": []})
    assert (scores["zoomin_accuracy"], scores["zoomin_bleu"], scores["zoomin_accuracy_query1"]) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("image", [{"bytes": None, "path": REF}, REF])
def test_boxes_of_a_single_reply_are_converted_from_model_pixels(image: Any) -> None:
    assert score_one(FIRST, images=[image])["zoomin_iou"] == pytest.approx(1.0)
    unconverted = FIRST.replace("[53.2, 36.4, 266, 182]", "[100, 70, 500, 350]")
    # [100, 70, 500, 350] of 532 x 364 is [188.0, 134.6, 939.8, 673.1]: 312.0 * 215.4 shared, 67,206 / 449,650
    assert score_one(unconverted, images=[image])["zoomin_iou"] == pytest.approx(0.1495, abs=1e-3)


def test_an_image_may_also_be_a_plain_path_or_no_file(tmp_path: Path) -> None:
    Image.new("RGB", (1000, 700)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    for image in (str(tmp_path / "a.png"), base64.b64encode(content).decode(), {"bytes": content, "path": None}):
        assert score_one(FIRST, images=[image])["zoomin_iou"] == pytest.approx(1.0)


def test_a_batch_is_scored_sample_by_sample() -> None:
    rows = [
        {**ROW},
        {"label": "real"},  # no column of its own: ms-swift fills None
        {**ROW, "rollout_infos": two_turns(FIRST, LAST)},
        {**ROW, "label": "real", "images": [LARGE_REF], "boxes": [[200.0, 140.0, 1000.0, 700.0]]},
    ]
    scores = score([LAST, FIRST, LAST, FIRST], rows)
    assert scores == {
        "zoomin_format": [1, 1, 1, 1],
        "zoomin_iou": [0, None, 1, pytest.approx(1.0)],
        "zoomin_accuracy": [1, 1, 1, 1],
        "zoomin_bleu": [1, None, 1, 0],
        "zoomin_accuracy_query1": [1, 1, 0, 1],
    }


def test_the_same_unparsable_reply_always_earns_the_same() -> None:
    scores = score(["neither"] * 50, [ROW] * 50)
    assert scores == {name: [0.0] * 50 for name in NAMES}  # no coin is tossed


def test_what_is_not_applicable_is_left_out_by_ms_swift_and_what_is_wrong_is_not() -> None:
    user = {"role": "user", "content": prompts.query1(Frame.ABSOLUTE)}
    rows = [{**ROW, "boxes": None}, ROW]
    samples = [
        GRPOSample(
            [user, {"role": "assistant", "content": "neither"}], images=[{"bytes": None, "path": REF}], extra=row
        )
        for row in rows
    ]
    functions = [REWARDS[name](args=None) for name in NAMES]
    rewards = compute_rewards_per_func(samples, functions, None, torch.device("cpu"))
    torch.testing.assert_close(rewards, torch.tensor([[0, torch.nan, 0, 0, 0], [0.0] * 5]), equal_nan=True)


@pytest.mark.parametrize("name", [*NAMES, *VARIANTS])
def test_another_limit_where_the_replies_are_made_is_refused(name: str) -> None:
    infos = after_first(FIRST)
    run([name], 1, rollout_infos=infos)
    differs = "pixels differs: 3136-200704 where the replies are made, 3136-12544 in the trainer"
    with trainer_of(PixelLimits(3136, 12544, QWEN2_5_VL)), pytest.raises(ValueError, match=differs):
        run([name], 1, rollout_infos=infos)


def test_a_server_of_another_family_is_refused() -> None:
    """Its boxes are thousandths where the trainer's are pixels, or the other way round."""
    infos = {**after_first(FIRST), "family": "Qwen3-VL"}
    differs = r"family differs: Qwen3-VL where the replies are made, Qwen2\.5-VL in the trainer; .* the same model"
    with trainer_of(LIMITS), pytest.raises(ValueError, match=differs):
        run(["zoomin_iou"], 1, rollout_infos=infos)


@pytest.mark.parametrize(
    ("trainer", "turns", "fault"),
    [
        ("zoomin", None, None),
        ("zoomin", 2, None),
        ("zoomin", 5, None),  # there is no third turn, so it is the same exchange
        ("zoomin", 1, "max_turns differs: 2 where the replies are made, 1 in the trainer"),
        ("zoomin_query2", None, "scheduler differs: ZoomInScheduler where .*, ZoomInQuery2Scheduler in the trainer"),
        (None, None, "scheduler differs: ZoomInScheduler where .*, None in the trainer; .* --multi_turn_scheduler"),
    ],
)
def test_a_rollout_server_of_another_stage_is_refused(trainer: str | None, turns: int | None, fault: str) -> None:
    """It would train the other query: `zoomin_query2` masks what `zoomin` trains."""
    infos = after_first(FIRST)
    reward = REWARDS["zoomin_iou"](SimpleNamespace(multi_turn_scheduler=trainer, max_turns=turns))
    columns = {name: [value] for name, value in ROW.items()}
    with pytest.raises(ValueError, match=fault) if fault else nullcontext():
        reward([FIRST], **columns, rollout_infos=[infos])


def test_without_a_trainer_there_is_nothing_to_compare_a_rollout_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where somebody calls a reward by hand, on completions that a training has logged."""
    infos = after_first(FIRST)
    monkeypatch.setattr("swift_zoomin.plugin.rollout_settings.current_template", lambda: None)
    assert score_one(FIRST, rollout_infos={**infos, "pixels": "1-2", "scheduler": "Other"})["zoomin_iou"] == 1


@pytest.mark.parametrize("name", [*NAMES, *VARIANTS])
def test_a_missing_label_column_says_how_to_load_the_data(name: str) -> None:
    with pytest.raises(ValueError, match=r"no label column; load it as --dataset DIR/records\.jsonl:query1"):
        REWARDS[name](args=None)([LAST], images=[[REF]], messages=[[]])


words = st.lists(st.sampled_from(["The", "sign", "melts", ",", "<image>", "[1, 2, 3, 4]", "ü", "."]), min_size=1)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """A record with boxes of at least one image token (28 model pixels) a side."""
    size = (draw(st.integers(60, 3000)), draw(st.integers(60, 3000)))
    least = [-(-28 * side // seen) for side, seen in zip(size, model_size(size, LIMITS), strict=True)]
    boxes = []
    for _ in range(draw(st.integers(0, 4))):
        x1, y1 = draw(st.integers(0, size[0] - least[0])), draw(st.integers(0, size[1] - least[1]))
        boxes.append([x1, y1, draw(st.integers(x1 + least[0], size[0])), draw(st.integers(y1 + least[1], size[1]))])
    image = ImageRef("/images/a.png", size, limits=LIMITS)
    explanation = " ".join(draw(words))
    return Record("a.png", image, draw(st.sampled_from(VERDICTS)), explanation, boxes, ["part"] * len(boxes))


@given(records())
def test_the_gold_reply_earns_full_marks(record: Record) -> None:
    first, last = render_reply(gold_reply(record)), render_reply(gold_reply(record), ("explanation", "verdict"))
    reference = str(record.image)
    infos = after_first(first, reference)
    row = {"label": record.label, "explanation": record.explanation, "boxes": record.boxes_px, "images": [reference]}
    for completion, rollout_infos in ((first, {}), (last, {**infos, "replies": [first, last]})):
        scores = score_one(completion, **row, rollout_infos=rollout_infos)
        assert scores.pop("zoomin_iou") >= 0.9  # corners are whole model pixels: (27 / 28) ** 2 at worst
        assert set(scores.values()) == {1.0}
