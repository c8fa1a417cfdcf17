"""A detector's answers as a table: what is read, and that what a table does not say is asked for instead of guessed."""

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from foreign_files import NAMES, make_set, table
from PIL import Image

from swift_zoomin.evaluation.foreign.classifiers import read_antifakeprompt
from swift_zoomin.evaluation.foreign.rows import Stated
from swift_zoomin.evaluation.reading import read_method
from swift_zoomin.evaluation.sources import Source
from swift_zoomin.predictions import Predictions
from swift_zoomin.records import RecordError, read_records, write_records

GENERATED_HALF = Stated("generated", 0.5)
REAL_HALF = Stated("real", 0.5)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_set(tmp_path_factory.mktemp("tables") / "set")


def read(records: Path, path: Path, stated: Stated) -> Predictions:
    return read_method([Source(None, "table", path)], read_records(records), stated)[0]


def of_first(records: Path, path: Path, stated: Stated) -> dict[str, Any]:
    return read(records, path, stated)[records.parent / NAMES[0]]


@pytest.mark.parametrize(
    ("column", "cell", "stated", "verdict"),
    [
        ("verdict", "real", Stated(), "real"),
        ("verdict", " Generated ", Stated(), "generated"),
        ("label", "FAKE", Stated(), "generated"),
        ("verdict", "", Stated(), None),
        ("label", "1", Stated("generated"), "generated"),
        ("label", "1", Stated("real"), "real"),
        ("label", "0", Stated("generated"), "real"),
        ("verdict", "0.0", Stated("real"), "generated"),
        ("verdict", "True", Stated("generated"), "generated"),
        ("label", "real", Stated("generated"), "real"),  # a word means itself
        ("score", "0.7", GENERATED_HALF, "generated"),
        ("score", "0.7", REAL_HALF, "real"),
        ("score", "0.5", GENERATED_HALF, "real"),  # equal is not above
        ("score", "0.5", REAL_HALF, "generated"),
        ("score", "0.7", Stated("generated", 0.9), "real"),
        ("score", "", GENERATED_HALF, None),
        ("score", "1e-3", GENERATED_HALF, "real"),
    ],
)
def test_a_cell_means_what_is_stated(
    records: Path, tmp_path: Path, column: str, cell: str, stated: Stated, verdict: str | None
) -> None:
    path = table(tmp_path / "t.csv", f"image,{column}", f"{NAMES[0]},{cell}", f"{NAMES[1]},")
    assert of_first(records, path, stated)["verdict"] == verdict


@pytest.mark.parametrize(("stated", "score"), [(GENERATED_HALF, 0.25), (REAL_HALF, 0.75)])
def test_a_score_becomes_the_probability_of_generated(
    records: Path, tmp_path: Path, stated: Stated, score: float
) -> None:
    path = table(tmp_path / "t.csv", "image,score", f"{NAMES[0]},0.25")
    assert of_first(records, path, stated)["score"] == score


def test_a_verdict_beside_a_score_is_kept(records: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "image,verdict,score", f"{NAMES[0]},real,0.9", f"{NAMES[1]},fake,")
    rows = read(records, path, Stated("generated"))
    assert [(row["verdict"], row.get("score")) for row in rows.values()] == [("real", 0.9), ("generated", None)]


def test_a_threshold_that_would_change_nothing_is_refused(records: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "image,verdict,score", f"{NAMES[0]},real,0.9")
    with pytest.raises(RecordError, match="has verdict, which --threshold would not change; remove either"):
        read(records, path, GENERATED_HALF)


def test_a_threshold_says_that_a_score_is_the_answer_and_a_label_is_not(records: Path, tmp_path: Path) -> None:
    path = table(tmp_path / "t.csv", "image,label,score", f"{NAMES[0]},1,0.1")
    assert of_first(records, path, GENERATED_HALF)["verdict"] == "real"


REFUSED = [
    ("image,label\na.png,1\n", (), "label has 0 or 1, and nothing says what a 1 means; add --positive generated or"),
    ("image,verdict\na.png,real\nb.png,0\n", (), "verdict has 0 or 1, and nothing says what a 1 means; add --positive"),
    ("image,score\na.png,0.4\n", ("--positive", "real"), "does not say what it means; add --threshold, above which"),
    ("image,score\na.png,0.4\n", ("--threshold", "0.5"), "does not say what it means; add --positive generated or"),
    (
        "image,score\na.png,0.4\n",
        (),
        "has a score, and does not say what it means; add --positive generated or --positive real; add --threshold, ",
    ),
    ("image,verdict,score\na.png,real,0.4\n", (), "add --positive generated or --positive real"),
    (
        "image,label,score\na.png,1,0.4\n",
        ("--positive", "real"),
        "a label may be the truth; keep the detector's answer",
    ),
    ("image,label,score\na.png,1,0.4\n", (), "or add --threshold to take it from the score"),
    ("image,label,verdict\na.png,1,real\n", (), "has verdict and label, and a label may be the truth; keep the"),
    ("path,score\na.png,0.4\n", (), "has path, score; expected image and any of verdict, label, score"),
    ("image,prob\na.png,0.4\n", (), "has image, prob; expected image and any of verdict, label, score"),
    ("", (), "has nothing; expected image and any of"),
    ("image,verdict\n", (), "holds no prediction"),
    ("image,verdict\na.png,maybe\n", (), "t.csv:2: verdict 'maybe'; expected real, generated, fake, or 0 and 1 with"),
    ("image,verdict\na.png,real,0.4\n", (), "t.csv:2: 3 cells; expected 2, as the head has"),
    ("image,score\na.png,nan\n", ("--positive", "real", "--threshold", "0.5"), "t.csv:2: score 'nan'; expected a"),
    ("image,score\na.png,3.2\n", ("--positive", "real", "--threshold", "0.5"), "(of a logit, its sigmoid), or nothing"),
    ("image,score\na.png,-1\n", ("--positive", "real", "--threshold", "0.5"), "score '-1'; expected a probability"),
    ("image,score\na.png,high\n", ("--positive", "real", "--threshold", "0.5"), "score 'high'; expected a probability"),
    ("image,verdict\n,real\n", (), "t.csv:2: image None; expected a path"),
    ("image,verdict,seconds\na.png,real,fast\n", (), "t.csv:2: seconds 'fast'; expected a number from 0"),
    ("image,verdict\na.png,real\na.png,fake\n", (), "t.csv:3: verdict 'generated'; an earlier row of "),
]


@pytest.mark.parametrize(("content", "stated", "said"), REFUSED)
def test_what_is_not_said_is_refused_with_what_to_add(
    records: Path, tmp_path: Path, zoomin, content: str, stated: tuple[str, ...], said: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content.replace("a.png", NAMES[0]).replace("b.png", NAMES[1]))
    status, out, err = zoomin("evaluate", records, path, *stated)
    assert (status, out) == (1, "")
    assert err.startswith(f"zoomin: {path}")
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_table_reads_alike_from_csv_tsv_json_lines_and_parquet(records: Path, tmp_path: Path, zoomin) -> None:
    rows = [
        {"image": NAMES[0], "label": 0, "seconds": 0.5, "explanation": 'He said: "real, I think"'},
        {"image": NAMES[1], "label": 1, "seconds": 1.5, "explanation": None},
        {"image": NAMES[2], "label": None, "seconds": None, "explanation": "a\nb"},
    ]
    quoted = (f'{NAMES[0]},0,0.5,"He said: ""real, I think"""', f"{NAMES[1]},1,1.5,", f'{NAMES[2]},,,"a\nb"')
    table(tmp_path / "comma.csv", "image,label,seconds,explanation", *quoted)
    marks = ('{0};0;0.5;"He said: ""real, I think"""', "{1};1;1.5;", '{2};;;"a\nb"')
    table(tmp_path / "semicolon.csv", "\ufeffimage;label;seconds;explanation", *(mark.format(*NAMES) for mark in marks))
    tabs = [mark.format(*NAMES).replace(";", "\t") for mark in marks]
    table(tmp_path / "tabs.tsv", "image\tlabel\tseconds\texplanation", *tabs)
    write_records(tmp_path / "lines.jsonl", rows)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "columns.parquet")
    files = [tmp_path / name for name in ("comma.csv", "semicolon.csv", "tabs.tsv", "lines.jsonl", "columns.parquet")]
    read_rows = [list(read(records, file, Stated("generated")).values()) for file in files]
    assert [row["verdict"] for row in read_rows[0]] == ["real", "generated", None]
    assert read_rows[0][0]["explanation"] == 'He said: "real, I think"'
    assert read_rows[0][1]["seconds"] == 1.5
    for other in read_rows[1:]:
        assert other == read_rows[0]
    status, _, err = zoomin("evaluate", records, *files, "--positive", "generated", "--out", tmp_path / "out")
    assert (status, err) == (0, "")
    methods = json.loads((tmp_path / "out" / "metrics.json").read_text())["methods"]
    assert list(methods) == ["comma", "semicolon", "tabs", "lines", "columns"]
    assert {figures["accuracy"]["value"] for figures in methods.values()} == {0.25}
    assert {figures["unparsed"]["value"] for figures in methods.values()} == {1}


def test_an_image_of_a_hugging_face_table_is_known_by_its_path(records: Path, tmp_path: Path) -> None:
    rows = [{"image": {"bytes": b"", "path": NAMES[0]}, "verdict": "real"}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "t.parquet")
    assert of_first(records, tmp_path / "t.parquet", Stated())["verdict"] == "real"


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet"])
def test_a_file_that_is_no_table_is_named(records: Path, tmp_path: Path, zoomin, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    status, out, err = zoomin("evaluate", records, tmp_path / name)
    assert (status, out) == (1, "")
    assert err.startswith(f"zoomin: {tmp_path / name}: cannot be read as ")


def test_boxes_and_errors_of_a_table_count_as_ours_do(records: Path, tmp_path: Path, zoomin) -> None:
    rows = [
        {"image": NAMES[2], "label": "fake", "boxes": [[10, 12, 30, 40]], "explanation": "six fingers"},
        {"image": NAMES[3], "label": None, "error": "cannot be opened"},
    ]
    write_records(tmp_path / "t.jsonl", rows)
    assert zoomin("evaluate", records, tmp_path / "t.jsonl", "--out", tmp_path / "out")[0] == 0
    figures = json.loads((tmp_path / "out" / "metrics.json").read_text())["methods"]["t"]
    assert figures["iou"]["value"] == 0.25  # one of four images is marked
    assert (figures["failed"]["value"], figures["missing"]["value"]) == (1, 2)
    write_records(tmp_path / "t.jsonl", [{**rows[0], "boxes": [[1, 2]]}])
    status, _, err = zoomin("evaluate", records, tmp_path / "t.jsonl")
    assert (status, err) == (1, f"zoomin: {tmp_path}/t.jsonl:1: boxes [[1, 2]]; expected a list of [x1, y1, x2, y2]\n")


@pytest.mark.parametrize("image", [[], {}, 3, None, "", "a\0b"])
def test_an_image_that_is_no_path_is_named(records: Path, tmp_path: Path, zoomin, image: Any) -> None:
    write_records(tmp_path / "t.jsonl", [{"image": image, "label": "real"}])
    status, _, err = zoomin("evaluate", records, tmp_path / "t.jsonl")
    assert status == 1
    assert err.startswith(f"zoomin: {tmp_path}/t.jsonl:1: image ")


def test_entries_of_antifakeprompts_list_of_answers_are_numbers(tmp_path: Path) -> None:
    rows = [{"img_path": name, "ans": number} for number, name in enumerate(NAMES[1:3])]
    write_records(tmp_path / "t.jsonl", rows)
    verdicts = [row["verdict"] for _, row in read_antifakeprompt(tmp_path / "t.jsonl", Stated())]  # type: ignore[index]
    assert verdicts == ["real", "generated"]


def test_what_is_stated_for_one_table_leaves_the_others_alone(records: Path, tmp_path: Path, zoomin) -> None:
    rows = [f"{name},{score}" for name, score in zip(NAMES, (0.1, 0.2, 0.8, 0.9), strict=True)]
    fake, real = table(tmp_path / "fake.csv", "image,score", *rows), table(tmp_path / "real.csv", "image,score", *rows)
    command = ("evaluate", records, fake, f"R={real}", "--positive", "generated", "--positive", "R=real")
    status, _, err = zoomin(*command, "--threshold", "0.5", "--threshold", "R=0.85", "--out", tmp_path / "out")
    assert (status, err) == (0, "")
    methods = json.loads((tmp_path / "out" / "metrics.json").read_text())["methods"]
    assert methods["fake"]["accuracy"]["value"] == 1
    assert methods["R"]["accuracy"]["value"] == 0.25  # 0.9 alone is real, which is wrong; 0.8 is generated
    assert (methods["fake"]["auc"]["value"], methods["R"]["auc"]["value"]) == (1, 0)


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        (("--positive", "X=real"), "zoomin: --positive X=real: the tables are called t\n"),
        (("--threshold", "p=0.5"), "zoomin: --threshold p=0.5: the tables are called t\n"),
    ],
)
def test_what_is_stated_of_no_table_is_refused(
    records: Path, tmp_path: Path, zoomin, stated: tuple[str, ...], said: str
) -> None:
    path = table(tmp_path / "t.csv", "image,verdict", f"{NAMES[0]},real")
    ours = records.parent / "p.jsonl"
    write_records(ours, [{"image": NAMES[0], "verdict": "real"}])
    assert zoomin("evaluate", records, path, ours, *stated) == (1, "", said)
    status, _, err = zoomin("evaluate", records, ours, "--threshold", "0.5")
    assert (status, err) == (1, "zoomin: --threshold 0.5: is for tables of answers, and none of the files is one\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--positive", "fake"), "'fake'; expected [NAME=]real or [NAME=]generated"),
        (("--threshold", "high"), "'high'; expected [NAME=]NUMBER, from 0 to 1"),
        (("--threshold", "1.5"), "'1.5'; expected [NAME=]NUMBER, from 0 to 1"),
        (("--threshold", "nan"), "'nan'; expected [NAME=]NUMBER, from 0 to 1"),
        (("npd:t.csv",), "no format 'npd'; expected one of table, fakeshield,"),
        (("npr:",), "empty; is a variable unset?"),
        (("",), "empty; is a variable unset?"),
    ],
)
def test_arguments_that_say_nothing_are_named(records: Path, zoomin, arguments: tuple[str, ...], said: str) -> None:
    status, out, err = zoomin("evaluate", records, "t.csv", *arguments)
    assert (status, out) == (2, "")
    assert said in err


def test_a_file_whose_name_looks_like_a_source_is_a_file(records: Path, tmp_path: Path, zoomin) -> None:
    for name in ("npr:t.csv", "a=b.csv", "odd:name.csv"):
        table(tmp_path / name, "image,verdict", *(f"{records.parent / image},real" for image in NAMES))
    names = ("npr:t.csv", "a=b.csv", "odd:name.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        status, out, err = zoomin("evaluate", records, *names, "M=odd:name.csv")
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[2:6]] == ["npr:t", "a=b", "odd:name", "M"]


def test_two_methods_of_one_name_are_refused(records: Path, tmp_path: Path, zoomin) -> None:
    path = table(tmp_path / "t.csv", "image,verdict", f"{NAMES[0]},real")
    status, _, err = zoomin("evaluate", records, path, f"t={path}")
    assert (status, err) == (1, f"zoomin: {path}: is called t in a table, as another method; write NAME={path}\n")


def test_a_score_beside_a_verdict_waits_for_its_polarity(records: Path, tmp_path: Path, zoomin) -> None:
    path = tmp_path / "theirs.jsonl"
    write_records(path, [{"image": str(records.parent / NAMES[0]), "verdict": "real", "score": 0.9}])
    status, _, err = zoomin("evaluate", records, path)
    assert (status, "has a score, and does not say what it means" in err) == (1, True)


def test_an_image_of_one_class_is_not_taken_for_one_of_the_other(tmp_path: Path, zoomin) -> None:
    """Both folders number their images from 0, and the file of the fakes alone is compared with real records."""
    rows = []
    for number in range(3):
        folder = tmp_path / "0_real"
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (9, 9), (number, 0, 0)).save(folder / f"{number}.png")
        rows.append({"image": f"0_real/{number}.png", "label": "real"})
    write_records(tmp_path / "records.jsonl", rows)
    fakes = table(tmp_path / "t.csv", "image,score", *[f"/data/x/1_fake/{number}.png,0.9" for number in range(3)])
    status, _, err = zoomin("evaluate", tmp_path / "records.jsonl", f"npr:{fakes}")
    assert (status, "no prediction belongs to a record" in err) == (1, True)
