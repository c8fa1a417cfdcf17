"""Every command of the READMEs is run, or read by the program that it names."""

import ast
import os
import re
import shlex
import subprocess
import sys
from fnmatch import fnmatch
from itertools import chain, pairwise
from pathlib import Path

import pytest
from conftest import ROOT, child_environment
from documented import DOCUMENTED, READMES, SWIFT, TRAINING
from study_report import BEGIN, COLUMNS, END, WITH_INTERVAL, markdown, put_between_marks, rank

from swift_zoomin.cli import main
from swift_zoomin.detection import Detector


def starting(*programs: str) -> list[str]:
    """Documented commands, variables before them included, that start one of these programs."""
    named = re.compile(rf"(?:\w+=\S+ )*(?:{'|'.join(map(re.escape, programs))})")
    return sorted({command for command in DOCUMENTED if named.match(command)})


RECIPES = [command for command in starting("bash shell/") if re.search(r"shell/\w+/", command)]
SCRIPTS = [command for command in starting("bash") if command not in RECIPES]


def run(command: str, folder: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    """A command as a shell reads it, with this environment's programs first."""
    environment = child_environment(PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}", **changes)
    return subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)


def test_every_command_is_run_or_read() -> None:
    covered = {*RECIPES, *SCRIPTS, *starting("zoomin", "python", ".venv/bin/python"), *chain(*SWIFT.values())}
    # What prepares a shell stands alone; the blocks of tiny.sh are run as wholes.
    prepares = re.compile(r"source |export |study=|MODEL=\S+ DATA=\S+ OUT=\S+ tiny_\w+ ")
    assert [command for command in DOCUMENTED if command not in covered and not prepares.match(command)] == []
    assert [len(commands) for commands in SWIFT.values()] == [1, 3, 0, 0]


# ---- what a shell starts


@pytest.mark.parametrize("command", RECIPES)
def test_a_documented_recipe_shows_its_command(command: str, tmp_path: Path) -> None:
    shown = run(command.replace("shell/", f"{ROOT}/shell/"), tmp_path, DRY_RUN="1")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith(("swift ", "zoomin "))


@pytest.mark.parametrize("command", SCRIPTS)
def test_a_documented_script_is_there_and_names_its_arguments(command: str) -> None:
    """The study is run in test_study.py; shellcheck reads all of them in test_recipes.py."""
    words = [word for word in shlex.split(command) if "=" not in word]
    script = (ROOT / words[1]).read_text()
    assert all(re.search(rf"\b{word}\b", script) for word in words[2:])


@pytest.mark.parametrize("command", starting("zoomin"))
def test_a_documented_zoomin_command_is_understood(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    assert main() == 1  # what it does not understand ends in SystemExit, with 2
    assert re.match("zoomin: .*: no such ", capsys.readouterr().err)


@pytest.mark.swift
@pytest.mark.parametrize("command", starting("python", ".venv/bin/python"))
def test_a_documented_example_runs(command: str, tmp_path: Path) -> None:
    done = run(command.replace("examples/", f"{ROOT}/examples/").replace(".venv/bin/python", "python"), tmp_path)
    if "study_report" in command:  # without a study
        assert (done.returncode, done.stderr[:21]) == (1, "study_report: no fini")
    else:
        assert done.returncode == 0, done.stderr
        assert done.stdout


@pytest.mark.parametrize(
    ("block", "told"),
    [
        (0, {"--learning_rate": ["5e-4"], "--max_steps": ["20"]}),
        (1, {"--learning_rate": ["1e-4"], "--max_steps": ["300"], "--beta": ["0"]}),
    ],
)
def test_a_documented_training_of_the_tiny_model_is_a_recipes(
    block: int, told: dict[str, list[str]], tmp_path: Path
) -> None:
    for folder in ("examples", "shell"):  # and no output of a reader who has typed this already
        (tmp_path / folder).symlink_to(ROOT / folder)
    blocks = re.findall(r"(source examples/tiny\.sh.*?)\n\n", (ROOT / "examples/README.md").read_text(), re.DOTALL)
    shown = run(blocks[block], tmp_path, DRY_RUN="1")
    assert shown.returncode == 0, shown.stderr
    passed = options(shlex.split(shown.stdout))
    assert {name: passed[name] for name in told} == told


def test_the_documented_python_compiles_and_its_imports_work() -> None:
    (snippet,) = re.findall(r"^    (from swift_zoomin.*?)\n\n", (ROOT / "README.md").read_text(), re.DOTALL | re.M)
    tree = ast.parse(re.sub(r"^    ", "", snippet, flags=re.M))
    imports = ast.Module([node for node in tree.body if isinstance(node, ast.ImportFrom)], [])
    names: dict[str, object] = {}
    exec(compile(imports, "README.md", "exec"), names)
    assert names["Detector"] is Detector


# ---- training commands; ms_swift/test_readme_flags.py reads them too


def options(command: list[str]) -> dict[str, list[str]]:
    """Each option of a command and its values, the last where one is given again."""
    starts = [*(number for number, word in enumerate(command) if word.startswith("--")), len(command)]
    return {command[start]: command[start + 1 : end] for start, end in pairwise(starts)}


@pytest.mark.parametrize(("stage", "command"), TRAINING)
def test_a_training_command_says_what_the_recipe_says(stage: str, command: list[str], tmp_path: Path) -> None:
    shown = run(f"DATA=data512/records.jsonl bash {ROOT}/shell/7b/{stage}.sh", tmp_path, DRY_RUN="1")
    ours, recipes = options(command), options(shlex.split(shown.stdout))
    for place in ("--model", "--output_dir"):
        del ours[place]
    # What the recipes only watch comes behind what they reward.
    recipes["--reward_funcs"] = [
        name for name in recipes.get("--reward_funcs", []) if not name.startswith("zoomin_watch_")
    ]
    assert {name: recipes.get(name) for name in ours} == ours


# ---- the study's table


def test_the_table_is_what_the_report_writes() -> None:
    """Cell by cell where the study lies here; else in form, row names and order."""
    written = (ROOT / "examples/README.md").read_text().split(BEGIN)[1].split(END)[0]
    rows = [line for line in written.splitlines() if line.startswith("|")]
    made = ROOT / "output/study/quick/table.md"
    if made.exists():
        assert rows == made.read_text().splitlines()
    names = [row.split(" | ")[0].removeprefix("| ") for row in rows[2:]]
    none: dict[str, object] = {column: {"value": None} for column in COLUMNS}
    form = markdown({name: {**none, "accuracy_by_seed": {}} for name in names}).splitlines()
    assert rows[:2] == form[:2]
    figure = r"\d\.\d{3}"
    for row in rows[2:]:
        cells = row.strip("| ").split(" | ")[2:]
        for column, cell in zip(COLUMNS, cells, strict=True):
            interval = rf" \({figure}\.\.{figure}\)" if column in WITH_INTERVAL else ""
            assert re.fullmatch(f"-|{figure}{interval}", cell), row
    study = re.sub(r"\$(variant|regions|name)", "*", (ROOT / "examples/study.sh").read_text())
    kinds = re.findall(r'detect_and_evaluate "rows/(.*?)"', study)
    assert all(any(fnmatch(name, kind) for kind in kinds) for name in names)
    assert names == sorted(names, key=rank)


@pytest.mark.parametrize("text", ["no marks", f"{BEGIN} alone", f"{END} before {BEGIN}"])
def test_a_file_without_the_marks_is_left_as_it_is(text: str, tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"README\.md: expected the lines <!-- begin"):
        put_between_marks(file, "| a table |\n")
    assert file.read_text() == text


def test_what_stands_between_the_marks_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    for content in ("| one |\n", "| two |\n"):
        put_between_marks(file, content)
        assert file.read_text() == f"before\n{BEGIN}\n\n{content}\n{END}\nafter\n"


# ---- the first README


def test_the_first_readme_takes_no_more_than_an_hour() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 130
    for section in text.split("\n## "):
        assert len(section.split()) <= 300, section.splitlines()[0]


@pytest.mark.parametrize("readme", READMES)
def test_every_link_and_picture_of_a_readme_is_there(readme: str) -> None:
    text = (ROOT / readme).read_text()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith("https://"):
            assert ((ROOT / readme).parent / target.split("#")[0]).exists(), target


def test_the_tree_names_only_what_is_there() -> None:
    tree = (ROOT / "README.md").read_text().split("## What lies where")[1]
    for name in re.findall(r"[\w/]+\.(?:py|pth|toml)|\b\w+/(?= )", tree):
        assert any((folder / name).exists() for folder in (ROOT, ROOT / "swift_zoomin", ROOT / "examples")), name
