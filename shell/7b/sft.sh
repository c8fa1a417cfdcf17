#!/usr/bin/env bash
# SFT of both queries, Qwen2.5-VL-7B or Qwen3-VL-8B, all parameters, the paper's learning rate and batch.
#
#   hardware  4 GPUs of 80 GB;  memory 36 GiB a GPU (Qwen3-VL-8B: 38);  disk 360 GB (370): three checkpoints with
#             optimiser state
#   hours     the paper: 35.3 for all three stages on 4 A100
#   input     DATA: records (.jsonl or .parquet);  MODEL (Qwen/Qwen2.5-VL-7B-Instruct; or Qwen/Qwen3-VL-8B-Instruct)
#   options   GPUS (4; 0: a CPU), DISK (360: GB that must be free), MAX_PIXELS (MODEL's, else 262144);
#             MODEL_TYPE (MODEL's); DRY_RUN=1 shows the command; arguments go to swift, and win over those below:
#             --dataset FILE:PURPOSE for the comparisons, with sft_joint, explain, ground or verdict as PURPOSE
#   output    OUT (output/7b/sft): checkpoint-N; started again, it goes on from the last
#   next      grpo_query1.sh
MODEL=${MODEL:-Qwen/Qwen2.5-VL-7B-Instruct} OUT=${OUT:-output/7b/sft}
GPUS=${GPUS:-4} DISK=${DISK:-360}
if [ "$GPUS" = 0 ]; then # a CPU; arguments after the name still win
    set -- --torch_dtype float32 --gradient_checkpointing false --deepspeed "" "$@"
fi
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$(dirname "$0")/../common.sh"
check MODEL DATA OUT
start_or_resume swift sft --custom_register_path swift_zoomin \
    --model "$(weights "$MODEL")" --model_type "$MODEL_TYPE" --template zoomin --dataset "$DATA:sft" \
    --tuner_type full --freeze_llm false --freeze_vit false --freeze_aligner false \
    --torch_dtype bfloat16 --deepspeed zero3 --learning_rate 2e-5 --num_train_epochs 1 \
    --per_device_train_batch_size 1 --gradient_accumulation_steps 1 --save_steps 200 --save_total_limit 2 \
    --output_dir "$OUT" --add_version false "$@"
