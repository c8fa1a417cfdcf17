#!/usr/bin/env bash
# A rehearsal of a whole run: the recipes of shell/NAME as they stand, with their model, data and machine, but two steps
# of each stage on 16 records, a stop, as many steps from the checkpoint, and 8 images detected. Then a report: memory
# beside what examples/plan.py says, hours and disk of the whole run, and one line for each thing to change.
#
#   DATA=data512/records.jsonl bash shell/rehearse.sh 7b      # or 32b, 1gpu, server, or a folder of your own in shell/
#
#   hardware  the recipes';  memory the recipes';  disk the recipes', free again at the end
#   hours     minutes: the model is loaded twice a stage, and once to detect
#   input     NAME;  DATA, MODEL (sft.sh's; of `server` an earlier stage's OUT), GPUS, DISK, MAX_PIXELS as the recipes'
#   options   RECORDS (16);  STEPS (2) before the stop and as many after it;  RANDOM_WEIGHTS=1: MODEL's architecture of
#             random numbers, nothing fetched (a size of examples/plan.py, or a folder's config.json);  SERVER_GPUS (1):
#             of `server`, the first of CUDA_VISIBLE_DEVICES. Arguments go to all trainings, those behind sft:, grpo:
#             and detect: to these alone
#   output    OUT (output/rehearsal/NAME): report.txt, report.json, a folder a stage with its logs; status 1: see CHANGE
#   next      the recipes
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "$0")/common.sh"
shell=$(dirname "$0") examples=$(dirname "$0")/../examples
name=${1:-} data=${DATA:-} out=${OUT:-output/rehearsal/${1:-}}
ls "$shell/${name:-none}"/*grpo*.sh >/dev/null 2>&1 ||
    stop "${name:-no first argument}: no recipes in such a folder of shell/; expected 7b, 32b, 1gpu or server"
[ -n "$data" ] || stop "set DATA; the head of shell/rehearse.sh says to what"
[ -s "$data" ] || stop "DATA=$data: no such file, or it is empty; expected a file that ends in .jsonl or .parquet"
[ "$name" != server ] || [ -n "${MODEL:-}" ] || stop "set MODEL; the head of shell/rehearse.sh says to what"
[ ! -e "$out" ] || [ -e "$out/.zoomin_rehearsal" ] ||
    stop "OUT=$out: is there and is no rehearsal's; set OUT to a new folder"
rm -rf "$out"
mkdir -p "$out/detect"
touch "$out/.zoomin_rehearsal" # the next rehearsal may remove this folder
python "$examples/rehearsal_sample.py" "$data" "$out" --records "${RECORDS:-16}"
few=$out/records.jsonl

# Arguments of all trainings, and of one kind.
of_all=() of_sft=() of_grpo=() of_detect=() kind=all
for word in "${@:2}"; do
    case $word in
        sft: | grpo: | detect:) kind=${word%:} ;;
        *) eval "of_$kind+=(\"\$word\")" ;;
    esac
done
steps=${STEPS:-2}
unset STEPS # which recipes refuse
watching=(--logging_steps 1 --logging_nan_inf_filter false --report_to none --save_steps "$steps" --save_total_limit 1)

# watch_gpus RECIPE: sets `gpus`, arguments of watched.py, to those that the recipe takes: as `check` of common.sh has
# it, the first GPUS of the visible ones. Of others nobody knows what runs there.
watch_gpus() {
    local number=${GPUS:-} visible=${CUDA_VISIBLE_DEVICES:-}
    gpus=()
    # shellcheck disable=SC2016  # the recipe's own words
    number=${number:-$(sed -n 's/.*GPUS=${GPUS:-\([0-9]*\)}.*/\1/p' "$1" | head -n 1)}
    if [ "$number" = 0 ] || ! nvidia-smi -L >/dev/null 2>&1; then return; fi
    if [ -n "$number" ]; then visible=$(cut -d , -f "1-$number" <<<"${visible:-$(seq -s , 0 $((number - 1)))}"); fi
    gpus=(--gpus "${visible:-all}") # a recipe of your own may not say how many
}

# show_whole RECIPE ARGUMENTS ...: OUT/whole, what the recipe would run; where it refuses to, OUT/refused.log instead.
show_whole() {
    if DRY_RUN=1 bash "$@" >"$OUT/whole" 2>"$OUT/refused.log"; then
        rm "$OUT/refused.log"
    else
        rm "$OUT/whole"
        return 1
    fi
}

# on_sample ARGUMENTS ...: sets `arguments`, a local variable of its caller's, to the same words with the sample where
# they name DATA: alone, or with a purpose or a number of rows behind it.
on_sample() {
    local word named
    arguments=()
    for word in "$@"; do
        named=${word#--*=}
        case $named in
            "$data" | "$data":* | "$data"#*) word=${word%"$named"}$few${named#"$data"} ;;
        esac
        arguments+=("$word")
    done
}

# rehearse STAGE RECIPE ARGUMENTS ...: train on the sample, be stopped, and go on.
rehearse() {
    local stage=$1 file=$shell/$2 folder=$out/$1 last arguments
    mkdir -p "$folder"
    DATA=$data OUT=$folder show_whole "$file" "${@:3}" || return
    on_sample "${@:3}" "${watching[@]}"
    watch_gpus "$file"
    export DATA=$few OUT=$folder
    echo "== $stage"
    python "$examples/watched.py" "$folder/first" --until-checkpoint "$folder" "${gpus[@]}" -- \
        bash "$file" "${arguments[@]}" --max_steps 100000 || return
    last=$(newest "$folder")
    echo "== $stage, stopped, from ${last##*/}"
    python "$examples/watched.py" "$folder/second" "${gpus[@]}" -- \
        bash "$file" "${arguments[@]}" --max_steps $((${last##*-} + steps)) || return
    last=$(newest "$folder")
    du -sb "$last" | cut -f 1 >"$folder/checkpoint_bytes"
    rm -rf "$last"/optimizer.pt "$last"/global_step* # room for the next stage, which loads the weights
    if [ -d "$folder/merged" ]; then du -sb "$folder/merged" | cut -f 1 >"$folder/merged_bytes"; fi
    MODEL=$folder # the next stage's
}

# with_server STAGE ARGUMENTS ...: the same beside a rollout server, which takes the first of the visible GPUS.
with_server() {
    local stage=$1 all=${CUDA_VISIBLE_DEVICES:-$(seq -s , 0 $((SERVER_GPUS + ${GPUS:-4} - 1)))} status=0
    mkdir -p "$out/grpo_$stage"
    echo "== the server of $stage"
    STAGE=$stage GPUS=$SERVER_GPUS CUDA_VISIBLE_DEVICES=$(cut -d , -f "1-$SERVER_GPUS" <<<"$all") \
        setsid bash "$shell/server/rollout.sh" >"$out/grpo_$stage/server.log" 2>&1 &
    server=$!
    until grep -q "Application startup complete" "$out/grpo_$stage/server.log"; do
        if ! kill -0 "$server" 2>/dev/null; then break; fi # the training then says that nobody answers
        sleep 2
    done
    STAGE=$stage CUDA_VISIBLE_DEVICES=$(cut -d , -f "$((SERVER_GPUS + 1))-" <<<"$all") \
        rehearse "grpo_$stage" server/grpo.sh "${@:2}" || status=$?
    end_server
    return "$status"
}
end_server() {
    if [ -z "$server" ]; then return; fi
    kill -- "-$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}
server=
trap end_server EXIT

# detect: with the recipe of the same folder; the others' heads name 7b's.
detect() {
    local file=$shell/$name/detect.sh
    [ -e "$file" ] || file=$shell/7b/detect.sh
    export DATA=$out/detect.jsonl OUT=$out/detect
    show_whole "$file" "${of_detect[@]}" || return
    watch_gpus "$file"
    echo "== detection"
    python "$examples/watched.py" "$OUT/run" "${gpus[@]}" -- bash "$file" "${of_detect[@]}"
}

three_stages() {
    rehearse sft "$name/sft.sh" "${of_all[@]}" "${of_sft[@]}" &&
        rehearse grpo_query1 "$name/grpo_query1.sh" "${of_all[@]}" "${of_grpo[@]}" &&
        rehearse grpo_query2 "$name/grpo_query2.sh" "${of_all[@]}" "${of_grpo[@]}" &&
        detect
}

two_stages_beside_a_server() {
    SERVER_GPUS=${SERVER_GPUS:-1}
    with_server query1 "${of_all[@]}" "${of_grpo[@]}" &&
        with_server query2 "${of_all[@]}" "${of_grpo[@]}" &&
        detect
}

export MODEL=${MODEL:-}
if [ -n "${RANDOM_WEIGHTS:-}" ]; then
    shown=$(DRY_RUN=1 DATA=$data bash "$shell/$name/sft.sh" 2>/dev/null) || true
    named=$(sed -n 's/.* --model \([^ ]*\) .*/\1/p' <<<"$shown")
    python "$examples/random_model.py" "${MODEL:-$named}" "$out/model"
    MODEL=$out/model
fi
if [ "$name" = server ]; then two_stages_beside_a_server || true; else three_stages || true; fi
pixels=${MAX_PIXELS:-$(trained_pixels "$(newest "$MODEL")")} || true # what is wrong there, CHANGE says
status=0
python "$examples/rehearsal_report.py" "$out" --name "$name" --max-pixels "${pixels:-262144}" \
    ${RANDOM_WEIGHTS:+--random-weights} || status=$?
rm -rf "$out/model" "$out"/*/checkpoint-* "$out"/*/last-checkpoint "$out"/*/merged
exit "$status"
