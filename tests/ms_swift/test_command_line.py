"""What a command line of ms-swift says of its data sets, and which pairings are refused."""

from pathlib import Path

import pytest

from swift_zoomin.plugin.command_line import Command, read_command, records_file

SFT = ["/site-packages/swift/cli/sft.py"]
GRPO = ["/site-packages/swift/cli/rlhf.py", "--rlhf_type", "grpo"]
EXPORT = ["/site-packages/swift/cli/export.py", "--to_cached_dataset", "true"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: records under any name, in a folder, and data of other people."""
    monkeypatch.chdir(tmp_path)
    for name in ("train.jsonl", "data/records.jsonl", "parquet/records.parquet", "hub/train.csv", "chat.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("train.jsonl:sft", ["train.jsonl"]),
        ("./train.jsonl:sft#500", ["./train.jsonl"]),
        ("train.jsonl:sfft", ["train.jsonl"]),  # no file of another kind has subsets; the loader names the purposes
        ("gone.jsonl:query1", ["gone.jsonl"]),  # so that the error names the file, and no hub is asked
        ("data:sft", ["data"]),
        ("parquet:query1#3", ["parquet"]),
        ("data/records.jsonl:sft", []),  # registered under its name
        ("train.jsonl", []),
        ("chat.jsonl#20", []),
        ("hub:sft", []),  # a folder of a hub's layout, whose subset happens to be called so
        ("data:default", []),
        ("AI-ModelScope/alpaca:verdict", []),
        ("hf::someone/data.jsonl:sft", []),
        ("train.jsonl:sft#many", []),  # ms-swift says so itself
    ],
)
@pytest.mark.parametrize("option", ["--dataset", "--val_dataset", "--val-dataset", "--chord_sft_dataset"])
def test_files_and_folders_are_found_by_their_purpose(
    folder: Path, option: str, value: str, expected: list[str]
) -> None:
    assert read_command([*SFT, "--model", "m:sft", option, value, "--seed", "1"]).records_files() == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["train.jsonl:sft", "chat.jsonl#20", "hub:a"], ["chat.jsonl", "hub"]),
        (["chat.jsonl", "data/records.jsonl:sft"], ["chat.jsonl"]),
        (["data:sft", "hf::someone/chats"], ["someone/chats"]),
        (["chat.jsonl", "hub"], []),  # none of ours: nothing of ms-swift's changes
        (["train.jsonl:sft", "data:sft"], []),
        ([], []),
    ],
)
def test_data_sets_of_others_are_found_where_ours_are_named_too(
    folder: Path, values: list[str], expected: list[str]
) -> None:
    assert [named.dataset for named in read_command([*SFT, "--dataset", *values]).mixed_in()] == expected


def test_all_values_of_an_option_count_and_nothing_else(folder: Path) -> None:
    command = read_command(
        [*SFT, "--dataset", "chat.jsonl", "train.jsonl:sft", "data:sft", "--output_dir", "o.jsonl:sft"]
    )
    assert command.records_files() == ["train.jsonl", "data"]


@pytest.mark.parametrize("arguments", [[], [""], ["pytest", "--rlhf_type"], ["x.py", "--dataset"], ["x.py", "-h"]])
def test_any_other_program_is_no_command(arguments: list[str]) -> None:
    assert read_command(arguments) == Command()


def test_a_folder_means_the_records_in_it(folder: Path) -> None:
    assert records_file("data") == "data/records.jsonl"
    assert records_file("parquet") == "parquet/records.parquet"
    assert records_file("train.jsonl") == "train.jsonl"
    assert records_file("hub") == "hub"


PROMPTS, REPLIES = "holds no answers to learn", "holds replies, and GRPO makes its own; expected query1 or query2"


@pytest.mark.parametrize(
    ("arguments", "purpose", "problem"),
    [
        (SFT, "query1", PROMPTS),
        (SFT, "query2", PROMPTS),
        (["cli/pt.py"], "query1", PROMPTS),
        (EXPORT, "query2", PROMPTS),
        (SFT, "sft", None),
        (SFT, "verdict", None),
        (EXPORT, "sft", None),
        (["cli/export.py", "--quant_method", "awq"], "query1", None),
        (GRPO, "sft", REPLIES),
        (GRPO, "sft_joint", REPLIES),
        (GRPO, "query1", None),
        (GRPO, "query2", None),
        (GRPO, "explain", None),  # its one answer is taken away by ms-swift
        (["cli/rlhf.py", "--rlhf_type", "gkd"], "sft", None),
        (["cli/infer.py"], "query1", None),
        (["notebook"], "query1", None),
    ],
)
def test_a_purpose_of_no_use_to_the_command_is_one_line(
    arguments: list[str], purpose: str, problem: str | None
) -> None:
    command = read_command([*arguments, "--dataset", f"d/records.jsonl:{purpose}#10"])
    said = command.problem("d/records.jsonl", purpose)
    assert (said is None) == (problem is None)
    if problem:
        assert said.startswith(f"d/records.jsonl:{purpose} {problem}")
        assert "\n" not in said


def test_the_fault_names_what_can_be_taught_instead() -> None:
    said = read_command([*SFT, "--dataset", "a.jsonl:query1"]).problem("a.jsonl", "query1")
    expected = "one of sft, sft_joint, explain, ground, verdict (GRPO: swift rlhf)"
    assert said == f"a.jsonl:query1 holds no answers to learn; expected {expected}"


@pytest.mark.parametrize("others", [["b.jsonl:query1", "chat.jsonl"], ["b.jsonl:sft"]])
def test_one_data_set_of_replies_among_the_prompts_is_refused_and_no_other(others: list[str]) -> None:
    command = read_command([*GRPO, "--dataset", "a.jsonl:sft", *others, "--chord_sft_dataset", "c.jsonl:sft"])
    assert command.problem("a.jsonl", "sft")
    assert command.problem("c.jsonl", "sft") is None  # to be imitated, though another file of that purpose is a prompt


def test_replies_to_imitate_beside_grpo_are_no_prompts() -> None:
    command = read_command([*GRPO, "--dataset", "a.jsonl:query2", "--chord_sft_dataset", "a.jsonl:sft"])
    assert command.problem("a.jsonl", "query2") is None
    assert command.problem("a.jsonl", "sft") is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a.jsonl", ["a.jsonl", "b.parquet"]),
        ("b.parquet", ["a.jsonl", "b.parquet"]),
        ("c.jsonl", ["a.jsonl", "b.parquet", "c.jsonl"]),
        ("d.jsonl", ["d.jsonl", "a.jsonl"]),
        ("elsewhere.jsonl", []),
    ],
)
def test_files_of_one_option_stand_beside_each_other(path: str, expected: list[str]) -> None:
    named = ["--dataset", "a.jsonl:sft", "chat.jsonl", "b.parquet:sft#5", "a.jsonl:verdict"]
    named += ["--val_dataset", "c.jsonl:sft", "--chord_sft_dataset", "d.jsonl:sft", "a.jsonl:sft"]
    assert read_command(["cli/sft.py", *named]).files_beside(path) == expected


def test_a_worker_of_ray_reads_the_command_where_ms_swift_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["default_worker.py", "--node-ip-address", "127.0.0.1"])
    monkeypatch.setenv("RAY_SWIFT_ARGS", '["--dataset", "a.jsonl:sft", "b.jsonl:sft"]')
    assert read_command().files_beside("a.jsonl") == ["a.jsonl", "b.jsonl"]
    assert read_command(["cli/sft.py"]).files_beside("a.jsonl") == []
