#!/usr/bin/env bash
# The paper's Table 1 in the small: one seed of the ablation study, trained and evaluated through the recipes.
#
#   bash examples/study.sh full 1         # ZoomIn and SFT only: the headline rows
#   bash examples/study.sh full 1 all     # every row, degraded images, the control and the learning curves too
#   .venv/bin/python examples/study_report.py output/study/full    # table over all seeds, curves
#
#   needs   shell/setup.sh was run;  size quick or full: 2 cores, 6 GB of memory;  gpu: one GPU
#   options TRAIN_IMAGES, TEST_IMAGES, GRPO_STEPS; STUDY (output/study)
#   output  $STUDY/SIZE/SEED, one folder a row; run again, it goes on with the first stage that is not finished
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
# shellcheck source-path=SCRIPTDIR source=../examples/tiny.sh
source examples/tiny.sh

size=${1:?"quick, full or gpu"} seed=${2:?"a number"} rows=${3:-headline}
case $size in
    quick) scenes=quick images=6000 steps=100 tokens=80 ;;
    full) scenes=full images=24000 steps=200 tokens=200 ;;
    gpu) scenes=full images=40000 steps=400 tokens=200 ;;
    *) echo "study: size $size; expected quick, full or gpu" >&2 && exit 2 ;;
esac
steps=${GRPO_STEPS:-$steps}
out=$(realpath -m "${STUDY:-output/study}")/$size/$seed
train=$out/benchmark/train/records.jsonl
test=$out/benchmark/test/records.jsonl
mkdir -p "$out"

# run_once NAME COMMAND ...: run a stage that writes to $out/NAME, unless it is finished.
run_once() {
    if [ ! -e "$out/$1/finished" ]; then
        echo "$(date +%T) $1"
        mkdir -p "$out/$1"
        OUT=$out/$1 quietly "$out/$1.log" "${@:2}"
        touch "$out/$1/finished"
    fi
}
sft() { # NAME PURPOSE [BENCHMARK]
    MODEL=$out/pretrained DATA=${3:-$train} run_once "$1" tiny_sft --seed "$seed" --dataset "${3:-$train}:$2" \
        --save_steps 0.1 --save_total_limit 10
}
grpo() { # NAME QUERY MODEL REWARD ...
    MODEL=$out/$3 DATA=$train run_once "$1" tiny_grpo "$2" --seed "$seed" --reward_funcs "${@:4}" \
        --max_steps "$steps" --max_completion_length "$tokens" --save_steps 0.2 --save_total_limit 5
}
detect_and_evaluate() { # ROW MODEL [zoomin detect's arguments]
    MODEL=$out/$2 DATA=${data:-$test} run_once "$1" tiny_detect --max-new-tokens "$tokens" "${@:3}"
}

run_once model python examples/make_model.py "$out/model" --seed "$seed"
# Qwen2.5-VL can read, locate and describe before anyone fine-tunes it. So can this model after scenes of one panel.
run_once simple python examples/make_benchmark.py "$out/simple" --seed "$seed" --train "${TRAIN_IMAGES:-6000}" --test 0
MODEL=$out/model DATA=$out/simple/train/records.jsonl run_once pretrained tiny_sft --seed "$seed"
run_once benchmark python examples/make_benchmark.py "$out/benchmark" --scenes "$scenes" --seed "$seed" \
    --train "${TRAIN_IMAGES:-$images}" --test "${TEST_IMAGES:-300}"

sft sft sft
detect_and_evaluate "rows/SFT, decoupled rows" sft
grpo grpo1 query1 sft zoomin_format zoomin_iou
detect_and_evaluate "rows/SFT and GRPO stage 1" grpo1
grpo grpo2 query2 grpo1 zoomin_accuracy zoomin_bleu
detect_and_evaluate "rows/ZoomIn" grpo2
if [ "$rows" != all ]; then exit; fi

degrade() { # NAME
    rm -rf "${OUT:?}"/* # of a run that was stopped
    zoomin degrade "$test" --out "$OUT" --as "$1"
}
for name in jpeg80 jpeg30 crop half; do
    run_once degraded/$name degrade $name
    data=$out/degraded/$name/records.jsonl detect_and_evaluate "rows/degraded: $name" grpo2
done

sft joint sft_joint
detect_and_evaluate "rows/SFT, joint rows" joint
for variant in explain ground verdict; do
    sft $variant $variant
    detect_and_evaluate "rows/one-turn: $variant" $variant --one-turn $variant
done
grpo no_bleu query2 grpo1 zoomin_accuracy
detect_and_evaluate "rows/no BLEU reward" no_bleu
grpo dual1 query1 sft zoomin_format zoomin_iou zoomin_accuracy_query1
grpo dual2 query2 dual1 zoomin_accuracy zoomin_bleu
detect_and_evaluate "rows/dual verdict reward" dual2
for regions in random largest-3 largest-4; do
    detect_and_evaluate "rows/regions: $regions" grpo2 --regions $regions
done

# The control needs fewer images: what one look can see is soon learned. I-Acc. is what it is about.
run_once visible python examples/make_benchmark.py "$out/visible" --scenes "$scenes" --seed "$seed" --visible \
    --train "${TRAIN_IMAGES:-$((images * 2 / 3))}" --test "${TEST_IMAGES:-300}"
sft visible_sft sft "$out/visible/train/records.jsonl"
data=$out/visible/test/records.jsonl detect_and_evaluate "rows/control: visible evidence" visible_sft

data=$out/benchmark/test/curves.jsonl
head -n 150 "$test" >"$data"
for checkpoint in "$out"/{sft,grpo1,grpo2}/checkpoint-*; do
    stage=$(basename "$(dirname "$checkpoint")")
    detect_and_evaluate "curves/$stage-${checkpoint##*-}" "$stage/${checkpoint##*/}"
done
