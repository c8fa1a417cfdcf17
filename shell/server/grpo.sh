#!/usr/bin/env bash
# GRPO with rollout servers (rollout.sh), all parameters, the paper's settings. Either stage, 7B or 32B.
#
#   hardware  beside the servers 4 GPUs of 80 GB for 7B, or 8 for 32B with DEEPSPEED=zero3_offload and DISK=1450;
#             memory 40 GiB a GPU (7B);  disk 360 GB
#   hours     not measured
#   input     DATA;  MODEL: the earlier stage's OUT, the same as the servers'
#   options   STAGE (query2, or query1; as the servers'), SERVERS ("127.0.0.1:8000"; several share the rollouts),
#             REWARDS, GPUS (4), CUDA_VISIBLE_DEVICES; and those of shell/common.sh
#   output    OUT (output/server/STAGE): checkpoint-N; started again, it goes on from the last
#   next      the same with STAGE=query2, or ../7b/detect.sh
STAGE=${STAGE:-query2}
OUT=${OUT:-output/server/$STAGE}
GPUS=${GPUS:-4} DEEPSPEED=${DEEPSPEED-zero3} DISK=${DISK:-360}
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$(dirname "$0")/../common.sh"
case $STAGE in
    query1) scheduler=(--multi_turn_scheduler zoomin --max_turns 1) rewards=(zoomin_format zoomin_iou) ;;
    query2) scheduler=(--multi_turn_scheduler zoomin_query2) rewards=(zoomin_accuracy zoomin_bleu) ;;
    *) stop "STAGE=$STAGE; expected query1 or query2" ;;
esac
begin
if [ -n "${REWARDS:-}" ]; then read -ra rewards <<<"$REWARDS"; fi
read -ra servers <<<"${SERVERS:-127.0.0.1:8000}"
train swift rlhf --rlhf_type grpo "${stage[@]}" "${machine[@]}" --dataset "$DATA:$STAGE" \
    "${scheduler[@]}" --reward_funcs "${rewards[@]}" \
    --learning_rate "${LEARNING_RATE:-1e-5}" --num_generations "${GENERATIONS:-2}" \
    --max_completion_length "${TOKENS:-1024}" \
    --use_vllm true --vllm_mode server --vllm_server_host "${servers[@]%:*}" --vllm_server_port "${servers[@]##*:}" \
    --tuner_type full --freeze_llm false --freeze_vit false --freeze_aligner false \
    --save_steps 200 "${resume[@]}" "$@"
