"""DeepSpeed ZeRO-3, really, in two processes on a CPU: SFT, going on from its checkpoint, and GRPO stage 2.

    pip install --no-deps deepspeed==0.19.8 hjson msgpack ninja py-cpuinfo    # without CUDA: DS_ACCELERATOR=cpu before
    python tests/benchmarks/deepspeed_cpu.py [--model output/quickstart/sft/checkpoint-N]

Two steps each of the tiny model (random weights without `--model`, which never reach query 2), through `swift sft` and
`swift rlhf` with `--deepspeed zero3`. `deepspeed_cpu_register.py` says what it takes beside the flags. One line a run:
the loss of each step, and the parts of the parameters and of the optimiser that each process wrote into the checkpoint.
It ends with status 1 where a run fails, or a loss is not finite. What ZeRO-3 saves, and NCCL, are not measured here.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
REGISTER = Path(__file__).with_name("deepspeed_cpu_register.py")
ENVIRONMENT = {
    "DS_ACCELERATOR": "cpu",
    "ACCELERATE_TORCH_DEVICE": "cpu",
    "NPROC_PER_NODE": "2",
    "MAX_PIXELS": "12544",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
COMMON = [
    *("--custom_register_path", "swift_zoomin", str(REGISTER), "--model_type", "qwen2_5_vl", "--template", "zoomin"),
    *("--tuner_type", "full", "--freeze_vit", "false", "--freeze_aligner", "false", "--torch_dtype", "float32"),
    *("--check_model", "false", "--report_to", "none", "--add_version", "false", "--gradient_checkpointing", "false"),
    *("--deepspeed", "zero3", "--per_device_train_batch_size", "2", "--gradient_accumulation_steps", "1"),
    *("--logging_steps", "1", "--save_steps", "2"),
]
GRPO = [
    *("rlhf", "--rlhf_type", "grpo", "--multi_turn_scheduler", "zoomin_query2", "--use_vllm", "false"),
    *("--reward_funcs", "zoomin_accuracy", "zoomin_bleu", "--num_generations", "2", "--max_completion_length", "80"),
]


def run(name: str, out: Path, *arguments: object) -> bool:
    """Run one swift command, print its line, and say whether it went well; the end of its output where it did not."""
    command = [str(Path(sys.executable).parent / "swift"), *map(str, arguments), *COMMON, "--output_dir", str(out)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | ENVIRONMENT, capture_output=True, text=True)
    if done.returncode:
        print(f"{name}: failed\n{(done.stdout + done.stderr)[-3000:]}")
        return False
    lines = map(json.loads, (out / "logging.jsonl").read_text().splitlines())
    losses = [line["loss"] for line in lines if "loss" in line]
    last = max(out.glob("checkpoint-*"), key=lambda folder: int(folder.name.split("-")[1]))
    parts = sorted(file.name for file in last.glob("global_step*/*zero_pp_rank_*"))
    print(f"{name}: losses {', '.join(f'{loss:.4f}' for loss in losses)}; {last.name} has {len(parts)} parts:", *parts)
    return bool(losses) and all(map(math.isfinite, losses)) and bool(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="a tiny model that is trained already (default: random weights)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        model = options.model or work / "model"
        if not options.model:
            subprocess.run([sys.executable, ROOT / "examples/make_model.py", model], check=True)
        made = [sys.executable, ROOT / "examples/make_benchmark.py", work / "data", "--train", "32", "--test", "0"]
        subprocess.run(made, check=True)
        data = work / "data/train/records.jsonl"
        sft = ["sft", "--model", model, "--dataset", f"{data}:sft"]
        grpo = [*GRPO, "--model", model, "--dataset", f"{data}:query2", "--max_steps", 2]
        first = work / "sft/checkpoint-2"
        went_well = (
            run("SFT", work / "sft", *sft, "--max_steps", 2)
            and run("SFT, gone on with", work / "sft", *sft, "--max_steps", 4, "--resume_from_checkpoint", first)
            and run("GRPO, stage 2", work / "grpo", *grpo)
        )
    return 0 if went_well else 1


if __name__ == "__main__":
    sys.exit(main())
