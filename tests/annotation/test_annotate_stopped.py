"""`zoomin annotate` that cannot begin or is stopped: which status it ends with, and what it leaves alone."""

import json
import os
import signal
import threading
from pathlib import Path

import pytest
from annotate_in_process import ANSWERS, EXPLANATION, RESULTS, Command, annotating, arguments, contents, pictures
from answering_server import AnsweringServer, answering, fault, said
from marked_images import sent_image
from PIL import Image


@pytest.fixture
def zoomin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return annotating(monkeypatch, capsys)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    return pictures(tmp_path / "images")


def test_a_run_goes_on_in_a_folder_among_the_images(zoomin: Command, tmp_path: Path) -> None:
    """The sheet of the first run lies in no folder that is named for a label, and is none of the images."""
    folder = tmp_path / "photos"
    (folder / "real").mkdir(parents=True)
    Image.new("RGB", (560, 448)).save(folder / "real/1.png")
    with answering(*ANSWERS) as server:
        call = [*arguments(server, folder), "--label", "FOLDER", "--out", folder / "out"]
        assert zoomin(*call)[0] == 0
        assert (folder / "out/sheet.png").exists()
        status, printed, errors = zoomin(*call)
        assert (status, errors) == (0, "")
        assert printed.startswith("1 image: 1 record, 0 rejected; 0 calls")
        assert "1 image, 3 steps each: 3 calls" in zoomin(*call, "--dry-run")[1]


@pytest.mark.parametrize("name", RESULTS)
def test_a_file_of_another_origin_is_not_written_over(name: str, zoomin: Command, images: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    status, printed, errors = zoomin(*arguments("http://127.0.0.1:9/v1", images))
    assert (status, printed) == (1, "")
    expected = f"holds {name}, but no ledger of an annotation; choose another --out"
    assert errors == f"zoomin: {tmp_path / 'out'}: {expected}\n"
    assert contents(tmp_path / "out") == {name: b"mine"}


@pytest.mark.slow
def test_a_later_step_that_always_fails_stops_the_run(zoomin: Command, images: Path) -> None:
    """Explanations that succeed in between do not hide it: 20 of 40 are paid."""
    for number in range(3, 41):
        Image.new("RGB", (560, 448), (number, 0, 0)).save(images / f"{number}.png")
    turns = [said(EXPLANATION), fault(400, "no images here")] * 40
    with answering(*turns) as server:
        status, printed, errors = zoomin(*arguments(server, images))
    assert (status, len(server.asked)) == (3, 40)
    failed = "20 images in a row failed at the server of the step ground; the last: 400 no images here"
    assert errors == f"zoomin: stopped: {failed}; 20 images left, run the same again to go on\n"
    assert printed.startswith("41 images: 0 records, 1 rejected, 20 failed at the server")


@pytest.mark.parametrize("steps", ["EXPLAIN", "GROUND"])
def test_steps_of_one_address_share_its_key(
    steps: str, zoomin: Command, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The filter's model is asked where the grounding one is, with the key of that."""
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv(f"{steps}_API_KEY", "sk-of-one-step")
    with answering(*ANSWERS) as server:
        assert zoomin(*arguments(server, images, "--limit", 1))[0] == 0
    first = "sk-of-one-step" if steps == "EXPLAIN" else "none"
    assert [headers["authorization"] for headers in server.headers] == [
        *(f"Bearer {first}", "Bearer sk-of-one-step", "Bearer sk-of-one-step")
    ]


def test_a_key_is_not_sent_to_another_address(zoomin: Command, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("EXPLAIN_API_KEY", "sk-of-one-step")
    with answering(ANSWERS[0]) as first, answering(*ANSWERS[1:]) as second:
        assert zoomin(*arguments(first, images, "--limit", 1, "--ground-url", second.url))[0] == 0
    assert [headers["authorization"] for headers in second.headers] == ["Bearer none", "Bearer none"]


@pytest.fixture
def annotated(zoomin: Command, images: Path) -> Path:
    """The folder of a run that made two records."""
    with answering(*ANSWERS, *ANSWERS) as server:
        assert zoomin(*arguments(server, images))[0] == 0
    return images.parent / "out"


def test_a_wrong_key_or_model_leaves_an_earlier_run_alone(annotated: Path, zoomin: Command, images: Path) -> None:
    """The first image is rejected before anything is asked, and the other model makes all results be made anew."""
    (images / "0.png").write_text("no picture any more")
    before = contents(annotated)
    with answering(fault(401, "Incorrect API key provided")) as server:
        status, printed, errors = zoomin(*arguments(server, images), "--explain-model", "gpt-5")
    assert (status, printed) == (1, "")
    assert errors.endswith("; the key is that of OPENAI_API_KEY; nothing was annotated\n")
    assert contents(annotated) == before


def test_a_budget_before_the_first_record_leaves_an_earlier_run_alone(
    annotated: Path, zoomin: Command, images: Path
) -> None:
    before = contents(annotated)
    with answering(*ANSWERS) as server:
        others = ("--explain-model", "gpt-5", "--ground-model", "Qwen2-VL-7B-Instruct")
        status, printed, _ = zoomin(*arguments(server, images), *others, "--budget-calls", 1)
    assert status == 3
    assert f"no image became a record, and the files in {annotated} are those of an earlier run; 2 records" in printed
    assert contents(annotated) == before


def test_records_of_other_images_or_settings_are_told_of(annotated: Path, zoomin: Command, images: Path) -> None:
    with answering(*ANSWERS) as server:
        status, printed, _ = zoomin(*arguments(server, images, "--limit", 1))
    assert (status, len(server.asked)) == (0, 0)
    earlier = "1 record of earlier runs (other images or settings) in the ledger alone"
    assert printed.rstrip().endswith(f"; in {annotated}; {earlier}")
    assert (annotated / "records.jsonl").read_text().count("\n") == 1


def test_an_image_that_vanished_costs_the_sheet_alone(annotated: Path, zoomin: Command, images: Path) -> None:
    """The first image's record is carried over from the run before."""
    Image.new("RGB", (560, 448)).save(images / "3.png")

    def answer_last(server: AnsweringServer) -> None:
        while not server.asked:
            threading.Event().wait(0.005)
        (images / "0.png").unlink()

    with answering(*ANSWERS) as server:
        thread = threading.Thread(target=answer_last, args=(server,))
        thread.start()
        status, printed, errors = zoomin(*arguments(server, images, "--requests-per-minute", 240))
        thread.join()
    assert (status, errors.count("\n")) == (0, 1)
    assert printed.startswith("4 images: 3 records, 1 rejected; 3 calls")
    assert errors.startswith("zoomin: no new sheet.png: ")
    assert "0.png" in errors


def test_a_budget_spent_before_the_first_image_is_no_fault(zoomin: Command, images: Path, tmp_path: Path) -> None:
    with answering(*ANSWERS) as server:
        status, printed, errors = zoomin(*arguments(server, images, "--budget-calls", 1))
    assert status == 3
    assert printed.startswith("3 images: 0 records, 0 rejected, 3 left; 1 call ")
    assert errors == "zoomin: stopped: the budget of 1 call is spent; 3 images left, run the same again to go on\n"
    assert json.loads((tmp_path / "out/summary.json").read_text())["left"] == 3


def test_ctrl_c_before_the_first_image_is_an_interruption(zoomin: Command, images: Path) -> None:
    def interrupt(server: AnsweringServer) -> None:
        while not server.asked:
            threading.Event().wait(0.005)
        os.kill(os.getpid(), signal.SIGINT)

    with answering(*ANSWERS) as server:
        thread = threading.Thread(target=interrupt, args=(server,))
        thread.start()
        status, printed, errors = zoomin(*arguments(server, images, "--requests-per-minute", 60))
        thread.join()
    assert (status, printed, errors) == (130, "", "zoomin: interrupted; what is written stays\n")
    assert len(server.asked) == 1


def test_a_wrong_model_is_a_fault_also_after_a_rejected_image(zoomin: Command, images: Path) -> None:
    (images / "0.png").write_text("no picture")
    with answering(fault(404, "no such model")) as server:
        status, printed, errors = zoomin(*arguments(server, images))
    assert (status, printed) == (1, "")
    assert errors.endswith("; nothing was annotated\n")


def test_another_grounding_model_asks_for_no_explanation_again(zoomin: Command, images: Path) -> None:
    """Qwen3-VL is sent sides of 32 pixels, Qwen2.5-VL of 28; what the explaining model was sent stays the same."""
    call = ("--explain-model", "Qwen2.5-VL-72B-Instruct", "--filter-model", "none")
    with answering(*ANSWERS[:2], *ANSWERS[:2], ANSWERS[1]) as server:
        zoomin(*arguments(server, images, *call))
        status, printed, _ = zoomin(*arguments(server, images, *call), "--ground-model", "Qwen3-VL-8B-Instruct")
    assert status == 0
    assert printed.startswith("3 images: 2 records, 1 rejected; 2 calls")
    assert [body["model"] for body in server.asked[4:]] == ["Qwen3-VL-8B-Instruct"] * 2


def test_each_model_is_shown_the_size_that_its_prompt_states(zoomin: Command, images: Path) -> None:
    call = ("--ground-model", "Qwen3-VL-8B-Instruct", "--filter-model", "Qwen2.5-VL-7B-Instruct", "--limit", 1)
    with answering(*ANSWERS) as server:
        zoomin(*arguments(server, images), *call)
    shown = [body["messages"][0]["content"] for body in server.asked]
    sizes = [sent_image(picture["image_url"]["url"]).size for picture, _ in shown]
    # Of 32 pixels: 18 by 14 are fewer than 256, so both sides grow.
    assert sizes == [(576, 480), (576, 480), (560, 448)]
    assert "which is 560 wide and 448 high" in shown[2][1]["text"]
