"""`zoomin annotate` that cannot begin or is stopped: which status it ends with, and what it leaves alone."""

from pathlib import Path

import pytest
from annotate_in_process import ANSWERS, EXPLANATION, RESULTS, Command, annotating, arguments, contents, pictures
from answering_server import answering, fault, said
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
