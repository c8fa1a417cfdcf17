"""Rollouts over the HTTP server of `swift rollout`: the same trajectories as in process, and failures that end.

An image's known content is the place of its one panel, which a model trained on 32 images has learnt for most of them.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from conftest import LIMITS
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rollout_server import RolloutServer
from swift.infer_engine import RequestConfig, TransformersEngine
from swift.infer_engine.protocol import RolloutInferRequest, RolloutOutput
from swift.rl_core.data import OnPolicySample
from swift.rollout import multi_turns, run_multi_turn

import swift_zoomin.register.swift_zoomin_register  # noqa: F401
from swift_zoomin.boxes import iou
from swift_zoomin.episode import MAX_CROPS
from swift_zoomin.images import ImageRef
from swift_zoomin.records import Record, read_records
from swift_zoomin.rows import records_to_rows

pytestmark = pytest.mark.vllm

ENGINE = {"model_type": "qwen2_5_vl", "template_type": "zoomin", "torch_dtype": torch.float32}
MAX_MODEL_LEN = 1024
GREEDY = {"temperature": 0, "return_details": True, "logprobs": True}
ASKED = {"max_tokens": 100, **GREEDY}
ENDLESS = {"max_tokens": 20_000, "structured_outputs_regex": "[^Z]*Z", **GREEDY}  # no end before a letter never learnt


def request(record: Record, uuid: str) -> RolloutInferRequest:
    """As the trainer makes it from a row of the dataset."""
    [row] = records_to_rows([record], "query2", LIMITS)
    return OnPolicySample.from_row({**row, "request_id": uuid}).to_infer_request(include_extra=True)


def request_for(image: str) -> RolloutInferRequest:
    return RolloutInferRequest(messages=[{"role": "user", "content": "<image>What is it?"}], images=[image])


def content(output: RolloutOutput) -> dict[str, Any]:
    """All that a trainer reads of a trajectory; log probabilities only counted, because engines round differently."""
    [choice] = output.response.choices
    return {
        "messages": output.messages,
        "prompt": output.response.prompt_token_ids,
        "ids": output.response_token_ids,
        "loss_mask": output.response_loss_mask,
        "infos": output.rollout_infos,
        "last_reply": choice.message.content,
        "finish_reason": choice.finish_reason,
        "image_sizes": [tuple(size) for size in output.response.images_size],
        "log_probabilities": [len(turn) for turn in output.rollout_logprobs],
    }


def shows(record: Record, output: RolloutOutput) -> bool:
    """Whether the first reply marks the panel of this image."""
    boxes_px = output.rollout_infos["boxes_px"]
    assert record.boxes_px
    return len(boxes_px) == 1 and iou(boxes_px[0], record.boxes_px[0]) > 0.5


def assert_paired(records: list[Record], outputs: list[RolloutOutput]) -> None:
    """Every reply is to its own image and would be wrong for any other."""
    for record, output in zip(records, outputs, strict=True):
        assert [shows(other, output) for other in records] == [other is record for other in records]


def roll_out(engine: TransformersEngine, asked: RolloutInferRequest, scheduler: str) -> RolloutOutput:
    """By ms-swift's driver of colocated engines, one request at a time."""
    config = RequestConfig(**ASKED)

    def infer(requests: list[RolloutInferRequest], request_config: RequestConfig) -> list[RolloutOutput]:
        responses = engine.infer(requests, request_config, use_tqdm=False) if requests else []
        return [RolloutOutput(response=response) for response in responses]

    driver = multi_turns[scheduler](tokenizer=engine.tokenizer, template=engine.template)
    [output] = run_multi_turn([asked], infer([asked], config), driver, infer, config)
    return output


def roll_out_async(model: Path, records: list[Record], schedulers: tuple[str, ...]) -> list[list[RolloutOutput]]:
    """By each scheduler's own driver on vLLM in this process, all requests at once."""
    from swift.infer_engine import GRPOVllmEngine

    limits = {"max_model_len": MAX_MODEL_LEN, "limit_mm_per_prompt": {"image": 1 + MAX_CROPS, "video": 0}}
    engine = GRPOVllmEngine(str(model), **ENGINE, **limits, use_async_engine=True, enforce_eager=True)

    async def roll_out_all() -> list[list[RolloutOutput]]:
        return [
            await multi_turns[name](infer_engine=engine, max_turns=None).async_infer(
                [request(record, record.name) for record in records], RequestConfig(**ASKED), use_tqdm=False
            )
            for name in schedulers
        ]

    try:
        return asyncio.run(roll_out_all())
    finally:
        engine.engine.shutdown()
        del engine.engine  # it shuts down once more when it goes, which fails at the end of the process


@pytest.fixture(scope="module")
def all_records(benchmark_dir: Path) -> list[Record]:
    return read_records(benchmark_dir / "train/records.jsonl")


@pytest.fixture(scope="module")
def engine(trained_dir: Path) -> TransformersEngine:
    return TransformersEngine(str(trained_dir), **ENGINE)


@pytest.fixture(scope="module")
def server(trained_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RolloutServer]:
    """It may open what lies in the tests' own folder, and nothing else."""
    folder, seen = tmp_path_factory.mktemp("rollout"), str(tmp_path_factory.getbasetemp())
    with RolloutServer(trained_dir, folder, max_model_len=MAX_MODEL_LEN, SWIFT_MEDIA_ALLOWED_DIRS=seen) as started:
        yield started


@pytest.fixture(scope="module")
def records(engine: TransformersEngine, all_records: list[Record]) -> list[Record]:
    """Five images whose panels the model finds, and would not find in each other's places."""
    found: list[tuple[Record, RolloutOutput]] = []
    for record in all_records:
        output = roll_out(engine, request(record, record.name), "zoomin")
        apart = not any(shows(record, other) or shows(known, output) for known, other in found)
        if shows(record, output) and apart:
            found.append((record, output))
        if len(found) == 5:
            return [record for record, _ in found]
    pytest.fail(f"the model finds the panels of only {len(found)} images")


def test_server_async_vllm_and_transformers_make_the_same_trajectories(
    server: RolloutServer, engine: TransformersEngine, trained_dir: Path, records: list[Record]
) -> None:
    schedulers = ("zoomin", "zoomin_query2")
    of_transformers = [[roll_out(engine, request(r, r.name), name) for r in records] for name in schedulers]
    of_vllm = roll_out_async(trained_dir, records, schedulers)
    of_server = server.infer([request(record, record.name) for record in records], **ASKED)
    for alone, together in zip(of_transformers, of_vllm, strict=True):
        assert list(map(content, together)) == list(map(content, alone))
    assert list(map(content, of_server)) == list(map(content, of_vllm[0]))
    for output in of_server:
        assert output.rollout_infos["num_turns"] == len(output.rollout_infos["replies"]) == 2
        assert output.rollout_infos["crops"] == len(output.rollout_infos["images"]) - 1 == 1  # the panel was named
        assert output.rollout_infos["boxes_px"]
    for outputs, first_trained in zip(of_vllm, (1, 0), strict=True):
        for output in outputs:
            first, second = output.response_token_ids
            assert output.response_loss_mask == [[first_trained] * len(first), [1] * len(second)]
    assert_paired(records, of_server)


@pytest.mark.parametrize("form", ["reference", "path"])
def test_a_request_whose_image_is_out_of_the_servers_sight_fails_and_the_servers_log_names_the_file(
    server: RolloutServer, tmp_path: Path, form: str
) -> None:
    """ms-swift answers with a bare status; only its log says why."""
    path = str(tmp_path / "not on the server.png")
    image = path if form == "path" else str(ImageRef(path, (448, 448), limits=LIMITS))
    with pytest.raises(RuntimeError, match="500, Internal Server Error"):
        server.infer([request_for(image)], **ASKED)
    assert f"ImageError: {path}: no such image file" in server.log()


def test_a_damaged_image_fails_its_whole_batch_and_mixes_nothing_up(
    server: RolloutServer, records: list[Record], tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.jpg"
    with BytesIO() as whole:
        Image.open(records[0].image.path).convert("RGB").save(whole, "JPEG")
        damaged.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    reference = str(ImageRef.of(damaged))  # the header can be read, as when a dataset is loaded
    batch = [request(record, str(index)) for index, record in enumerate(records)]
    batch[2].images = [reference]
    with pytest.raises(RuntimeError, match="500, Internal Server Error"):
        server.infer(batch, **ENDLESS)
    assert f"ImageError: {damaged}: damaged image" in server.log()
    # The four others are still being answered now. Their names are given to other images.
    turned = records[1:] + records[:1]
    outputs = server.infer([request(record, str(index)) for index, record in enumerate(turned)], **ASKED)
    assert_paired(turned, outputs)


SECRET = "what nobody outside may read"


def ways_out(inside: Path, outside: Path) -> dict[str, str]:
    """Requests for a file that lies outside the folder that the server may open."""
    (inside / "link.png").symlink_to(outside)
    (inside / "folder").symlink_to(outside.parent)
    climbing = inside / os.path.relpath(outside, inside)
    return {
        "path": str(outside),
        "path with ..": str(climbing),
        "path through a link": str(inside / "link.png"),
        "reference": str(ImageRef(str(outside), (448, 448))),
        "reference with ..": str(ImageRef(str(climbing), (448, 448))),
        "reference through a link": str(ImageRef(str(inside / "link.png"), (448, 448))),
        "reference through a linked folder": str(ImageRef(str(inside / "folder" / outside.name), (448, 448))),
        "crop": str(ImageRef(str(outside), (448, 448), limits=LIMITS).crop([0, 0, 99, 99])),
    }


@pytest.mark.parametrize("kind", ["picture", "text"])
def test_a_server_gives_away_no_file_outside_its_folder(server: RolloutServer, tmp_path: Path, kind: str) -> None:
    with TemporaryDirectory() as elsewhere:
        outside = Path(elsewhere) / "private.png"
        outside.write_text(SECRET)
        if kind == "picture":
            words = PngInfo()
            words.add_text("Comment", SECRET)
            Image.new("RGB", (448, 448), (12, 34, 56)).save(outside, pnginfo=words)
        for way, image in ways_out(tmp_path, outside).items():
            before = len(server.log())
            asked = request_for("not yet")
            asked.images = [image]  # set afterwards: the client would send the file's content
            with pytest.raises(RuntimeError, match="500, Internal Server Error") as refused:
                server.infer([asked], **ASKED)
            assert SECRET not in str(refused.value), way
            said = server.log()[before:]
            assert "Refusing to read the media file" in said, way
            assert SECRET not in said, way


@pytest.mark.parametrize(("config", "sampled"), [({**ASKED, "max_tokens": 5}, 5), (ENDLESS, None)])
def test_a_first_reply_cut_by_length_ends_its_trajectory(
    server: RolloutServer, records: list[Record], config: dict[str, Any], sampled: int | None
) -> None:
    """Also where it would never end: the context is full long before the tokens that the client allows."""
    [output] = server.infer([request(records[0], "cut")], **config)
    [choice] = output.response.choices
    assert choice.finish_reason == "length"
    assert output.rollout_infos["num_turns"] == 1
    assert output.rollout_infos["replies"] == [choice.message.content]
    assert [message["role"] for message in output.messages] == ["user", "assistant"]
    [ids], [mask] = output.response_token_ids, output.response_loss_mask
    assert len(ids) == (sampled or MAX_MODEL_LEN - len(output.response.prompt_token_ids))
    assert mask == [1] * len(ids)


def test_a_killed_server_fails_the_request_in_flight_and_answers_after_a_restart(
    server: RolloutServer, records: list[Record]
) -> None:
    many = [request(record, f"{record.name} {copy}") for copy in range(8) for record in records]
    with ThreadPoolExecutor() as pool:
        in_flight = pool.submit(server.infer, many, **ENDLESS)
        time.sleep(1)
        assert not in_flight.done()
        server.kill()
        with pytest.raises(RuntimeError, match="Connection aborted"):
            in_flight.result(timeout=10)
    assert not list(server.processes())
    with pytest.raises(RuntimeError, match="Connection refused"):
        server.infer([request(records[0], "while it is down")], **ASKED)
    server.start()
    outputs = [server.infer([request(record, record.name)], **ASKED)[0] for record in records]
    assert_paired(records, outputs)
