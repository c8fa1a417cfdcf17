#!/usr/bin/env bash
# Plain GRPO against turn-level credit, in one run over both queries: all four rewards, equal steps, three seeds.
#
#   needs   shell/quickstart.sh was run (its model and benchmark); 2 cores, 6 GB of memory
#   hours   0.7 on 2 cores
#   options SFT_STEPS (1100, which leave something to learn), GRPO_STEPS (60), SEEDS (1 2 3)
#   output  output/turn_credit/NAME: predictions.jsonl and metrics.json; run again, it goes on where it stopped
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
# shellcheck source-path=SCRIPTDIR source=../examples/tiny.sh
source examples/tiny.sh

from=$PWD/output/quickstart
out=$PWD/output/turn_credit
train=$from/benchmark/train/records.jsonl
mkdir -p "$out"

detect_and_evaluate() { # NAME
    MODEL=$out/$1 DATA=$from/benchmark/test/records.jsonl OUT=$out/$1 quietly "$out/$1.detect.log" \
        tiny_detect --max-new-tokens 80
    python -c 'import json, sys
seen = json.load(open(sys.argv[2]))["methods"]["predictions"]
print(sys.argv[1].ljust(16), *("{} {value:.3f}".format(name, **seen[name]) for name in ("iou", "accuracy", "bleu2")))' \
        "$1" "$out/$1/metrics.json"
}

if [ ! -e "$out/sft/metrics.json" ]; then
    MODEL=$from/model DATA=$train OUT=$out/sft quietly "$out/sft.log" tiny_sft --max_steps "${SFT_STEPS:-1100}"
fi
detect_and_evaluate sft
for seed in ${SEEDS:-1 2 3}; do
    for register in swift_zoomin swift_zoomin.turn_credit; do
        name=${register#swift_zoomin}
        name=${name:-.plain}-$seed
        name=${name#.}
        if [ ! -e "$out/$name/metrics.json" ]; then
            MODEL=$out/sft DATA=$train OUT=$out/$name quietly "$out/$name.log" tiny_grpo query2 --seed "$seed" \
                --custom_register_path "$register" --multi_turn_scheduler zoomin \
                --reward_funcs zoomin_format zoomin_iou zoomin_accuracy zoomin_bleu \
                --learning_rate 2e-5 --per_device_train_batch_size 32 --num_generations 4 \
                --max_completion_length 80 --max_steps "${GRPO_STEPS:-60}"
        fi
        detect_and_evaluate "$name"
    done
done
