"""Detect on many machines: the Detector of `zoomin detect`, one in each worker of a Ray cluster.

    pip install "ray[data]>=2.60"
    python examples/ray_detect.py PICTURES --model output/7b/grpo2/checkpoint-3000 --engine vllm \
        --out /shared/predictions.jsonl --workers 8

Takes the arguments of `zoomin detect`, and `--workers`; joins the cluster of RAY_ADDRESS, or makes one of this machine.
Pictures, model and --out lie where all machines see them under the same names. Each worker loads the model once, takes
the GPUs that --gpus says, and is given CHUNK images at a time. An image that cannot be read is a row with `error`.

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
from swift_zoomin.arguments import INCOMPLETE, counted
from swift_zoomin.detection import Detector, command
from swift_zoomin.detection.deciding import read_deciding
from swift_zoomin.detection.detector import open_checkpoint
from swift_zoomin.listing import LeftOut, walk_images
from swift_zoomin.predictions import Outcome, Prediction
from swift_zoomin.predictions_file import PredictionsFile
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
    images: Iterable[Path], out: Path, made_by: str, make_detector: MakeDetector, workers: int, gpus: int = 0
) -> Counter[Outcome]:
    """Answer all images that `out` has no answer of, each once; what became of those."""
    folder = out.with_name(f"{out.name}.ray")
    outcomes: Counter[Outcome] = Counter()
    with PredictionsFile(out, made_by) as file:
        if (folder / "images").exists():
            print(f"{folder}: going on with an interrupted run", file=sys.stderr)
            outcomes += _finish(folder, file, made_by, make_detector, workers, gpus)
            del outcomes[Outcome.UNREAD]  # they are tried again now
        todo = (path for path in images if file.became(path) in (None, Outcome.UNREAD))
        if _list(todo, folder, made_by):
            outcomes += _finish(folder, file, made_by, make_detector, workers, gpus)
    return outcomes


def _list(images: Iterable[Path], folder: Path, made_by: str) -> int:
    """Write down which images are to be answered, all or none of them; how many they are."""
    unfinished = folder / "listing"
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed before its list was whole
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
    folder: Path, file: PredictionsFile, made_by: str, make_detector: MakeDetector, workers: int, gpus: int
) -> Counter[Outcome]:
    """Answer what is listed and not yet answered, and add all answers to the predictions file."""
    other = (folder / "made_by").read_text()
    if other != made_by:
        raise RecordError(f"{folder}: a run of {other} was interrupted; this is {made_by}; finish it, or remove it")
    _answer(folder, make_detector, workers, gpus)
    listed = set(_column(folder / "images", "image"))
    answered = Counter(_column(folder / "answers", "image"))
    if answered.keys() != listed or answered.total() != len(listed):
        raise RuntimeError(f"{folder}: {answered.total()} answers for {len(listed)} images; expected one each")
    outcomes: Counter[Outcome] = Counter()
    for line in _column(folder / "answers", "prediction"):
        prediction: Prediction = json.loads(line)
        became = file.became(Path(prediction["image"]))  # where this very loop was killed before
        if became in (None, Outcome.UNREAD):
            became = file.add(prediction)
        outcomes[became] += 1
    shutil.rmtree(folder)
    return outcomes


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
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    parser.description, parser.epilog = __doc__, None
    parser.add_argument("--workers", type=arguments.count, default=1, help="of the cluster, each with a model")
    options = parser.parse_args()
    if options.out is None:
        parser.error("--out: expected a file of predictions, JSON Lines")
    command.check_options(options)
    import ray

    ray.init()
    gpus = options.gpus if ray.cluster_resources().get("GPU") else 0
    checkpoint = open_checkpoint(options.model)
    images = walk_images(command.sources_of(options), LeftOut())
    made_by = command.made_by_of(options, checkpoint)
    options.deciding = read_deciding(options, made_by)
    made_by += options.deciding.made_by()
    make_detector = partial(command.detector_of, options, options.engine)
    outcomes = detect(images, options.out.absolute(), made_by, make_detector, options.workers, gpus)
    print(f"{counted(outcomes.total(), 'image')}: {', '.join(f'{outcomes[one]} {one.value}' for one in outcomes)}")
    return INCOMPLETE if outcomes[Outcome.UNREAD] else 0


if __name__ == "__main__":
    sys.exit(main())
