"""What is decided in one place, and repeated where Python cannot import it, is the same everywhere."""

import json
import re
from pathlib import Path

import pytest

from swift_zoomin import prompts
from swift_zoomin.episode import MAX_CROPS
from swift_zoomin.records import _SHOWN_FAULTS
from swift_zoomin.replies import VERDICTS

ROOT = Path(__file__).parents[1]
MEDIA_LIMITS = re.compile(r"""--(?:vllm_)?limit_mm_per_prompt['"\s]*(\{[^}]*\})""")
SCRIPTS = [file for folder in ("shell", "examples") for file in sorted((ROOT / folder).rglob("*.sh"))]
USERS = [file for file in SCRIPTS if "limit_mm_per_prompt" in file.read_text()]
WORD = re.compile(rf"""(?<!loss_type == )["'](?:{"|".join(VERDICTS)})["']""")
# The number where faults are counted or cut: `FAULTS = 20`, `faults[:20]`, `len(faults) > 20`.
FAULT_LIMIT = re.compile(rf"(?:faults|reported)(?: = |\[:?|\) [<>]=? ){_SHOWN_FAULTS}\b", re.IGNORECASE)


def test_there_are_recipes_that_limit_images() -> None:
    assert len(USERS) >= 7


@pytest.mark.parametrize("recipe", USERS, ids=lambda file: str(file.relative_to(ROOT)))
def test_recipes_admit_the_image_and_all_its_crops(recipe: Path) -> None:
    limits = [json.loads(found) for found in MEDIA_LIMITS.findall(recipe.read_text())]
    assert limits
    assert all(limit == {"image": 1 + MAX_CROPS, "video": 0} for limit in limits)


def test_verdict_words_are_written_in_one_place() -> None:
    lines = lines_with(WORD, "swift_zoomin", "examples")
    assert lines == ['swift_zoomin/replies.py: REAL, GENERATED = VERDICTS = ("real", "generated")']


def test_how_many_faults_are_shown_is_written_in_one_place() -> None:
    lines = lines_with(FAULT_LIMIT, "swift_zoomin", "examples", "tests")
    assert lines == [f"swift_zoomin/records.py: _SHOWN_FAULTS = {_SHOWN_FAULTS}"]


def test_the_prompts_ask_for_the_words_that_are_read() -> None:
    assert f"<verdict>{' or '.join(VERDICTS)}</verdict>" in prompts.VERDICT


def lines_with(pattern: re.Pattern[str], *folders: str) -> list[str]:
    """Lines of code that match, each with its file."""
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    return [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in files
        for line in code_of(file).splitlines()
        if pattern.search(line) and not line.lstrip().startswith("#")
    ]


def code_of(file: Path) -> str:
    """A file without its docstrings, which show whole records."""
    return re.sub(r'"""(?:.|\n)*?"""', '""', file.read_text())
