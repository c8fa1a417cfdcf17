"""Whether examples/plan.py foretells the memory of training: ms-swift's own SFT, in a process of its own a run.

    PYTHONPATH=examples python tests/benchmarks/training_memory.py    # 2 cores: minutes; with a GPU it uses that

Three models of the real architecture (`tiny` is examples/make_model.py's; `medium` and `large` are wider and deeper,
with grouped heads and a larger vocabulary), each with and without gradient checkpointing, one batch a step. The second
step is measured, from the forward pass to the end of the backward pass; by then the optimiser has its state. `plan` is
given the shapes of that step's batch and nothing else.

On a GPU, `measured` is the most that torch's allocator held (choose bfloat16: ms-swift runs float32 on a GPU under
float16 autocast, which is not planned). On a CPU it is the bytes of the weights, the optimiser's tensors and the
batch, plus the most that the step itself allocated at once, event by event (torch's profiler): the weights lie in
memory mapped from their file, which the allocator knows nothing of. `resident` is what the system saw: the growth of
the process since before the model was loaded, at its largest; the libraries' own memory and, in GRPO, the rollout are
in it, so it is printed and not judged. Target: predicted / measured between 0.85 and 1.15 in every run.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from itertools import accumulate
from pathlib import Path
from typing import Any
from unittest.mock import patch

TOLERANCE = 0.15
# Text: hidden, intermediate, layers, heads, key-value heads; vision: hidden, intermediate, blocks; vocabulary, tied.
SIZES: dict[str, tuple[Any, ...] | None] = {
    "tiny": None,
    "medium": (512, 2048, 12, 8, 2, 384, 1024, 8, 16384, True),
    "large": (768, 3072, 12, 12, 4, 384, 1024, 12, 32768, False),
}


def make(size: str, folder: Path) -> None:
    import make_model

    def config(*arguments: Any) -> Any:
        made = make_config(*arguments)
        if chosen := SIZES[size]:
            text, vision = made.text_config, made.vision_config
            text.hidden_size, text.intermediate_size, text.num_hidden_layers, *heads = chosen[:5]
            text.num_attention_heads, text.num_key_value_heads = heads
            text.layer_types = ["full_attention"] * text.num_hidden_layers
            vision.hidden_size, vision.intermediate_size, vision.depth, text.vocab_size, tied = chosen[5:]
            vision.num_heads, vision.out_hidden_size = vision.hidden_size // 64, text.hidden_size
            vision.fullatt_block_indexes = list(range(3, vision.depth, 4))
            made.tie_word_embeddings = text.tie_word_embeddings = tied
        return made

    make_config = make_model.make_config
    with patch.object(make_model, "make_config", config):
        make_model.make_model(folder)


class SecondStep:
    """What the second step of a training holds, in bytes, and the shapes that it works on: `found`."""

    def __init__(self, recipe: str, out: Path) -> None:
        import torch

        self.recipe, self.out = recipe, out
        self.found: dict[str, Any] = {}
        self._kept_bytes = 0
        self._profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True)

    def begin(self, trainer: Any, model: Any, inputs: Any) -> None:
        import torch

        self._see_shapes(model)
        reference = getattr(trainer, "ref_model", None)
        models = [model, reference] if reference is not None else [model]
        weights = [[*one.parameters(), *one.buffers()] for one in models]
        states = [list(state.values()) for state in trainer.optimizer.state.values()]
        self._kept_bytes = _bytes_of([*weights, *states, inputs])
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        else:
            self._profiler.start()

    def _see_shapes(self, model: Any) -> None:
        def see_text(module: Any, _: Any, options: dict[str, Any]) -> None:
            self.found["rows"], self.found["tokens"] = options["inputs_embeds"].shape[:2]

        def see_images(module: Any, _: Any, options: dict[str, Any]) -> None:
            self.found["patches"] = options["grid_thw"].prod(-1).tolist()

        def see_kept(module: Any, hidden: tuple[Any]) -> None:
            self.found["kept"] = hidden[0].shape[1] - (self.recipe == "grpo")  # GRPO drops the last

        whole = getattr(model, "get_base_model", lambda: model)()  # within adapters
        whole.model.language_model.register_forward_pre_hook(see_text, with_kwargs=True)
        whole.model.visual.register_forward_pre_hook(see_images, with_kwargs=True)
        whole.lm_head.register_forward_pre_hook(see_kept)

    def end(self) -> None:
        import torch

        if torch.cuda.is_available():
            most = torch.cuda.max_memory_allocated()
        else:
            self._profiler.stop()
            self._profiler.export_chrome_trace(str(self.out / "trace.json"))
            events = json.loads((self.out / "trace.json").read_text())["traceEvents"]
            changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event["name"] == "[memory]")
            most = self._kept_bytes + max(accumulate(change for _, change in changes))
        (self.out / "measured.json").write_text(json.dumps({"measured": most, "batch": self.found}))


def _bytes_of(held: Any) -> int:
    import torch

    return sum(leaf.nbytes for leaf in torch.utils._pytree.tree_leaves(held) if isinstance(leaf, torch.Tensor))


def train(recipe: str, out: Path, arguments: list[str]) -> None:
    """Run ms-swift in this process; write what its second step held, in bytes, and the shapes that it worked on."""
    from swift import rlhf_main, sft_main
    from swift.rlhf_trainers import GRPOTrainer
    from swift.trainers import Seq2SeqTrainer

    import swift_zoomin.register.swift_zoomin_register  # noqa: F401

    trainer_class, main = (GRPOTrainer, rlhf_main) if recipe == "grpo" else (Seq2SeqTrainer, sft_main)
    compute_loss, training_step = trainer_class.compute_loss, trainer_class.training_step
    second_step = SecondStep(recipe, out)

    def seen_loss(trainer: Any, model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
        if trainer.state.global_step > 0:
            second_step.begin(trainer, model, inputs)
        return compute_loss(trainer, model, inputs, *rest, **options)

    def seen_step(trainer: Any, *rest: Any) -> Any:
        loss = training_step(trainer, *rest)
        if trainer.state.global_step > 0:
            second_step.end()
        return loss

    with patch.multiple(trainer_class, compute_loss=seen_loss, training_step=seen_step):
        before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        main(arguments)
    result = json.loads((out / "measured.json").read_text())
    result["resident"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    (out / "measured.json").write_text(json.dumps(result))


def compare(model: Path, records: Path, out: Path, checkpointing: bool, options: argparse.Namespace) -> dict[str, Any]:
    import torch
    from plan import Batch, plan

    out.mkdir()
    grpo = options.recipe == "grpo"
    command = f"""--model {model} --model_type qwen2_5_vl --template zoomin --output_dir {out}
        --dataset {records}:{"query1" if grpo else "sft"} --torch_dtype {options.precision}
        --tuner_type {options.tuner} --max_steps 2
        --gradient_checkpointing {checkpointing} --per_device_train_batch_size {options.batch}
        --gradient_accumulation_steps 1 --save_strategy no --eval_strategy no --check_model false --report_to none
        --add_version false --dataloader_num_workers 0 --use_cpu {not torch.cuda.is_available()}"""
    if options.tuner == "full":
        command += " --freeze_llm false --freeze_vit false --freeze_aligner false"
    if grpo:
        command += " --rlhf_type grpo --reward_funcs zoomin_format zoomin_iou --num_generations 2"
        command += " --use_vllm false --max_completion_length 60"
    environment = os.environ | {"MAX_PIXELS": str(options.max_pixels)}
    log = out / "log"
    with log.open("w") as writer:
        child = [sys.executable, __file__, "--child", options.recipe, str(out), *command.split()]
        if subprocess.run(child, env=environment, stdout=writer, stderr=subprocess.STDOUT).returncode:
            sys.exit(log.read_text()[-3000:])
    found = json.loads((out / "measured.json").read_text())
    foretold = plan(
        str(model),
        recipe=options.recipe,
        tuner=options.tuner,
        precision=options.precision,
        batch=Batch(**found["batch"]),
        checkpointing=checkpointing,
        on_cpu=not torch.cuda.is_available(),
    )
    return {
        "parameters_m": round(foretold.parameters / 1e6, 2),
        "tokens": found["batch"]["tokens"],
        "predicted_mb": round(foretold.training / 1e6, 1),
        "measured_mb": round(found["measured"] / 1e6, 1),
        "resident_mb": round(found["resident"] / 1e6, 1),
        "ratio": round(foretold.training / found["measured"], 3),
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        train(sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
        sys.exit()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--recipe", choices=("sft", "grpo"), default="sft")
    parser.add_argument("--tuner", choices=("full", "lora"), default="full")
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="float32")
    parser.add_argument("--max-pixels", type=int, default=12544, help="the quickstart's; more give windows")
    parser.add_argument("--batch", type=int, default=8, help="rows of a batch")
    chosen = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        examples = Path(__file__).parents[2] / "examples"
        making = [sys.executable, str(examples / "make_benchmark.py"), str(folder / "data"), "--train", "64"]
        subprocess.run([*making, "--test", "2"], check=True, stdout=subprocess.DEVNULL)
        for size in chosen.sizes:
            make(size, folder / size)
            for checkpointing in (False, True):
                name = f"{size}{'_checkpointing' if checkpointing else ''}"
                records = folder / "data/train/records.jsonl"
                results[name] = compare(folder / size, records, folder / f"out_{name}", checkpointing, chosen)
                print(name, results[name], flush=True)
    holds = all(abs(result["ratio"] - 1) <= TOLERANCE for result in results.values())
    print(json.dumps({"runs": results, "within_tolerance": holds}))
