"""Detect on many machines: the Detector of `zoomin detect`, one in each worker of a Ray cluster.

    pip install "ray[data]>=2.60"
    python examples/ray_detect.py PICTURES --model output/7b/grpo2/checkpoint-3000 --engine vllm \
        --out /shared/predictions.jsonl --workers 8

Takes the arguments of `zoomin detect`, and `--workers`, but no endpoint: one machine can ask it. Joins the cluster of
RAY_ADDRESS, or makes one of this machine. Pictures, model and --out lie where all machines see them under the same
names. Each worker loads the model once, takes the GPUs that --gpus says, and is given CHUNK images at a time. An image
that cannot be read is a row with `error`. What is said at the end, and the exit status, are those of `zoomin detect`.

Beside --out a folder `predictions.jsonl.ray` holds the list of images, the answers (Parquet) and Ray's checkpoint. The
images of a block are noted as pending before its answers are written, and as done afterwards; whoever comes next takes
away the answers of a block that stayed pending (two-phase commit). So each image has one answer, whatever is killed: a
worker's images go to the others, and where this script itself is killed, the same command goes on. At the end the
answers are added to --out, and the folder goes. One run at a time writes to --out.
"""

import argparse
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from swift_zoomin import arguments
from swift_zoomin.arguments import NOTHING_DONE, complain
from swift_zoomin.checkpoints import CheckpointError
from swift_zoomin.detection import Detector, command
from swift_zoomin.detection.deciding import read_deciding
from swift_zoomin.detection.detector import open_checkpoint
from swift_zoomin.detection.summary import STATUS_HELP, Summary
from swift_zoomin.images import ImageError
from swift_zoomin.predictions import Outcome, Prediction
from swift_zoomin.predictions_file import PredictionsFile
from swift_zoomin.predictions_parquet import SUFFIX
from swift_zoomin.records import RecordError, json_line

CHUNK = 256  # images that a worker is given at a time, and that are done again where it is killed
MakeDetector = Callable[[], Detector]


class Looker:
    """What a worker holds: a detector, which answers a chunk of images."""

    def __init__(self, make_detector: MakeDetector) -> None:
        self._detector = make_detector()

    def __call__(self, chunk: dict[str, Any]) -> dict[str, list[str]]:
        """One answer for each name, whose bytes that are no UTF-8 are escaped: a column could not hold them."""
        names = list(chunk["image"])
        paths = [json.loads(name) for name in names]
        answers = {prediction["image"]: prediction for prediction in self._detector.detect(paths)}
        return {"image": names, "prediction": [json_line(answers[path]) for path in paths]}


def detect(
    images: Iterable[Path],
    out: Path,
    made_by: str,
    make_detector: MakeDetector,
    summary: Summary,
    workers: int,
    gpus: int = 0,
) -> None:
    """Answer all images that `out` has no answer of, each once, and count what became of all."""
    folder = out.with_name(f"{out.name}.ray")
    with PredictionsFile(out, made_by) as file:
        if (folder / "images").exists():
            print(f"{folder}: going on with an interrupted run", file=sys.stderr)
            # Counted below: those answered as done before this run, and those unread when they are tried again.
            _finish(folder, file, made_by, make_detector, Summary(), workers, gpus)
        todo = (path for path in images if summary.is_todo(file.became(path)))
        if _list(todo, folder, made_by):
            _finish(folder, file, made_by, make_detector, summary, workers, gpus)


def _list(images: Iterable[Path], folder: Path, made_by: str) -> int:
    """Write down which images are to be answered, all or none of them; how many they are."""
    unfinished = folder / "listing"
    # Of a run that was killed before its list was whole, or when all was done but for this.
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.mkdir(parents=True)
    (folder / "made_by").write_text(made_by)
    names = (json.dumps(str(path)) for path in images)
    listed = 0
    while chunk := list(islice(names, CHUNK)):
        pq.write_table(pa.table({"image": chunk}), unfinished / f"{listed:012}.parquet")
        listed += len(chunk)
    if listed:
        os.rename(unfinished, folder / "images")
    else:
        shutil.rmtree(folder)
    return listed


def _finish(
    folder: Path,
    file: PredictionsFile,
    made_by: str,
    make_detector: MakeDetector,
    summary: Summary,
    workers: int,
    gpus: int,
) -> None:
    """Answer what is listed and not yet answered, and add all answers to the predictions file."""
    other = (folder / "made_by").read_text()
    if other != made_by:
        raise RecordError(f"{folder}: a run of {other} was interrupted; this is {made_by}; finish it, or remove it")
    _answer(folder, make_detector, workers, gpus)
    listed = set(_column(folder / "images", "image"))
    answered = Counter(_column(folder / "answers", "image"))
    if answered.keys() != listed or answered.total() != len(listed):
        raise RuntimeError(f"{folder}: {answered.total()} answers for {len(listed)} images; expected one each")
    for line in _column(folder / "answers", "prediction"):
        prediction: Prediction = json.loads(line)
        became = file.became(Path(prediction["image"]))  # where this very loop was killed before
        if became in (None, Outcome.UNREAD):
            became = file.add(prediction)
        summary.add(became, prediction["error"])
    os.rename(folder / "images", folder / "listing")  # a list that is whole goes on, and this may be killed half-way
    shutil.rmtree(folder)


def _answer(folder: Path, make_detector: MakeDetector, workers: int, gpus: int) -> None:
    import ray
    from ray.data.checkpoint import CheckpointConfig

    # The checkpoint goes with the folder: were it gone before the answers are added, a kill there would double them.
    ray.data.DataContext.get_current().checkpoint_config = CheckpointConfig(
        id_column="image", checkpoint_path=str(folder / "checkpoint"), delete_checkpoint_on_success=False
    )
    listed = ray.data.read_parquet(str(folder / "images"))
    # Left to itself, Ray reads short lists into one block, which one worker gets and which is done only as a whole.
    chunks = listed.repartition(target_num_rows_per_block=CHUNK)
    answers = chunks.map_batches(
        Looker,
        fn_constructor_args=[make_detector],
        batch_size=CHUNK,
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_gpus=gpus,
    )
    answers.write_parquet(str(folder / "answers"))


def _column(folder: Path, name: str) -> Iterator[str]:
    for file in sorted(folder.glob("*.parquet")):
        yield from pq.read_table(file, columns=[name])[name].to_pylist()


def main() -> int:
    options = _read_options()
    try:
        return _run(options)
    except (RecordError, ImageError, CheckpointError, OSError) as error:
        complain(str(error))
        return NOTHING_DONE


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_arguments(parser)
    parser.description, parser.epilog = __doc__, STATUS_HELP
    parser.add_argument("--workers", type=arguments.count, default=1, help="of the cluster, each with a model")
    options = parser.parse_args()
    if options.out is None or options.out.suffix == SUFFIX:
        parser.error("--out: expected a file of predictions, JSON Lines")
    if options.engine == "endpoint" or options.url or options.frame:
        parser.error("--engine endpoint, --url, --frame: ask an address by zoomin detect; here each worker has a model")
    return options


def _run(options: argparse.Namespace) -> int:
    command.check_options(options)
    summary = Summary()
    images = command.found_images(options, command.sources_of(options), summary)
    checkpoint = open_checkpoint(options.model)
    made_by = command.made_by_of(options, checkpoint)
    options.deciding = read_deciding(options, made_by)
    made_by += options.deciding.made_by()
    import ray

    ray.init()
    gpus = options.gpus if ray.cluster_resources().get("GPU") else 0
    make_detector = partial(command.detector_of, options, options.engine)
    detect(images, options.out.absolute(), made_by, make_detector, summary, options.workers, gpus)
    print(summary)
    for fault in summary.faults():
        complain(fault)
    return summary.status()


if __name__ == "__main__":
    sys.exit(main())
