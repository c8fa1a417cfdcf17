"""Which family a model's name says, and what is not guessed."""

import pytest

from swift_zoomin import prompts
from swift_zoomin.checkpoints import CheckpointError, model_type_of
from swift_zoomin.families import QWEN2_5_VL, QWEN3_VL, Frame, family_of, family_of_type

ABSOLUTE_28, NORM1000_28, NORM1000_32 = (Frame.ABSOLUTE, 28), (Frame.NORM1000, 28), (Frame.NORM1000, 32)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", ABSOLUTE_28),
        ("/models/Qwen2.5-VL-7B-Instruct-AWQ", ABSOLUTE_28),
        ("/models/Qwen2.5-VL-7B-Instruct/checkpoint-100/", ABSOLUTE_28),
        (r"C:\models\Qwen2_5-VL-3B", ABSOLUTE_28),
        ("qwen2.5-vl-72b-instruct", ABSOLUTE_28),
        ("qwen2.5vl:7b", ABSOLUTE_28),
        ("VLM-R1-Qwen2.5VL-3B", ABSOLUTE_28),
        ("Qwen/Qwen2-VL-2B-Instruct", NORM1000_28),
        ("Qwen/Qwen3-VL-30B-A3B-Instruct-FP8", NORM1000_32),
        ("qwen3-vl-plus", NORM1000_32),
        ("/qwen2-vl/Qwen3-VL-8B", NORM1000_32),  # the last part decides
        ("Qwen/Qwen3.5-9B", NORM1000_32),
        ("Qwen/Qwen3.8-27B-FP8", NORM1000_32),
        ("OpenGVLab/InternVL3_5-8B", NORM1000_28),
        ("zai-org/GLM-4.5V", NORM1000_28),
        ("gpt-4o-2024-08-06", NORM1000_32),
        ("openai/gpt-4.1-mini", NORM1000_32),
    ],
)
def test_a_known_name_gives_frame_and_patch(name: str, known: tuple[Frame, int]) -> None:
    family = family_of(name)
    assert family
    assert (family.frame, family.patch_px) == known


@pytest.mark.parametrize(
    "name",
    [
        *(
            "gemini-2.5-flash",
            "google/gemma-3-27b-it",
            "moonshotai/Kimi-VL-A3B",
            "qwen-vl-max",
            "llava-1.5",
            "tiny",
            "",
        ),
        *("Qwen2.5-7B-Instruct", "Qwen3-8B", "qwen-3.5b", "gpt-4", "gpt-oss-120b", "/o3/model", "yolo3-x"),
    ],
)
def test_what_is_not_known_is_not_guessed(name: str) -> None:
    assert family_of(name) is None


def test_a_frame_that_was_not_taught_says_so() -> None:
    taught = {name: family_of(name).is_taught for name in ("gpt-4o", "Qwen3-VL-8B")}  # type: ignore[union-attr]
    assert taught == {"gpt-4o": False, "Qwen3-VL-8B": True}


@pytest.mark.parametrize(
    ("model", "model_type"),
    [
        ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2_5_vl"),
        ("Qwen/Qwen3-VL-32B-Instruct", "qwen3_vl"),
        ("Qwen/Qwen3-VL-30B-A3B-Instruct", "qwen3_vl_moe"),  # a mixture of experts
        ("Qwen/Qwen3.5-9B", "qwen3_5"),
        ("someone/my-own", None),
    ],
)
def test_a_hubs_name_says_what_ms_swift_wants_to_be_told(model: str, model_type: str | None) -> None:
    assert model_type_of(model) == model_type


def test_a_name_of_a_family_that_is_not_trained_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"Qwen/Qwen2-VL-7B-Instruct: a Qwen2-VL; expected one of qwen2_5_vl"):
        model_type_of("Qwen/Qwen2-VL-7B-Instruct")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Qwen/Qwen2.5-Omni-7B", "Omni"),
        ("Qwen/Qwen3-Omni-30B-A3B-Instruct", "Omni"),
        ("Qwen/Qwen3-VL-Embedding-8B", "Embedding"),
        ("Qwen/Qwen3-VL-Reranker-2B", "Reranker"),
    ],
)
def test_another_kind_of_model_that_is_named_after_a_family_is_refused(name: str, kind: str) -> None:
    with pytest.raises(CheckpointError, match=f"{name}: of the kind {kind}; expected one of qwen2_5_vl"):
        model_type_of(name)


def test_a_model_type_says_the_family() -> None:
    known = [family_of_type(name) for name in ("qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "qwen2_vl", None, [])]
    assert known == [QWEN2_5_VL, QWEN3_VL, QWEN3_VL, None, None, None]


# ---- what a family is asked


def test_a_question_says_in_which_frame_its_family_writes() -> None:
    for question in (prompts.query1, prompts.ground):
        assert "(pixel coordinates)" in question(Frame.ABSOLUTE)
        assert "(coordinates from 0 to 1000 along each side of the image)" in question(Frame.NORM1000)
        assert "pixel" not in question(Frame.NORM1000)


def test_the_words_to_qwen2_5_vl_are_those_from_before_there_were_families() -> None:
    """Checkpoints say with which they were trained."""
    assert prompts.version(Frame.ABSOLUTE) == "04feac84"
    assert prompts.version(Frame.NORM1000) != prompts.version(Frame.ABSOLUTE)
