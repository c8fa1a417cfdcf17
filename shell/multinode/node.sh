#!/usr/bin/env bash
# Any training recipe on several machines: run this on each of them, with the same files.
#
#   NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 DATA=... bash shell/multinode/node.sh 32b/sft.sh    # first machine
#   NNODES=2 NODE_RANK=1 MASTER_ADDR=10.0.0.1 DATA=... bash shell/multinode/node.sh 32b/sft.sh    # second
#
#   hardware  on each machine what the recipe says; ZeRO-3's share of the memory is divided by NNODES
#   hours     not measured
#   input     a recipe below shell/, as the first argument, and its own input;  NNODES, NODE_RANK (0 on the machine that
#             is MASTER_ADDR), MASTER_ADDR, as torchrun means them;  GPUS: of each machine
#   options   MASTER_PORT (29500);  for rollout servers on machines of their own: server/grpo.sh with
#             --vllm_server_host and --vllm_server_port, and on those machines server/rollout.sh with --host 0.0.0.0
#   output    the recipe's, in a folder that all machines share: checkpoints are written by all
#   next      the recipe's
# shellcheck source-path=SCRIPTDIR source=../common.sh
source "$(dirname "$0")/../common.sh"
file=$(dirname "$0")/../${1:-}
[ -f "$file" ] || stop "${1:-no first argument}: no such file below shell/; expected a recipe, as 32b/sft.sh"
for name in NNODES NODE_RANK MASTER_ADDR; do
    [ -n "${!name:-}" ] || stop "set $name; the head of shell/$recipe says to what"
done
[ "$NODE_RANK" -lt "$NNODES" ] || stop "NODE_RANK=$NODE_RANK: expected 0 to $((NNODES - 1)), since NNODES=$NNODES"
export NNODES NODE_RANK MASTER_ADDR MASTER_PORT=${MASTER_PORT:-29500}
exec bash "$file" "${@:2}"
