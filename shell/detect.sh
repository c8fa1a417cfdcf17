#!/usr/bin/env bash
# Detection and evaluation of annotated images.
#
#   input   MODEL: a stage's OUT;  DATA: records.jsonl of held-out images;  OUT: folder for the results
#   options MAX_PIXELS as in training; any `zoomin detect` argument after the script's name
#   output  OUT/predictions.jsonl (run again, it goes on where it stopped), OUT/metrics.json
# shellcheck source-path=SCRIPTDIR source=common.sh
source "$(dirname "$0")/common.sh"
need MODEL DATA OUT MAX_PIXELS
zoomin detect "$DATA" --model "$(latest "$MODEL")" --out "$OUT/predictions.jsonl" "$@"
zoomin evaluate "$DATA" "$OUT/predictions.jsonl" --out "$OUT/metrics.json"
