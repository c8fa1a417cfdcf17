"""What holds for each family of models alike, in one process: the ids of query 2, the loss, and the size of an image.

Qwen3.5 is here without weights, as its template alone.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import VLLM_MEMORY_SHARE
from encoded_rows import encode_for_training, labelled, paths, second_question
from make_model import make_processor, make_tokenizer
from swift.infer_engine import RequestConfig, TransformersEngine
from swift.model import get_processor
from swift.template import get_template
from transformers import Qwen3_5Config

import swift_zoomin.register.swift_zoomin_register  # noqa: F401
from swift_zoomin.boxes import PixelLimits
from swift_zoomin.checkpoints import CheckpointError, limits_of_tokens
from swift_zoomin.episode import MAX_CROPS
from swift_zoomin.families import QWEN3_5, QWEN3_VL, Frame
from swift_zoomin.plugin.template import ZoomInTemplate
from swift_zoomin.records import Record, read_records
from swift_zoomin.rows import records_to_rows

GREEDY = {"temperature": 0, "return_details": True}
SHOWN_PX = {"Qwen2.5-VL": 112, "Qwen3-VL": 96, "Qwen3.5": 96}  # of 448 x 448 pixels, under MAX_PIXELS=12544
THOUGHTS = "<think>\n\n</think>\n\n"


@pytest.fixture(scope="module", params=["qwen2_5_vl", "qwen3_vl"])
def engine(request: pytest.FixtureRequest) -> TransformersEngine:
    """Of random weights; the second is loaded where the first has left its marks in this process."""
    folder: Path = request.getfixturevalue({"qwen2_5_vl": "model_dir", "qwen3_vl": "qwen3_vl_dir"}[request.param])
    return TransformersEngine(str(folder), model_type=request.param, template_type="zoomin", torch_dtype=torch.float32)


@pytest.fixture(scope="module")
def qwen3_5(tmp_path_factory: pytest.TempPathFactory) -> ZoomInTemplate:
    """The template of a folder that has a configuration, a tokenizer and a processor, and no weights."""
    folder = tmp_path_factory.mktemp("qwen3_5")
    tokenizer = make_tokenizer(Frame.NORM1000)
    tokenizer.add_tokens(["<think>", "</think>"])
    make_processor(QWEN3_VL, tokenizer).save_pretrained(folder)
    Qwen3_5Config(architectures=["Qwen3_5ForConditionalGeneration"]).save_pretrained(folder)
    made: ZoomInTemplate = get_template(get_processor(str(folder), model_type="qwen3_5"), template_type="zoomin")
    return made


@pytest.fixture(scope="module")
def records(benchmark_dir: Path) -> list[Record]:
    return read_records(benchmark_dir / "train/records.jsonl")[:4]


def limits_of(engine: TransformersEngine) -> PixelLimits:
    template: ZoomInTemplate = engine.template
    return template.settings.limits


@pytest.fixture
def vllm(engine: TransformersEngine) -> Iterator[Any]:
    from swift.infer_engine import GRPOVllmEngine

    made = GRPOVllmEngine(
        engine.model_dir,
        model_type=engine.model_info.model_type,
        template_type="zoomin",
        torch_dtype=torch.float32,
        max_model_len=1024,
        gpu_memory_utilization=VLLM_MEMORY_SHARE,
        enforce_eager=True,
        limit_mm_per_prompt={"image": 1 + MAX_CROPS, "video": 0},
    )
    yield made
    made.engine.engine_core.shutdown()  # its worker process would stay as long as this one


@pytest.mark.vllm
def test_query_2_has_the_same_prompt_ids_in_sft_transformers_and_vllm(
    engine: TransformersEngine, vllm: Any, records: list[Record]
) -> None:
    limits = limits_of(engine)
    rows = records_to_rows(records, "sft_joint", limits) + records_to_rows(records, "sft", limits)[1::2]
    requests = [second_question(row, engine.tokenizer) for row in rows]
    config = RequestConfig(max_tokens=4, **GREEDY)
    of_transformers = [response.prompt_token_ids for response in engine.infer(requests, config)]
    of_vllm = [output.response.prompt_token_ids for output in vllm.infer(requests, config)]
    for row, ids, ids_vllm in zip(rows, of_transformers, of_vllm, strict=True):
        assert ids == ids_vllm
        assert ids == encode_for_training(engine, row)["input_ids"][: len(ids)]


def test_sft_trains_each_reply_and_nothing_else(engine: TransformersEngine, records: list[Record]) -> None:
    query1, query2 = records_to_rows(records, "sft", limits_of(engine))[:2]
    joint = records_to_rows(records, "sft_joint", limits_of(engine))[0]
    for row, trained in ((query1, [1]), (query2, [3]), (joint, [1, 3])):
        expected = [row["messages"][index]["content"] + "<|im_end|>\n" for index in trained]
        assert labelled(encode_for_training(engine, row), engine.tokenizer) == expected


def test_an_image_has_the_tokens_of_its_own_family(engine: TransformersEngine, records: list[Record]) -> None:
    """Whatever family this process has loaded before, from whose tokens ms-swift has made a limit for all."""
    limits = limits_of(engine)
    [row] = records_to_rows(records[:1], "query1", limits)
    row["messages"] = [*row["messages"], {"role": "assistant", "content": "o"}]
    encoded = encode_for_training(engine, row)
    side = SHOWN_PX[limits.family.name] // limits.family.patch_px
    assert encoded["input_ids"].count(engine.template.image_token_id) == side**2
    assert records[0].image.under(limits).size_model == (SHOWN_PX[limits.family.name],) * 2


# ---- Qwen3.5, whose replies are opened with an empty block of thoughts


def test_its_family_is_known(qwen3_5: ZoomInTemplate) -> None:
    assert qwen3_5.settings.limits == limits_of_tokens(4, 12, QWEN3_5)


def test_query_2_has_the_same_ids_in_sft_and_when_it_is_asked(qwen3_5: ZoomInTemplate, records: list[Record]) -> None:
    for row in records_to_rows(records, "sft", qwen3_5.settings.limits)[1::2]:
        qwen3_5.set_mode("train")
        taught = qwen3_5.encode(row)["input_ids"]
        tokenizer = qwen3_5.tokenizer
        as_sampled = second_question(row, tokenizer).messages
        opening = tokenizer.encode(THOUGHTS)
        with_opening = [dict(message) for message in as_sampled]  # as ms-swift's rollouts keep a reply's ids
        with_opening[1]["content"] = opening + as_sampled[1]["content"]
        qwen3_5.set_mode("transformers")
        for messages in (as_sampled, with_opening):
            asked = qwen3_5.encode({"messages": messages, "images": paths(row)})["input_ids"]
            assert asked == taught[: len(asked)]
            assert asked[-len(opening) :] == opening


def test_the_opening_is_before_each_reply_and_never_trained(qwen3_5: ZoomInTemplate, records: list[Record]) -> None:
    qwen3_5.set_mode("train")
    query1, query2 = records_to_rows(records, "sft", qwen3_5.settings.limits)[:2]
    joint = records_to_rows(records, "sft_joint", qwen3_5.settings.limits)[0]
    for row, trained in ((query1, [1]), (query2, [3]), (joint, [1, 3])):
        encoded = qwen3_5.encode(row)
        expected = [row["messages"][index]["content"] + "<|im_end|>\n" for index in trained]
        assert labelled(encoded, qwen3_5.tokenizer) == expected
        assert qwen3_5.tokenizer.decode(encoded["input_ids"]).count(f"assistant\n{THOUGHTS}<explanation>") == (
            len(row["messages"]) // 2
        )


def test_a_model_that_is_to_think_is_refused_in_one_line(qwen3_vl_dir: Path) -> None:
    processor = get_processor(str(qwen3_vl_dir), model_type="qwen3_vl")
    with pytest.raises(CheckpointError, match=r"\A--enable_thinking true: both replies are trained .*; leave it out\Z"):
        get_template(processor, template_type="zoomin", enable_thinking=True)
