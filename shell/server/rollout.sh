#!/usr/bin/env bash
# The rollout server: vLLM and our scheduler on GPUs of their own; grpo.sh, on others, trains with it.
#
#   hardware  1 GPU of 40 GB or more for 7B, 4 for 32B;  memory 90% of each GPU, which is vLLM's habit
#   hours     as long as the training
#   input     MODEL (Qwen/Qwen2.5-VL-7B-Instruct): an earlier stage's OUT, as the trainer's; and the
#             trainer's image files, under the same paths
#   options   STAGE (query2, or query1), GPUS (1), CUDA_VISIBLE_DEVICES, MODEL_TYPE (MODEL's);
#             MAX_PIXELS (MODEL's, else 262144), the same as the trainer's; DRY_RUN=1 shows the command;
#             arguments go to swift, and win over those below. --host 0.0.0.0 listens on every interface. ms-swift's
#             server asks for no key: whoever reaches it has the model described any image file that this process can
#             open, and can put other weights into it. Let no network but the trainer's reach it, and set
#             SWIFT_MEDIA_ALLOWED_DIRS to the folders of the training images (nothing else is opened then)
#   output    http://127.0.0.1:8000; the trainer's weights come in through port 51216 of this machine
#   next      grpo.sh, once "Application startup complete" is printed
MODEL=${MODEL:-Qwen/Qwen2.5-VL-7B-Instruct} GPUS=${GPUS:-1} DISK=${DISK:-1}
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$(dirname "$0")/../common.sh"
case ${STAGE:=query2} in
    query1) exchange=(--multi_turn_scheduler zoomin --max_turns 1) ;;
    query2) exchange=(--multi_turn_scheduler zoomin_query2) ;;
    *) stop "STAGE=$STAGE; expected query1 or query2" ;;
esac
check MODEL
if [ -n "${HOST+set}${PORT+set}" ]; then # which the system may have set for its own ends
    echo "$recipe: HOST and PORT are no options any more; give --host and --port after the recipe's name" >&2
fi
run swift rollout --custom_register_path swift_zoomin \
    --model "$(weights "$MODEL")" --model_type "$MODEL_TYPE" --template zoomin --torch_dtype bfloat16 \
    "${exchange[@]}" --host 127.0.0.1 --port 8000 --vllm_tensor_parallel_size "$GPUS" \
    --vllm_max_model_len 8192 --vllm_limit_mm_per_prompt '{"image": 7, "video": 0}' "$@"
