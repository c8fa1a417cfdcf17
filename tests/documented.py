"""The commands of the READMEs."""

import re
import shlex

import pytest
from conftest import ROOT

READMES = ("README.md", "shell/README.md", "examples/README.md", "swift_zoomin/annotation/README.md")
PROGRAMS = r"bash|python|\.venv/bin/python|swift|zoomin|pip|source|tiny_\w+|export|\w+=\S+"
COMMAND = re.compile(rf"(?:\w+=\S+ )*(?:{PROGRAMS})(?: |$)")
STAGES = ("sft", "grpo_query1", "grpo_query2")


def commands_in(readme: str) -> list[str]:
    """The commands of a README's indented blocks, each on one line, without its comment where a test covers it."""
    text = (ROOT / readme).read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    commands = [re.sub(r"\s+", " ", line) for line in lines if COMMAND.match(line)]
    return [command.split(" #")[0] for command in commands if "no test runs this" not in command]


COMMANDS = {readme: commands_in(readme) for readme in READMES}
DOCUMENTED = [command for commands in COMMANDS.values() for command in commands]
SWIFT = {readme: [line for line in commands if " --template " in line] for readme, commands in COMMANDS.items()}
TRAINING = [
    pytest.param(stage, shlex.split(command[command.index("swift ") :]), id=f"{readme}-{stage}")
    for readme, commands in SWIFT.items()
    for stage, command in zip(STAGES, commands, strict=False)
]
