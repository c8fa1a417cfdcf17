"""The recipes for real hardware: what they show and pass on, and what they refuse with one line."""

import json
import re
import shlex
import shutil
import subprocess
from itertools import pairwise, takewhile
from pathlib import Path

import pytest
from conftest import ROOT
from PIL import Image
from run_recipe import DETECTING, RECIPES, TRAINING, commands, environment, run

from swift_zoomin.episode import MAX_CROPS
from swift_zoomin.records import write_records
from swift_zoomin.replies import VERDICTS

SCRIPTS = [*(ROOT / "shell").rglob("*.sh"), *(ROOT / "examples").glob("*.sh")]


@pytest.mark.slow
def test_shellcheck_and_bash_find_no_fault_in_any_script() -> None:
    checker = shutil.which("shellcheck", path=environment()["PATH"])
    assert checker, "shellcheck is not installed; it is part of the package's extra `test`"
    checked = subprocess.run([checker, "-x", *map(str, SCRIPTS)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    for script in SCRIPTS:
        assert subprocess.run(["bash", "-n", str(script)]).returncode == 0


@pytest.mark.parametrize("words", [["units"], ["unit", "-x"], ["-m", "not swift"]])
def test_the_tests_are_started_as_all_or_as_unit_and_in_no_other_way(words: list[str]) -> None:
    done = run("test.sh", *words)
    complaint = f"test.sh: {' '.join(words)}; expected nothing, or unit\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", complaint)


@pytest.mark.parametrize("recipe", [*RECIPES, "multinode/node.sh"])
def test_a_head_says_what_a_user_must_know(recipe: str) -> None:
    head = (ROOT / "shell" / recipe).read_text().split("\n\n")[0].split("source ")[0]
    for word in ("hardware", "memory", "hours", "input", "output", "next"):
        assert re.search(rf"\b{word}\b", head), word
    if recipe in RECIPES:
        for variable in ("MODEL", "MODEL_TYPE", "MAX_PIXELS", "GPUS", "DRY_RUN"):
            assert re.search(rf"\b{variable}\b", head), variable


# ---- readable alone


def flags(words: list[str]) -> list[str]:
    return [word for word in words if word.startswith("--")]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [*TRAINING, "server/rollout.sh"])
def test_a_recipe_shows_every_flag_that_it_passes(recipe: str) -> None:
    shown = re.findall(r"--\w+", (ROOT / "shell" / recipe).read_text().split("source ")[-1])
    passed = flags(commands(recipe, MODEL="Qwen/any")[0])
    assert set(passed) <= set(shown)
    if not recipe.startswith("server"):  # those hold a list of flags for each of the two stages
        assert passed == shown


def test_what_is_added_to_a_recipes_command_is_known_before_it_starts(model_dir: Path, tmp_path: Path) -> None:
    whole = commands("7b/sft.sh", MODEL="Qwen/any")[0]
    local = commands("7b/sft.sh", MODEL=str(model_dir))[0]
    assert local[:4] == ["swift", "sft", "--check_model", "false"]
    assert [word.replace(str(model_dir), "Qwen/any") for word in local[4:]] == whole[2:]


def test_no_variable_repeats_a_flag_of_swift() -> None:
    variables = {"MODEL", "DATA", "OUT", "GPUS", "DISK", "STAGE"}
    for recipe in RECIPES:
        body = (ROOT / "shell" / recipe).read_text().split("\nMODEL=")[-1]
        assert set(re.findall(r"\$\{(\w+):?[-=]", body)) <= variables, recipe


@pytest.mark.slow
def test_the_arguments_of_a_recipe_stand_behind_its_own() -> None:
    two = ["--vllm_server_host", "one", "two", "--vllm_server_port", "8000", "8001"]
    assert commands("server/grpo.sh", *two, MODEL="m")[0][-6:] == two
    for recipe in TRAINING:
        assert commands(recipe, "--learning_rate", "3e-4", MODEL="m")[0][-2:] == ["--learning_rate", "3e-4"]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [recipe for recipe in TRAINING if "grpo" in recipe])
def test_without_vllm_a_recipe_passes_none_of_its_flags(recipe: str) -> None:
    kept = commands(recipe, "--use_vllm", "false", "--seed", "3", MODEL="m")[0]
    assert kept[-4:] == ["--use_vllm", "false", "--seed", "3"]
    assert not [flag for flag in flags(kept) if flag.startswith("--vllm_")]
    with_vllm = flags(commands(recipe, "--seed", "3", MODEL="m")[0])
    assert [flag for flag in with_vllm if not flag.startswith("--vllm_")] == [*flags(kept[:-4]), "--seed"]


@pytest.mark.parametrize(
    ("arguments", "rolls_out"),
    [
        (["--use_vllm", "False"], False),
        (["--use_vllm=false"], False),
        (["--use_vllm", "0"], False),
        (["--use_vllm", "false", "--use_vllm", "true"], True),  # ms-swift takes the last
        (["--use_vllm=True"], True),
        (["--use-vllm", "false"], False),
        (["--use-vllm=no", "--seed", "3"], False),
    ],
)
def test_vllm_is_refused_in_every_way_that_ms_swift_reads(arguments: list[str], rolls_out: bool) -> None:
    passed = flags(commands("7b/grpo_query1.sh", *arguments, MODEL="m")[0])
    assert ("--vllm_mode" in passed) == rolls_out


def last(command: list[str], flag: str) -> str | None:
    """The value of a flag that counts: its last."""
    return next((value for word, value in reversed(list(pairwise(command))) if word == flag), None)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", TRAINING)
def test_on_a_cpu_alone_a_training_needs_no_argument(recipe: str) -> None:
    command = commands(recipe, MODEL="m", GPUS="0")[0]
    assert last(command, "--torch_dtype") == "float32"
    assert last(command, "--gradient_checkpointing") == "false"
    assert not last(command, "--deepspeed")
    if "grpo" in recipe:  # one process takes a whole group
        sizes = (last(command, "--per_device_train_batch_size"), last(command, "--gradient_accumulation_steps"))
        assert sorted(map(str, sizes)) == ["1", "2"]
    if "/grpo_" in recipe:  # those with a rollout server leave vLLM to it
        assert last(command, "--use_vllm") == "false"
        assert not [flag for flag in flags(command) if flag.startswith("--vllm_")]
    told = ["--torch_dtype", "bfloat16"]
    assert commands(recipe, *told, MODEL="m", GPUS="0")[0][-2:] == told


STAGE_1 = [f"zoomin_watch_{name}" for name in ("regions", "covered", "cut")]
STAGE_2 = [f"zoomin_watch_{name}" for name in ("second_look", "regions", "covered", "changed", "corrected", "cut")]


def values_of(command: list[str], flag: str) -> list[str]:
    """The values of a flag's last place."""
    after = command[len(command) - command[::-1].index(flag) :]
    return list(takewhile(lambda word: not word.startswith("--"), after))


@pytest.mark.parametrize("stage", ["query1", "query2"])
@pytest.mark.parametrize("recipe", ["7b/grpo_{}.sh", "32b/grpo_{}.sh", "1gpu/grpo_{}.sh", "server/grpo.sh"])
def test_a_recipe_watches_what_its_stage_has_at_a_weight_of_0(recipe: str, stage: str) -> None:
    command = commands(recipe.format(stage), MODEL="m", STAGE=stage)[0]
    rewards, weights = values_of(command, "--reward_funcs"), values_of(command, "--reward_weights")
    assert rewards[2:] == (STAGE_1 if stage == "query1" else STAGE_2)
    assert weights == ["1", "1", *["0"] * (len(rewards) - 2)]


def test_a_recipes_weights_are_left_out_for_other_rewards_and_only_then() -> None:
    recipe, other = "7b/grpo_query2.sh", ["--reward_funcs", "zoomin_accuracy"]
    for told in (other, ["--reward-funcs", "zoomin_accuracy"], ["--reward_funcs=zoomin_accuracy"]):
        command = commands(recipe, *told, "--seed", "3", MODEL="m")[0]
        assert command[-len(told) - 2 :] == [*told, "--seed", "3"]
        assert "--reward_weights" not in command
    weights = ["--reward_weights", "2"]
    for told in (["--reward_weights", *"34000000"], [*other, *weights], [*weights, *other], ["--reward-weights=2"]):
        command = commands(recipe, *told, MODEL="m")[0]
        assert command[-len(told) :] == told
        assert "--reward_weights" in command[: -len(told)]  # ms-swift takes the last


@pytest.mark.parametrize("recipe", DETECTING)
def test_on_a_cpu_alone_a_detection_needs_no_argument(recipe: str) -> None:
    for arguments, engine in ([], "transformers"), (["--engine", "vllm"], "vllm"):
        done = run(recipe, *arguments, DRY_RUN="1", DATA="records.jsonl", MODEL="m", GPUS="0")
        assert last(shlex.split(done.stdout.splitlines()[0]), "--engine") == engine


@pytest.mark.parametrize(("gpus", "told"), [("", "4"), ("2", "2"), ("0", "1")])
def test_detection_spreads_over_the_gpus_and_counts_a_cpu_as_one(gpus: str, told: str) -> None:
    shown = run("32b/detect.sh", DRY_RUN="1", DATA="records.jsonl", MODEL="m", GPUS=gpus).stdout
    assert f" --gpus {told} " in shown


@pytest.mark.parametrize("recipe", [*(recipe for recipe in TRAINING if "/grpo_" in recipe), "server/rollout.sh"])
def test_vllm_is_told_of_the_image_and_the_most_crops(recipe: str) -> None:
    command = commands(recipe, MODEL="m")[0]
    limit = command[command.index("--vllm_limit_mm_per_prompt") + 1]
    assert json.loads(limit) == {"image": 1 + MAX_CROPS, "video": 0}


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        ("query1", ["--multi_turn_scheduler", "zoomin", "--max_turns", "1"]),
        ("query2", ["--multi_turn_scheduler", "zoomin_query2"]),
    ],
)
def test_server_and_trainer_hear_the_same_of_the_exchange(stage: str, told: list[str]) -> None:
    for recipe in ("server/rollout.sh", "server/grpo.sh"):
        command = commands(recipe, MODEL="m", STAGE=stage)[0]
        place = command.index("--multi_turn_scheduler")
        assert command[place : place + len(told)] == told
        assert ("--max_turns" in command) == ("--max_turns" in told)
        refused = run(recipe, DRY_RUN="1", DATA="records.jsonl", MODEL="m", STAGE="query3")
        assert (refused.returncode, refused.stderr) == (2, f"{recipe}: STAGE=query3; expected query1 or query2\n")


def test_nodes_are_named_as_torchrun_wants_them() -> None:
    node = {"NNODES": "2", "NODE_RANK": "1", "MASTER_ADDR": "10.0.0.1", "DRY_RUN": "1", "DATA": "records.jsonl"}
    same = run("32b/sft.sh", "--seed", "3", DRY_RUN="1", DATA="records.jsonl")
    assert run("multinode/node.sh", "32b/sft.sh", "--seed", "3", **node).stdout == same.stdout
    for change, complaint in (
        ({"NODE_RANK": "2"}, "NODE_RANK=2: expected 0 to 1"),
        ({"MASTER_ADDR": ""}, "set MASTER_ADDR"),
    ):
        done = run("multinode/node.sh", "32b/sft.sh", **{**node, **change})
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(f"multinode/node.sh: {complaint}")
    assert "32b/nothing.sh: no such file below shell/" in run("multinode/node.sh", "32b/nothing.sh", **node).stderr


def test_a_later_stage_and_a_run_that_goes_on_keep_the_pixel_limit(tmp_path: Path) -> None:
    trained = tmp_path / "sft" / "checkpoint-1"
    trained.mkdir(parents=True)
    (trained / "trainer_state.json").write_text('{"global_step": 1, "max_steps": 2}')
    (trained / "args.json").write_text('{"zoomin": {"min_pixels": 3136, "max_pixels": 12544, "prompts": "1a2b3c4d"}}')
    at_exit = tmp_path / "at_exit.sh"
    at_exit.write_text("trap 'echo limit $MAX_PIXELS' EXIT\n")
    common = {"DRY_RUN": "1", "DATA": "records.jsonl", "BASH_ENV": str(at_exit), "MAX_PIXELS": ""}
    node = {"NNODES": "1", "NODE_RANK": "0", "MASTER_ADDR": "10.0.0.1"}
    sft, new = str(trained.parent), str(tmp_path / "new")
    for arguments, changes, limit in (
        (["32b/grpo_query1.sh"], {"MODEL": sft, "OUT": new}, 12544),
        (["multinode/node.sh", "32b/grpo_query1.sh"], {"MODEL": sft, "OUT": new, **node}, 12544),
        (["7b/sft.sh"], {"OUT": sft}, 12544),
        (["7b/sft.sh"], {"OUT": new}, 262144),
    ):
        assert run(*arguments, **{**common, **changes}).stdout.endswith(f"limit {limit}\n"), arguments
    in_tokens = ["--model_kwargs", '{"image_max_token_num": 256}']
    for arguments, changes in (["7b/sft.sh"], {"IMAGE_MAX_TOKEN_NUM": "256"}), (["7b/sft.sh", *in_tokens], {}):
        shown = run(*arguments, **{**common, "MODEL": sft, "OUT": new, **changes}).stdout
        assert shown.endswith("limit\n"), arguments


def test_a_name_that_says_no_family_goes_on_with_the_type_that_it_is_given(model_dir: Path) -> None:
    folder = commands("7b/sft.sh", MODEL=str(model_dir), MODEL_TYPE="qwen3_vl")[0]
    assert last(folder, "--model_type") == "qwen2_5_vl"  # its config.json knows better
    told = commands("7b/sft.sh", MODEL="someone/own", MODEL_TYPE="qwen3_vl")[0]
    assert last(told, "--model_type") == "qwen3_vl"
    script = "source common.sh; check MODEL; echo $MODEL_TYPE"
    needs = {"MODEL": "someone/own", "MODEL_TYPE": "qwen3_vl", "GPUS": "0", "DISK": "0"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT / "shell", env=environment(**needs), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "qwen3_vl\n", "")


def test_a_model_made_to_think_first_is_said_to_be_asked_without() -> None:
    said = "was made to think first; here it is trained and asked without thinking"
    for kind, line in (("Thinking", f"7b/sft.sh: MODEL=Qwen/Qwen3-VL-8B-Thinking {said}\n"), ("Instruct", "")):
        assert run("7b/sft.sh", DRY_RUN="1", DATA="records.jsonl", MODEL=f"Qwen/Qwen3-VL-8B-{kind}").stderr == line


# ---- refused with one line


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_cannot_work_is_refused_with_one_line_and_leaves_nothing(
    recipe: str, model_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / "records.jsonl").write_text("{}\n")
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "other_model").mkdir()
    (tmp_path / "other_model" / "config.json").write_text('{"model_type": "llama"}')
    gpus = str(RECIPES[recipe])
    few = ",".join("01234567"[: RECIPES[recipe] - 1])
    good = {"DATA": "records.jsonl", "MODEL": str(model_dir), "OUT": "new/out", "GPUS": "0", "DISK": "0"}
    cases: list[tuple[dict[str, str], str]] = [
        (
            {"MODEL": "other_model"},
            "MODEL=other_model: a model of type llama; expected one of qwen2_5_vl (Qwen2.5-VL), qwen3_vl",
        ),
        ({"MODEL": "./gone"}, "MODEL=./gone: no such folder"),
        ({"MODEL": "other_model/gone"}, "MODEL=other_model/gone: no such folder"),
        ({"GPUS": gpus, "CUDA_VISIBLE_DEVICES": few}, f"GPUS={gpus} wanted, {RECIPES[recipe] - 1} found"),
        ({"DISK": "123456789"}, "123456789 GB needed"),
        ({"PATH": "/usr/bin:/bin"}, "no swift here; activate the environment"),
        ({"PATH": "/usr/bin:/bin", "MODEL": "Qwen/Qwen3-VL-8B-Instruct"}, "no swift here; activate the environment"),
        ({"MODEL": "Qwen/Qwen2.5-Omni-7B"}, "MODEL=Qwen/Qwen2.5-Omni-7B: of the kind Omni; expected one of"),
        (
            {"MODEL": "someone/own"},
            "the name does not say of which family it is; give its folder, or set MODEL_TYPE",
        ),
    ]
    if recipe != "server/rollout.sh":
        cases += [
            ({"DATA": ""}, "set DATA; the head of shell/"),
            ({"DATA": "gone.jsonl"}, "DATA=gone.jsonl: no such file, or it is empty"),
            ({"DATA": "empty.jsonl"}, "DATA=empty.jsonl: no such file, or it is empty"),
        ]
    before = sorted(tmp_path.rglob("*"))
    for change, complaint in cases:
        command = ["bash", str(ROOT / "shell" / recipe)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(**{**good, **change}), capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (2, ""), change
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"{recipe}: "), change
        assert complaint in line, change
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("variable", "argument"),
    [
        ("LEARNING_RATE", "--learning_rate"),
        ("BATCH", "--per_device_train_batch_size"),
        ("STEPS", "--max_steps"),
        ("GENERATIONS", "--num_generations"),
        ("TOKENS", "--max_completion_length (detect.sh: --max-new-tokens)"),
        ("REWARDS", "--reward_funcs"),
        ("DEEPSPEED", "--deepspeed"),
        ("ROLLOUT", "--use_vllm false"),
        ("ENGINE", "--engine"),
        ("PURPOSE", "--dataset FILE:PURPOSE"),
        ("SERVERS", "--vllm_server_host and --vllm_server_port"),
    ],
)
def test_a_variable_that_an_argument_has_replaced_is_not_ignored(variable: str, argument: str) -> None:
    done = run("server/grpo.sh", DRY_RUN="1", DATA="records.jsonl", MODEL="m", **{variable: "1"})
    wanted = f"{variable} is no option any more; unset it, and give {argument} after the recipe's name"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"server/grpo.sh: {wanted}\n")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_knows_the_variables_of_old_and_leaves_the_systems_alone(recipe: str) -> None:
    common = {"DRY_RUN": "1", "DATA": "records.jsonl", "MODEL": "m"}
    assert "DEEPSPEED is no option any more" in run(recipe, **common, DEEPSPEED="").stderr  # once meant none
    done = run(recipe, **common, HOST="node7", PORT="8080")
    assert done.returncode == 0, done.stderr
    told = "server/rollout.sh: HOST and PORT are no options any more; give --host and --port after the recipe's name\n"
    assert done.stderr == (told if recipe == "server/rollout.sh" else "")


@pytest.mark.parametrize(
    ("visible", "gpus", "expected"),
    [
        ("4,5,6,7", "2", "4,5 2"),
        ("4,5", "2", "4,5 2"),
        ("GPU-ab,GPU-cd", "1", "GPU-ab none"),
        ("0,1", "0", " none"),  # a CPU, though there are GPUs
    ],
)
def test_a_recipe_sees_no_more_gpus_than_it_was_given(
    visible: str, gpus: str, expected: str, model_dir: Path, tmp_path: Path
) -> None:
    """ms-swift spreads a process over all that it sees, which neither DeepSpeed nor vLLM lets it do."""
    (tmp_path / "records.jsonl").write_text("{}\n")
    script = (
        'source common.sh; check MODEL DATA OUT; one_process_a_gpu; echo "$CUDA_VISIBLE_DEVICES ${NPROC_PER_NODE-none}"'
    )
    visibility = {
        "GPUS": gpus,
        "CUDA_VISIBLE_DEVICES": visible,
        "NPROC_PER_NODE": "4",
    }  # the last from an earlier command
    more = {"MODEL": str(model_dir), "DATA": str(tmp_path / "records.jsonl"), "OUT": str(tmp_path), "DISK": "0"}
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT / "shell",
        env=environment(**visibility, **more),
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == (f"{expected}\n", "")


@pytest.mark.parametrize("rows", [4, 0])
def test_a_recipe_says_first_what_files_give_away_and_leaves_refusals_to_the_run(
    rows: int, model_dir: Path, tmp_path: Path
) -> None:
    data = tmp_path / "records.jsonl"
    data.write_text("no record\n")
    if rows:
        for number in range(rows):
            Image.new("RGB", (40, 20)).save(tmp_path / f"{number}.png")
        write_records(data, [{"image": f"{number}.png", "label": VERDICTS[number % 2]} for number in range(rows)])
    more = {"MODEL": str(model_dir), "DATA": str(data), "OUT": str(tmp_path), "DISK": "0", "GPUS": "0"}
    script = "source common.sh; check MODEL DATA OUT; echo started"
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT / "shell", env=environment(**more), capture_output=True, text=True
    )
    said = (
        "files: 2 real and 2 generated images are too few to tell whether they give labels away (50 of each are enough)"
    )
    assert done.stdout == (f"{said}\nstarted\n" if rows else "started\n")
    assert (done.returncode, done.stderr) == (0, "")
