#!/usr/bin/env bash
# How a detector stands degraded images, as in Table 3 of the paper: accuracy and IoU, beside the images as they are.
#
#   bash examples/robustness.sh MODEL RECORDS OUT [ARGUMENT of zoomin detect ...]
#
#   needs   the environment active (source .venv/bin/activate), and what `zoomin detect` needs for MODEL
#   hours   five detections of RECORDS
#   output  OUT/clean, OUT/jpeg80, OUT/jpeg30, OUT/crop, OUT/half: images, predictions and figures; OUT/tables.*
#           Run again, it goes on where it stopped.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "robustness.sh: expected MODEL RECORDS OUT, and arguments of zoomin detect behind them" >&2
    exit 2
fi
model=$1 records=$2 out=$3
shift 3
sets=()
for name in clean jpeg80 jpeg30 crop half; do
    folder=$out/$name data=$out/$name/records.jsonl
    sets+=("$folder")
    if [ "$name" = clean ]; then
        data=$records
    elif [ ! -e "$folder/degrade.json" ]; then # written last
        rm -rf "$folder/images" "$data"
        zoomin degrade "$records" --out "$folder" --as "$name"
    fi
    # status 3: some image has no answer, which counts as wrong
    zoomin detect "$data" --model "$model" --out "$folder/zoomin.jsonl" "$@" || [ $? = 3 ]
    zoomin evaluate "$data" "$folder/zoomin.jsonl" --out "$folder" || [ $? = 3 ]
done
zoomin tables "${sets[@]}" --out "$out"
python -c 'import json, pathlib, sys
for folder in map(pathlib.Path, sys.argv[1:]):
    iou = json.loads((folder / "metrics.json").read_text())["methods"]["zoomin"]["iou"]
    shown = "-" if iou["value"] is None else "{value:.3f} ({low:.3f} to {high:.3f})".format(**iou)
    print("IoU", folder.name.ljust(8), shown)' "${sets[@]}"
