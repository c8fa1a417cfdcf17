#!/usr/bin/env bash
# The whole job in the small: make a tiny model and a benchmark, train it in the paper's three stages, detect, evaluate.
#
#   needs   what setup.sh needs; 6 GB of memory; a GPU is used if there is one
#   hours   0.2 on 2 cores, installation included
#   options TRAIN_IMAGES (1200), TEST_IMAGES (100), GRPO_STEPS (10): more of each, for a model that knows more
#   output  output/quickstart: records.jsonl (held-out images), predictions.jsonl, metrics.json, one folder a stage
#   next    shell/test.sh
set -euo pipefail
cd "$(dirname "$0")/.."
bash shell/setup.sh
export PATH="$PWD/.venv/bin:$PATH"

out=$PWD/output/quickstart
model=$out/model
data=$out/benchmark
rm -rf "$out"
# One value for training and detection: boxes are written in the pixels of the image after this limit.
export MAX_PIXELS=12544
# The tiny model's matrices gain nothing from threads, which only wait for each other on a busy machine.
export OMP_NUM_THREADS=1
started=$SECONDS

python examples/make_model.py "$model"
python examples/make_benchmark.py "$data" --train "${TRAIN_IMAGES:-1200}" --test "${TEST_IMAGES:-100}"

common=(--custom_register_path swift_zoomin --model_type qwen2_5_vl --template zoomin --tuner_type full
    --freeze_vit false --freeze_aligner false --torch_dtype float32 --gradient_checkpointing false
    --gradient_accumulation_steps 1 --check_model false --report_to none --add_version false
    --save_only_model true --save_total_limit 1 --logging_steps 10 --dataloader_num_workers 1)
rollout=(--rlhf_type grpo --per_device_train_batch_size 16 --num_generations 2 --use_vllm false
    --max_completion_length 80 --learning_rate 1e-5 --max_steps "${GRPO_STEPS:-10}")
quietly() { # LOG COMMAND ...: run it, showing its output only if it fails
    if ! "${@:2}" >"$1" 2>&1; then
        tail -n 30 "$1" >&2
        echo "quickstart: this failed: ${*:2}; the whole log is $1" >&2
        exit 1
    fi
}
last() { find "$1" -maxdepth 1 -name 'checkpoint-*' | sort -V | tail -n 1; }

echo "== SFT: both queries"
quietly "$out/sft.log" swift sft "${common[@]}" --model "$model" --dataset "$data/train/records.jsonl:sft" --output_dir "$out/sft" \
    --per_device_train_batch_size 4 --learning_rate 1e-3 --warmup_ratio 0.02 --num_train_epochs 1

echo "== GRPO, stage 1: query 1 earns format and IoU"
quietly "$out/grpo1.log" swift rlhf "${common[@]}" "${rollout[@]}" --model "$(last "$out/sft")" \
    --dataset "$data/train/records.jsonl:query1" --output_dir "$out/grpo1" \
    --reward_funcs zoomin_format zoomin_iou

echo "== GRPO, stage 2: query 2 earns accuracy and BLEU"
quietly "$out/grpo2.log" swift rlhf "${common[@]}" "${rollout[@]}" --model "$(last "$out/grpo1")" \
    --dataset "$data/train/records.jsonl:query2" --output_dir "$out/grpo2" \
    --multi_turn_scheduler zoomin_query2 --reward_funcs zoomin_accuracy zoomin_bleu

echo "== Detection: held-out images, and two real photographs"
cp -r "$data/test/records.jsonl" "$data/test/images" "$out/"
detect=(zoomin detect --model "$(last "$out/grpo2")" --max-new-tokens 80)
quietly "$out/detect.log" "${detect[@]}" --batch-size 100 "$out/records.jsonl" --out "$out/predictions.jsonl"
photos=$(python -c 'import sklearn.datasets, pathlib; print(pathlib.Path(sklearn.datasets.__file__).parent / "images")')
quietly "$out/detect_photographs.log" "${detect[@]}" "$photos" --out "$out/photographs.jsonl"

echo "== Held-out images"
zoomin evaluate "$out/records.jsonl" "$out/predictions.jsonl" --out "$out/metrics.json"
echo "== Photographs (the tiny model has never seen one)"
python -c 'import json, sys
for line in open(sys.argv[1]):
    seen = json.loads(line)
    print(seen["image"].rsplit("/", 1)[-1], seen["width"], "x", seen["height"], "first", seen["initial_verdict"],
          "final", seen["verdict"])
' "$out/photographs.jsonl"
echo "pipeline: $((SECONDS - started)) s; results in output/quickstart"
