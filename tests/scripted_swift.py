"""A `swift` that trains nothing: it writes what the real one leaves behind, so that scripts around it are run quickly.

    write_programs(tmp_path / "bin")    # for PATH

`swift sft` and `swift rlhf` print their command, and write args.json, and one line and one checkpoint a step; `swift
rollout` listens to nobody; `zoomin detect` writes one prediction; `nvidia-smi` shows the GPUs that it is asked for.
FAILS=rlhf makes `swift rlhf` run out of memory in the words of torch.
"""

import sys
from pathlib import Path

_SWIFT = r"""#!{python}
import json, os, pathlib, sys, time
kind, words = sys.argv[1], sys.argv[2:]
if kind == "rollout":
    with open(os.environ["SEEN"], "a") as file:
        file.write(os.environ["STAGE"] + " on " + os.environ["CUDA_VISIBLE_DEVICES"] + "\n")
    print("INFO:     Application startup complete.", flush=True)
    time.sleep(600)
print("swift", *sys.argv[1:], flush=True)
if os.environ.get("FAILS") == kind:
    sys.exit("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.63 GiB.")
value = lambda flag: words[len(words) - 1 - words[::-1].index(flag) + 1]
out, most = pathlib.Path(value("--output_dir")), int(value("--max_steps"))
first = 1
if "--resume_from_checkpoint" in words:
    first += int(value("--resume_from_checkpoint").rsplit("-", 1)[1])
args = dict(dataset=[value("--dataset")], num_train_epochs=1.0, per_device_train_batch_size=2, tuner_type="none",
            gradient_accumulation_steps=1, global_world_size=1, num_generations=2, num_iterations=1,
            multi_turn_scheduler="zoomin_query2", model_dir=value("--model"))
if kind == "rlhf":
    args["rlhf_type"] = "grpo"
(out / "args.json").write_text(json.dumps(args))
print("train_dataset: Dataset({{\n    features: [],\n    num_rows: 16\n}})")
for step in range(first, most + 1):
    line = dict(loss=0.5, num_turns=2.0)
    line.update({{"global_step/max_steps": f"{{step}}/{{most}}", "train_speed(s/it)": 0.1}})
    with (out / "logging.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    checkpoint = out / f"checkpoint-{{step}}"
    checkpoint.mkdir()
    (checkpoint / "config.json").write_text('{{"model_type": "qwen2_5_vl"}}')
    (checkpoint / "trainer_state.json").write_text(json.dumps(dict(global_step=step, max_steps=most)))
    time.sleep(0.2)
line["train_runtime"] = line.pop("loss")
with (out / "logging.jsonl").open("a") as file:
    file.write(json.dumps(line) + "\n")
"""
_ZOOMIN = r"""#!{python}
import json, pathlib, sys
if sys.argv[1] == "detect":
    out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
    out.write_text(json.dumps(dict(image="a.png", verdict=None)) + "\n")
"""
_NVIDIA_SMI = r"""#!{python}
import sys
for word in sys.argv:
    if word.startswith("--id="):
        print("".join(f"{{index}}, 1024, 81559\n" for index in word[5:].split(",")))
"""


def write_programs(folder: Path) -> Path:
    folder.mkdir()
    for name, text in (("swift", _SWIFT), ("zoomin", _ZOOMIN), ("nvidia-smi", _NVIDIA_SMI)):
        program = folder / name
        program.write_text(text.format(python=sys.executable))
        program.chmod(0o755)
    return folder
