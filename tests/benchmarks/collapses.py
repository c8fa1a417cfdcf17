"""Whether the monitors warn of real runs that collapse: each is paid for its collapse, by a reward made for that.

    bash examples/study.sh quick 1
    python tests/benchmarks/collapses.py output/study/quick/1 --out output/collapses [--only changed] [--steps 60]

The runs begin with an early checkpoint of the study's SFT, whose replies still differ, since a policy that is certain
never samples what is paid for. Of each it prints what the monitor logged at the first and the last step, and the step
of each warning, of other monitors too. A run that is paid for naming no region may learn to run on until it is cut,
which `cut` then says.
"""

import argparse
import ast
import os
import re
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
STAGES = {"regions": "query1", "covered": "query1", "changed": "query2", "corrected": "query2"}
WATCHED = ("second_look", "regions", "covered", "changed", "corrected", "cut")
# Groups of 8 show what is paid for; without a KL term and at this rate the policy moves within tens of steps.
SETTINGS = (
    "--per_device_train_batch_size 64 --num_generations 8 --learning_rate 3e-4 --beta 0 --max_completion_length 80 "
    "--logging_steps 1 --save_steps 1000"
)
WARNING = re.compile(r"swift_zoomin: zoomin_watch_(\w+): ")


def run(name: str, study: Path, checkpoint: str, steps: int, out: Path) -> str:
    """What a run printed."""
    rewards = " ".join(f"zoomin_watch_{watched}" for watched in WATCHED)
    register = ROOT / "tests/benchmarks/collapses_register.py"
    command = (
        f"source examples/tiny.sh; tiny_grpo {STAGES[name]} --custom_register_path swift_zoomin {register} "
        f"--reward_funcs collapse_{name} {rewards} --reward_weights 1{' 0' * len(WATCHED)} {SETTINGS} "
        f"--max_steps {steps} --seed 1"
    )
    paths = {"MODEL": study / checkpoint, "DATA": study / "benchmark/train/records.jsonl", "OUT": out / name}
    environment = {**os.environ, **{key: str(path.resolve()) for key, path in paths.items()}}
    assert not paths["OUT"].exists(), f"{paths['OUT']} exists; choose another --out"  # the recipe would go on with it
    settings: dict[str, Any] = {"cwd": ROOT, "env": environment, "text": True}
    done = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **settings)
    (out / f"{name}.log").write_text(done.stdout)
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def told(name: str, printed: str) -> str:
    """One line: what was logged, and at which step each monitor warned."""
    key, step, values, warned = f"rewards/zoomin_watch_{name}/mean", 0, [], []
    for line in printed.splitlines():
        if warning := WARNING.search(line):
            warned.append(f"{warning[1]} in step {step + 1}")
        if line.startswith("{'loss'"):
            logged = ast.literal_eval(line)
            step = int(str(logged["global_step/max_steps"]).split("/")[0])
            values.append(float(logged[key]))
    warnings = ", ".join(warned) or "none"
    return f"{name:10} logged {values[0]:.3f} at first, {values[-1]:.3f} at step {step}; warnings: {warnings}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="a seed's folder of examples/study.sh")
    parser.add_argument("--checkpoint", default="sft/checkpoint-300")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--only", choices=STAGES)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in [options.only] if options.only else STAGES:
        print(told(name, run(name, options.study, options.checkpoint, options.steps, options.out)), flush=True)


if __name__ == "__main__":
    main()
