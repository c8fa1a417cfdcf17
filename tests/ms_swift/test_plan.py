"""The memory planner: counts by hand, and the figures that stand in the heads of the recipes."""

import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import ROOT
from plan import GIB, Batch, Plan, plan, report

SHORT = Batch(tokens=400, kept=20, patches=(36 * 36,))
QWEN3_VL_SHORT = Batch(tokens=400, kept=20, patches=(32 * 32,))


@pytest.fixture(scope="module")
def seven() -> Plan:
    return plan("7b", gpus=4, deepspeed="zero3")


def head_gib(recipe: str, figure: str = r"memory (\d+) GiB") -> int:
    found = re.search(figure, (ROOT / "shell" / recipe).read_text())
    assert found
    return int(found[1])


def test_zero3_takes_sixteen_bytes_a_parameter_over_all_gpus(seven: Plan) -> None:
    assert seven.parameters == pytest.approx(8.29e9, rel=1e-3)  # what Qwen2.5-VL-7B-Instruct's card says
    assert 4 * (seven.weights + seven.gradients + seven.optimiser) == 16 * seven.parameters
    assert seven.checkpoint == 14 * seven.parameters


def test_the_heads_of_the_recipes_state_what_the_planner_computes(seven: Plan) -> None:
    assert round(seven.training / GIB) == head_gib("7b/sft.sh")
    reference = 2 * seven.parameters / 4
    assert round((seven.training + reference) / GIB) == head_gib("7b/grpo_query1.sh") == head_gib("server/grpo.sh")


@pytest.fixture(scope="module")
def eight() -> Plan:
    return plan("qwen3-vl-8b", gpus=4, deepspeed="zero3")


def test_the_heads_state_it_for_qwen3_vl_too(eight: Plan) -> None:
    assert eight.parameters == 17534247392 / 2  # bytes that its index of weights states, at two a parameter
    assert round(eight.training / GIB) == head_gib("7b/sft.sh", r"Qwen3-VL-8B: (\d+)")
    trained, rolled_out = eight.training + eight.weights, 2 * eight.weights + eight.gradients + eight.optimiser
    for recipe in ("7b/grpo_query1.sh", "7b/grpo_query2.sh"):
        assert round(trained / GIB) == head_gib(recipe, r"Qwen3-VL-8B: (\d+)")
        assert round(rolled_out / GIB + 0.4 * 80) == head_gib(recipe, r"Qwen3-VL-8B: \d+, (\d+)")
    assert round(3 * eight.checkpoint / 1e10) == 37  # GB on disk, in tens


def test_features_that_reach_into_the_text_are_counted(qwen3_vl_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(qwen3_vl_dir, tmp_path / "flat")
    config = json.loads((tmp_path / "flat" / "config.json").read_text())
    config["vision_config"]["deepstack_visual_indexes"] = []
    (tmp_path / "flat" / "config.json").write_text(json.dumps(config))
    deep, flat = (plan(str(folder), batch=QWEN3_VL_SHORT) for folder in (qwen3_vl_dir, tmp_path / "flat"))
    merged, hidden = 4 * 96, 128  # of a merger: a norm of four patches, and two layers
    merger = 2 * merged + merged * merged + merged + merged * hidden + hidden
    assert deep.parameters - flat.parameters == 3 * merger
    # Each of three layers keeps a copy of its output, with the features of 256 tokens added.
    assert deep.activations > flat.activations


@pytest.mark.parametrize(
    ("model_type", "said"), [("qwen3_vl_moe", "a mixture of experts, qwen3_vl_moe"), ("llama", "llama")]
)
def test_what_cannot_be_planned_is_one_line(model_type: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    with pytest.raises(SystemExit, match=f"plan: {tmp_path}: {said}; expected one of qwen2_5_vl, qwen3_vl"):
        plan(str(tmp_path))


def test_the_papers_600_gb_are_the_states_and_a_reference_model_of_32b() -> None:
    large = plan("32b", gpus=8, recipe="grpo", deepspeed="zero3", batch=SHORT, vllm_gpus=8)
    assert large.parameters == pytest.approx(33.45e9, rel=1e-3)
    states = 8 * (large.weights + large.gradients + large.optimiser + large.reference)
    assert states == 18 * large.parameters
    assert 600e9 < states < 605e9


def test_lora_trains_little_and_needs_no_reference_model(model_dir: Path) -> None:
    full, lora = (
        plan(str(model_dir), recipe="grpo", tuner=tuner, batch=SHORT, vllm_gpus=0) for tuner in ("full", "lora")
    )
    # Rank 8 on the seven projections of 3 layers: 4 of 128 x 128, 3 between 128 and 384.
    assert lora.trained == 3 * 8 * (4 * (128 + 128) + 3 * (128 + 384))
    assert lora.weights == 2 * lora.parameters + 4 * lora.trained
    assert (lora.reference, full.reference) == (0, 2 * full.parameters)
    assert full.trained == full.parameters == lora.parameters


def test_longer_rows_and_kept_activations_take_more(model_dir: Path) -> None:
    short = plan(str(model_dir), batch=SHORT)
    long = plan(str(model_dir), batch=Batch(tokens=800, kept=20, patches=(36 * 36,)))
    kept = plan(str(model_dir), batch=SHORT, checkpointing=False)
    assert long.activations > short.activations
    assert kept.activations > 2 * short.activations


def test_the_table_says_whether_it_fits(seven: Plan) -> None:
    assert "fits in 80" in report(seven, 80)
    assert "yes, 43." in report(seven, 80)
    assert "no, " in report(seven, 24)
