"""A rehearsal of the recipes with the tiny model, run as a user runs it, and what it refuses before anything is run."""

import json
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import ROOT
from random_model import FIRST_SPECIAL_ID, REPLY_TOKENS, ends, known_size, load_processor, make
from rehearsal_memory import planned
from run_recipe import environment
from scripted_swift import write_programs

ARGUMENTS = [
    *("--torch_dtype", "float32", "--gradient_checkpointing", "false", "--deepspeed", ""),
    *("sft:", "--per_device_train_batch_size", "8"),
    *("grpo:", "--use_vllm", "false", "--per_device_train_batch_size", "8", "--max_completion_length", "80"),
    *("detect:", "--max-new-tokens", "80"),
]


def rehearse(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(ROOT / "shell" / "rehearse.sh"), *arguments]
    tiny = {"GPUS": "0", "DISK": "1", "MAX_PIXELS": "12544"}
    return subprocess.run(command, env=environment(**{**tiny, **variables}), capture_output=True, text=True)


@pytest.fixture(scope="module")
def rehearsed(trained_dir: Path, benchmark_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a rehearsal of shell/7b, and what it printed."""
    out = tmp_path_factory.mktemp("rehearsal") / "7b"
    data = str(benchmark_dir / "train" / "records.jsonl")
    done = rehearse("7b", *ARGUMENTS, MODEL=str(trained_dir), DATA=data, OUT=str(out))
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
    return out, done.stdout


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "report.json").read_text())


def test_all_stages_are_trained_stopped_and_gone_on_with(rehearsed: tuple[Path, str]) -> None:
    stages = read(rehearsed[0])["stages"]
    assert list(stages) == ["sft", "grpo_query1", "grpo_query2"]
    for stage in stages.values():
        assert stage["is_whole"]
        assert stage["goes_on"]
        assert stage["loss_is_finite"]
        assert stage["measured_steps"] >= 2
        assert stage["checkpoint_bytes"] > 10e6  # 1.3e6 parameters in float32, and Adam's two moments
        assert stage["hours"] > 0
        assert stage["planned"]["gpu"] > 0
        assert stage["host_gib"] > 0


def test_the_whole_run_is_counted_from_the_users_own_file(rehearsed: tuple[Path, str]) -> None:
    seen = read(rehearsed[0])
    assert (seen["sampled"], seen["total"]) == (16, 32)
    steps = {name: stage["whole"]["steps"] for name, stage in seen["stages"].items()}
    assert steps == {"sft": 8, "grpo_query1": 8, "grpo_query2": 8}  # 32 x 2 rows in eights; 32 prompts, twice each


def test_both_queries_were_rolled_out_and_eight_images_detected(rehearsed: tuple[Path, str]) -> None:
    seen = read(rehearsed[0])
    assert max(seen["stages"]["grpo_query2"]["turns"]) > 1
    assert seen["detection"]["images"] == 8


def test_the_report_is_printed_whole_and_the_disk_is_free_again(rehearsed: tuple[Path, str]) -> None:
    folder, printed = rehearsed
    text = (folder / "report.txt").read_text()
    assert printed.endswith(text)
    assert text.startswith("rehearsal of shell/7b: 16 of 32 records\n")
    assert text.endswith("nothing to change\n")
    for words in ("GPU GiB (planned)", "hours of the whole run: ", "disk: ", "detection: 8 images, "):
        assert words in text
    assert not list(folder.rglob("*.safetensors"))


def test_what_a_recipe_refuses_is_in_the_report(model_dir: Path, benchmark_dir: Path, tmp_path: Path) -> None:
    data = str(benchmark_dir / "train" / "records.jsonl")
    variables = {"MODEL": str(model_dir), "DATA": data, "OUT": str(tmp_path / "out"), "DISK": "123456789"}
    done = rehearse("7b", *ARGUMENTS, **variables)
    assert done.returncode == 1
    (change,) = [line for line in done.stdout.splitlines() if line.startswith("CHANGE")]
    assert change.startswith(f"CHANGE sft: OUT={tmp_path}/out/sft: ")
    assert change.endswith("123456789 GB needed; set OUT elsewhere, or DISK")


@pytest.mark.parametrize(
    ("arguments", "changes", "complaint"),
    [
        ([], {}, "no first argument: no recipes in such a folder of shell/; expected 7b, 32b, 1gpu or server"),
        (["13b"], {}, "13b: no recipes in such a folder of shell/; expected 7b, 32b, 1gpu or server"),
        (["7b"], {"DATA": ""}, "set DATA; the head of shell/rehearse.sh says to what"),
        (["7b"], {"DATA": "gone.jsonl"}, "DATA=gone.jsonl: no such file, or it is empty; expected a file that ends in"),
        (["server"], {}, "set MODEL; the head of shell/rehearse.sh says to what"),
    ],
)
def test_what_cannot_be_rehearsed_is_refused_with_one_line(
    arguments: list[str], changes: dict[str, str], complaint: str, tmp_path: Path
) -> None:
    data = tmp_path / "records.jsonl"
    data.write_text("{}\n")
    done = rehearse(*arguments, **{"DATA": str(data), "OUT": str(tmp_path / "out"), **changes})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"shell/rehearse.sh: {complaint}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_rehearsals_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text("{}\n")
    (tmp_path / "out").mkdir()
    for name in ("precious", "sample.json"):
        (tmp_path / "out" / name).touch()
    done = rehearse("7b", DATA=str(tmp_path / "records.jsonl"), OUT=str(tmp_path / "out"))
    assert done.returncode == 2
    assert "is there and is no rehearsal's" in done.stderr
    assert (tmp_path / "out" / "precious").exists()


# ---- beside a server, and with a fault, where nothing is trained


@pytest.fixture
def scripted(model_dir: Path, benchmark_dir: Path, tmp_path: Path) -> dict[str, str]:
    """Variables of a rehearsal whose `swift` and `zoomin` are toys; a machine of three GPUs is believed."""
    programs = write_programs(tmp_path / "bin")
    return {
        "PATH": f"{programs}:{environment()['PATH']}",
        "MODEL": str(model_dir),
        "DATA": str(benchmark_dir / "train" / "records.jsonl"),
        "OUT": str(tmp_path / "out"),
        "SEEN": str(tmp_path / "seen"),
        "CUDA_VISIBLE_DEVICES": "4,6,7",
        "GPUS": "2",
    }


def test_beside_a_server_each_stage_has_its_own_which_ends_with_it(scripted: dict[str, str]) -> None:
    done = rehearse("server", **scripted)
    assert Path(scripted["SEEN"]).read_text() == "query1 on 4\nquery2 on 4\n"
    stages = read(Path(scripted["OUT"]))["stages"]
    assert list(stages) == ["grpo_query1", "grpo_query2"]
    assert [list(stage["gpus_gib"]) for stage in stages.values()] == [["6", "7"]] * 2  # not the server's
    assert all(stage["goes_on"] for stage in stages.values()), done.stdout + done.stderr
    assert "detection: 1 images, 0 with a verdict" in done.stdout
    left = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    assert not [command for command in left if scripted["PATH"].split(":")[0] in command]


def test_a_stage_that_fails_ends_the_rehearsal_with_a_report(scripted: dict[str, str]) -> None:
    done = rehearse("7b", FAILS="rlhf", STEPS="1", **scripted)
    assert done.returncode == 1
    seen = read(Path(scripted["OUT"]))
    assert (seen["stages"]["sft"]["is_whole"], seen["stages"]["grpo_query1"]["is_whole"]) == (True, False)
    assert "grpo_query2" not in seen["stages"]
    (change,) = [line for line in seen["change"] if not line.startswith("packages")]
    assert change.startswith("grpo_query1: GPU memory ran out: --vllm_gpu_memory_utilization lower")


def test_what_names_data_in_an_argument_is_the_sample_and_what_only_looks_so_stays(scripted: dict[str, str]) -> None:
    data = scripted["DATA"]
    words = ["--dataset", f"{data}:explain", f"{data}#4", f"--val_dataset={data}", "--other", f"{data}.idx"]
    out, few = Path(scripted["OUT"]), f"{scripted['OUT']}/records.jsonl"
    rehearse("7b", *words, **scripted, FAILS="sft")
    assert f"{data}:explain {data}#4 --val_dataset={data} --other {data}.idx" in (out / "sft" / "whole").read_text()
    told = (out / "sft" / "first.log").read_text()
    assert f"{few}:explain {few}#4 --val_dataset={few} --other {data}.idx" in told


def test_what_a_recipe_refuses_before_it_is_started_is_in_the_report_too(scripted: dict[str, str]) -> None:
    done = rehearse("7b", **scripted, LEARNING_RATE="1")
    assert done.returncode == 1
    assert "CHANGE sft: LEARNING_RATE is no option any more; unset it, and give --learning_rate" in done.stdout
    assert read(Path(scripted["OUT"]))["stages"] == {}


def test_nothing_is_planned_for_an_architecture_that_the_plan_does_not_know(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen3_5_moe"}')
    assert planned({"tuner_type": "full"}, str(tmp_path), 262144, "zero3") is None


# ---- random weights


def test_random_weights_have_the_architecture_of_a_folder_and_its_words(model_dir: Path, tmp_path: Path) -> None:
    from transformers import AutoConfig, GenerationConfig

    make(str(model_dir), tmp_path / "made")
    ours, theirs = (AutoConfig.from_pretrained(folder) for folder in (tmp_path / "made", model_dir))
    assert ours.text_config.num_hidden_layers == theirs.text_config.num_hidden_layers
    assert ours.image_token_id == theirs.image_token_id
    assert len(GenerationConfig.from_pretrained(tmp_path / "made").eos_token_id) >= 2


def test_a_made_tokenizer_has_qwens_special_tokens_and_a_token_for_every_id(tmp_path: Path) -> None:
    tokenizer = load_processor("7b", "qwen2_5_vl").tokenizer
    told = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("endoftext", "im_end", "image_pad")}
    assert told == {"endoftext": FIRST_SPECIAL_ID, "im_end": 151645, "image_pad": 151655}
    assert tokenizer.convert_ids_to_tokens(100000)
    assert tokenizer.decode(tokenizer("The green panel is level.").input_ids) == "The green panel is level."
    chances = ends(tokenizer, 152064)
    assert len(chances) == pytest.approx(152064 / REPLY_TOKENS, abs=3)
    assert 151655 not in chances


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "7b"),
        ("32b", "32b"),
        ("3B", "3b"),
        ("Qwen/Qwen3-VL-8B-Instruct", "qwen3-vl-8b"),
        ("Qwen/Qwen3-VL-32B-Instruct", "qwen3-vl-32b"),
    ],
)
def test_a_size_is_read_from_a_name(name: str, size: str) -> None:
    assert known_size(name) == size


@pytest.mark.parametrize(
    "name",
    [
        *("Qwen/Qwen2.5-VL-72B-Instruct", "Qwen/Qwen3-VL-7B", "output/7b2x/sft", "model"),
        *("Qwen/Qwen2-VL-7B-Instruct", "Qwen/Qwen3-32B", "Qwen/Qwen2.5-Omni-7B", "Qwen/Qwen3-VL-30B-A3B-Instruct"),
        *("x/My-3B", "Qwen3-32B"),
    ],
)
def test_a_name_without_a_known_size_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"one of 3b, 7b, 32b, qwen3-vl-2b, .* or a name like"):
        known_size(name)
