"""`zoomin detect --engine endpoint`, run as a user runs it, against a real HTTP server."""

import asyncio
import json
import sys
from pathlib import Path

import pytest
from answering_server import AnsweringServer, answering, fault, said
from PIL import Image

from swift_zoomin.checkpoints import CheckpointError, read_checkpoint
from swift_zoomin.detection import served_model
from swift_zoomin.families import Frame
from swift_zoomin.records import RecordError
from swift_zoomin.replies import GENERATED, REAL, Reply, render_reply
from swift_zoomin.served.client import ModelClient
from swift_zoomin.served.requests import Paid, Request

KEY = "sk-secret-0123456789"
FIRST = said(render_reply(Reply(REAL, [[100, 100, 500, 500]], ["sign"], "Clean.")))
FINAL = said(render_reply(Reply(GENERATED, [], [], "It melts.")))


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "MAX_PIXELS", "MIN_PIXELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.new("RGB", (2000, 1000), "grey").save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def arguments(server: AnsweringServer | str, photo: Path, model: str, *options: object) -> list[object]:
    url = server if isinstance(server, str) else server.url
    out = ("--out", photo.parent / "predictions.jsonl")
    return ["detect", photo, "--engine", "endpoint", "--url", url, "--model", model, *out, *options]


def predictions(photo: Path) -> list[dict]:
    return [json.loads(line) for line in (photo.parent / "predictions.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("model", "options", "box", "made_by"),
    [
        # 2000 x 1000 is shown as 1400 x 700: 50 x 25 tokens are the most of that shape below 1,280
        ("Qwen2.5-VL-7B-Instruct", (), [142.86, 142.86, 714.29, 714.29], "(served, boxes absolute)|"),
        ("gpt-4o", (), [200, 100, 1000, 500], "(served, boxes norm1000)|"),
        ("my-own", ("--frame", "norm1000"), [200, 100, 1000, 500], "family unknown|"),
        ("qwen2.5-vl", ("--frame", "norm1000"), [200, 100, 1000, 500], "family Qwen2.5-VL|"),
    ],
)
def test_anybody_can_look_twice_with_a_model_behind_an_address(
    zoomin, photo: Path, model: str, options: tuple[str, ...], box: list[float], made_by: str
) -> None:
    with answering(FIRST, FINAL) as server:
        status, out, errors = zoomin(*arguments(server, photo, model, *options))
    assert (status, errors) == (0, "")
    assert "1 image: 1 with a verdict" in out
    [row] = predictions(photo)
    assert (row["initial_verdict"], row["verdict"], row["boxes"]) == (REAL, GENERATED, [box])
    assert row["made_by"].startswith(f"model {model} (served, boxes ")
    assert made_by in row["made_by"]
    assert [body["model"] for body in server.asked] == [model] * 2
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {KEY}"}


def test_the_key_is_written_nowhere(zoomin, photo: Path) -> None:
    replies = [said(f"<explanation>{KEY}</explanation><verdict>real</verdict>"), fault(400, f"Not for {KEY}.")]
    with answering(*replies) as server:
        status, out, errors = zoomin(*arguments(server, photo, "gpt-4o"))
    [row] = predictions(photo)
    assert (status, row["initial_explanation"], row["error"]) == (1, "[key]", "the server: 400 Not for [key].")
    files = [path.read_bytes() for path in photo.parent.iterdir()]
    assert not any(KEY.encode() in text for text in [*files, out.encode(), errors.encode()])


def test_a_run_goes_on_with_the_same_model_at_another_address(zoomin, photo: Path) -> None:
    with answering(fault(400, "not now")) as server:
        assert zoomin(*arguments(server, photo, "gpt-4o"))[0] == 1
    with answering(FIRST, FINAL) as server:
        assert zoomin(*arguments(server, photo, "gpt-4o"))[0] == 0
    assert [row["error"] for row in predictions(photo)] == [None]


def test_a_wrong_key_is_one_line(zoomin, photo: Path) -> None:
    with answering(fault(401, f"Incorrect API key provided: {KEY}.")) as server:
        status, _, errors = zoomin(*arguments(server, photo, "gpt-4o"))
    reason = "401 Incorrect API key provided: [key].; the key is that of OPENAI_API_KEY"
    assert (status, errors) == (1, f"zoomin: {server.url}: model gpt-4o: {reason}\n")


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--url", "localhost:8000"), "localhost:8000: no address; expected one like https://api.openai.com/v1 or"),
        (("--model", "my-own"), "--model my-own: how it writes boxes is not known; set --frame absolute or norm1000"),
        (("--engine", "vllm"), "--url, --frame and --timeout are about --engine endpoint; leave them out, or set that"),
        (("--null",), "-0 is about names from standard input; leave it out, or read them with -"),
        (("--false-alarms", "0.05"), "--false-alarms is about --calibration; leave it out, or set that"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_said_before_anything_is_asked(
    zoomin, photo: Path, options: tuple[str, ...], line: str
) -> None:
    status, _, errors = zoomin(*arguments("http://127.0.0.1:9/v1", photo, "gpt-4o"), *options)
    assert (status, errors.count("\n")) == (1, 1)
    assert errors.startswith(f"zoomin: {line}")


@pytest.mark.parametrize("option", [("--url", "http://a/v1"), ("--frame", "absolute"), ("--timeout", 120)])
def test_what_no_other_engine_has_a_use_for_is_refused_there(zoomin, photo: Path, option: tuple[str, object]) -> None:
    status, _, errors = zoomin("detect", photo, "--model", "hub/none", *option)
    refusal = "zoomin: --url, --frame and --timeout are about --engine endpoint; leave them out, or set that\n"
    assert (status, errors) == (1, refusal)


def test_a_run_that_is_ended_says_first_what_it_has_done(zoomin, photo: Path) -> None:
    Image.new("RGB", (56, 56)).save(photo.parent / "second.png")
    with answering(FIRST, FINAL, fault(401, "expired")) as server:
        detect, _, *given = arguments(server, photo, "gpt-4o", "--concurrency", 1)
        status, out, errors = zoomin(detect, photo, photo.parent / "second.png", *given)
    assert (status, out) == (1, "1 image: 1 with a verdict\n")
    assert errors.startswith(f"zoomin: {server.url}: model gpt-4o: 401 expired")
    assert [row["image"] for row in predictions(photo)] == ["photo.png"]


def test_what_is_in_flight_when_a_run_ends_is_kept(zoomin, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four are asked their last question as the fifth is told that the key has expired."""
    images = [photo, *(photo.parent / f"{number}.png" for number in range(4))]
    for image in images[1:]:
        image.write_bytes(photo.read_bytes())
    ask = ModelClient.ask
    seconds, is_over = 0, asyncio.Event()

    async def ask_and_wait(client: ModelClient, request: Request) -> Paid:
        nonlocal seconds
        if len(request.messages) == 1:
            return await ask(client, request)
        seconds += 1
        if seconds == len(images):
            try:
                return await ask(client, request)
            finally:
                is_over.set()
        await is_over.wait()
        return Paid(json.loads(FINAL.body)["choices"][0]["message"]["content"], "stop", None, None, 0.0)

    monkeypatch.setattr(ModelClient, "ask", ask_and_wait)
    with answering(*[FIRST] * len(images), fault(401, "expired")) as server:
        detect, _, *given = arguments(server, photo, "gpt-4o")
        status, out, errors = zoomin(detect, *images, *given)
    assert (status, out) == (1, "4 images: 4 with a verdict\n")
    assert "401 expired" in errors
    assert [row["error"] for row in predictions(photo)] == [None] * 4


def test_an_endpoint_without_an_address_is_refused(zoomin, photo: Path) -> None:
    given = arguments("x", photo, "gpt-4o")
    given.remove("--url")
    given.remove("x")
    status, _, errors = zoomin(*given)
    assert (status, errors) == (
        1,
        "zoomin: --engine endpoint: no --url; expected an address, as http://localhost:8000/v1\n",
    )


def test_the_missing_client_is_named_with_its_extra(zoomin, photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    status, _, errors = zoomin(*arguments("http://127.0.0.1:9/v1", photo, "gpt-4o"))
    assert status == 1
    assert errors == 'zoomin: --engine endpoint needs openai; pip install "swift-zoomin[endpoint]"\n'


def test_a_checkpoint_served_under_its_folder_is_shown_what_it_was_trained_with(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    sizes = {"shortest_edge": 3136, "longest_edge": 12544}
    processor = {"image_processor": {"size": sizes, "zoomin": {"prompts": "1a2b3c4d"}}}
    (tmp_path / "processor_config.json").write_text(json.dumps(processor))
    served = served_model.open_served(str(tmp_path), "http://localhost:8000/v1", None)
    assert str(served.settings.limits) == "3136-12544"
    assert served.settings.prompts == "1a2b3c4d"
    assert served.name_with_hash() == f"{read_checkpoint(tmp_path).name_with_hash()} (served, boxes absolute)"
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    other = served_model.open_served(str(tmp_path), "http://localhost:8000/v1", None)
    assert other.name_with_hash() != f"{tmp_path} (served, boxes absolute)"
    assert other.name_with_hash().startswith(f"{tmp_path.name} (weights ")


def test_a_folder_of_a_family_that_is_only_served_goes_by_its_name(tmp_path: Path) -> None:
    url = "http://localhost:8000/v1"
    for name in ("InternVL3-8B", "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"model_type": "internvl_chat"}')
    known = served_model.open_served(str(tmp_path / "InternVL3-8B"), url, None)
    assert known.settings.limits.family.name == "InternVL"
    told = served_model.open_served(str(tmp_path / "mine"), url, "absolute")
    assert told.settings.limits.family.frame == Frame.ABSOLUTE
    assert told.name_with_hash() == f"{tmp_path / 'mine'} (served, boxes absolute)"
    with pytest.raises(RecordError, match="mine: how it writes boxes is not known; set --frame"):
        served_model.open_served(str(tmp_path / "mine"), url, None)


def test_a_folder_that_is_trained_as_another_family_is_refused_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen2_5_vl"}')
    mark = {"image_processor": {"zoomin": {"prompts": "1a2b3c4d", "family": "Qwen3-VL"}}}
    (tmp_path / "processor_config.json").write_text(json.dumps(mark))
    with pytest.raises(CheckpointError, match="trained as a Qwen3-VL"):
        served_model.open_served(str(tmp_path), "http://localhost:8000/v1", None)
