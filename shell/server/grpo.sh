#!/usr/bin/env bash
# GRPO with a rollout server (rollout.sh), all parameters, the paper's settings. Either stage, 7B or 32B.
#
#   hardware  beside the server 4 GPUs of 80 GB for 7B, or 8 for 32B with --deepspeed zero3_offload and DISK=1450;
#             memory 40 GiB a GPU (7B);  disk 360 GB
#   hours     not measured
#   input     DATA;  MODEL: the earlier stage's OUT, the same as the server's
#   options   STAGE (query2, or query1; as the server's), CUDA_VISIBLE_DEVICES: GPUs that the server does not use;
#             GPUS (4; 0: a CPU), DISK (360: GB that must be free), MAX_PIXELS (MODEL's, else 262144);
#             MODEL_TYPE (MODEL's); DRY_RUN=1 shows the command; arguments go to swift, and win over those below.
#             Several servers share the rollouts with --vllm_server_host 10.0.0.2 10.0.0.3 --vllm_server_port 8000 8000
#   output    OUT (output/server/STAGE): checkpoint-N; started again, it goes on from the last
#   next      the same with STAGE=query2, or ../7b/detect.sh
STAGE=${STAGE:-query2}
OUT=${OUT:-output/server/$STAGE}
GPUS=${GPUS:-4} DISK=${DISK:-360}
if [ "$GPUS" = 0 ]; then # a CPU, whose one process takes both replies of a group; arguments after the name still win
    set -- --torch_dtype float32 --gradient_checkpointing false --deepspeed "" \
        --per_device_train_batch_size 2 "$@"
fi
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$(dirname "$0")/../common.sh"
case $STAGE in
    query1)
        exchange=(--multi_turn_scheduler zoomin --max_turns 1
            --reward_funcs zoomin_format zoomin_iou zoomin_watch_{regions,covered,cut}
            --reward_weights 1 1 0 0 0)
        ;;
    query2)
        exchange=(--multi_turn_scheduler zoomin_query2
            --reward_funcs zoomin_accuracy zoomin_bleu zoomin_watch_{second_look,regions,covered,changed,corrected,cut}
            --reward_weights 1 1 0 0 0 0 0 0)
        ;;
    *) stop "STAGE=$STAGE; expected query1 or query2" ;;
esac
replaced SERVERS "--vllm_server_host and --vllm_server_port"
check MODEL DATA OUT
start_or_resume swift rlhf --rlhf_type grpo --custom_register_path swift_zoomin \
    --model "$(weights "$MODEL")" --model_type "$MODEL_TYPE" --template zoomin --dataset "$DATA:$STAGE" \
    "${exchange[@]}" --num_generations 2 --max_completion_length 1024 \
    --use_vllm true --vllm_mode server --vllm_server_host 127.0.0.1 --vllm_server_port 8000 \
    --tuner_type full --freeze_llm false --freeze_vit false --freeze_aligner false \
    --torch_dtype bfloat16 --deepspeed zero3 --learning_rate 1e-5 --num_train_epochs 1 \
    --per_device_train_batch_size 1 --gradient_accumulation_steps 1 --save_steps 200 --save_total_limit 2 \
    --output_dir "$OUT" --add_version false "$@"
