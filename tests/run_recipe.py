"""Running a recipe of shell/ as a user does."""

import os
import subprocess
import sys
from pathlib import Path

from conftest import ROOT, child_environment


def environment(**changes: str) -> dict[str, str]:
    return {**child_environment(PATH=f"{Path(sys.executable).parent}:{os.environ['PATH']}"), **changes}


def run(recipe: str, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    command = ["bash", str(ROOT / "shell" / recipe), *arguments]
    return subprocess.run(command, env=environment(**changes), capture_output=True, text=True)
