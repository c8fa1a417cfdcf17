"""Vision-language models that answer in sentences: FakeShield and FakeVLM.

An answer is read as its repository reads it, with two differences: where it says both or neither, there is no verdict
(FakeVLM's own evaluation draws one by lot); and a word counts where it stands as a word ("realistic" is not "real").
The whole answer is the explanation.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from swift_zoomin.evaluation.foreign.rows import Row, Stated, read_json, text_of
from swift_zoomin.records import RecordError, json_rows
from swift_zoomin.replies import GENERATED, REAL

# FakeShield's answers repeat the question as a heading, which says neither.
_HEADING = re.compile(r"whether the \w+ has been tampered with", re.IGNORECASE)
_BASIS = re.compile(r"judge?ment basis", re.IGNORECASE)
_TAMPERED = re.compile(r"\b(?:has|have|was|is)(n['’]t| not| never)? (?:been )?tampered\b", re.IGNORECASE)
# "no part of it has been tampered with", "it does not seem to have been tampered with" say the opposite.
_HEDGE = re.compile(r"\b(?:no|not|never|nothing|none|neither|without|unlikely|whether|if)\b|n['’]t\b", re.IGNORECASE)
_ASKED_BEFORE = re.compile(r"^\s*ASSISTANT:\s*")
_SAYS_REAL = re.compile(r"\breal\b", re.IGNORECASE)
_SAYS_FAKE = re.compile(r"\bfake\b", re.IGNORECASE)
_DENIES = re.compile(r"(?:\b(?:not|never|cannot|no)|n['’]t) (?:\w+ ){0,3}(?:real|fake)\b", re.IGNORECASE)


def read_fakeshield(path: Path, _: Stated) -> Iterator[Row]:
    """The answers of FakeShield's first model, `playground/DTE-FDM_output.jsonl`:

        {"image": "/data/image/a.jpg", "outputs": "1. Whether the picture has been tampered with / Description of the
         tampered area: The picture has been tampered with, specifically ...\\n\\n2. Judgment basis: ..."}

    Source: zhipeixu/FakeShield, DTE-FDM/llava/eval/model_vqa.py writes it (its first version had `text` for `outputs`),
    playground/DTE-FDM_output.jsonl is an example, MFLM/test.py takes "has not been tampered with" for real. Tampered is
    read as generated. The masks of its second model are the format `masks`.
    """
    for where, value in json_rows(path):
        try:
            image, said = text_of(value, "image"), text_of(value, "outputs", "text")
        except ValueError as error:
            yield where, value if isinstance(value, ValueError) else error
            continue
        yield where, {"image": image, "verdict": fakeshield_verdict(said), "explanation": said}


def fakeshield_verdict(said: str) -> str | None:
    """What an answer states before its reasons; None where that is nothing, or both."""
    answer = _BASIS.split(_HEADING.sub("", said))[0]
    found = list(_TAMPERED.finditer(answer))
    denied = {bool(match[1]) for match in found}
    hedged = any(_HEDGE.search(re.split(r"[.!?\n]", answer[: match.start()])[-1]) for match in found)
    if len(denied) != 1 or hedged:
        return None
    return REAL if denied.pop() else GENERATED


def read_fakevlm(path: Path, _: Stated) -> Iterator[Row]:
    """The answers of FakeVLM, one JSON array:

        [{"image_path": "/data/test/doc/fake/a.png", "output": "ASSISTANT: This is a fake image. The letters ..."}]

    Source: opendatalab/FakeVLM, scripts/eval.py writes this, scripts/eval_vllm.py the same with `id` and `caption`;
    both look for the two words in the first sentence, and else in the second.
    """
    values = read_json(path)
    if not isinstance(values, list):
        raise RecordError(
            f"{path}: {type(values).__name__}; expected one JSON array, as FakeVLM's scripts/eval.py writes"
        )
    for number, value in enumerate(values, 1):
        where = f"{path}: entry {number}"
        try:
            image, said = text_of(value, "image_path", "id"), text_of(value, "output", "caption")
        except ValueError as error:
            yield where, error
            continue
        said = _ASKED_BEFORE.sub("", said).strip()
        yield where, {"image": image, "verdict": fakevlm_verdict(said), "explanation": said}


def fakevlm_verdict(said: str) -> str | None:
    """What the first sentence with one of the words says; None where it says both, or denies one."""
    for sentence in said.split(".")[:2]:
        is_real, is_fake = bool(_SAYS_REAL.search(sentence)), bool(_SAYS_FAKE.search(sentence))
        if not is_real and not is_fake:
            continue
        says_both = is_real and is_fake
        if says_both or _DENIES.search(sentence):
            return None
        return REAL if is_real else GENERATED
    return None
