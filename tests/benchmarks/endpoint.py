"""What an address in between changes: `swift deploy` asked by the engine `endpoint`, against the same model in-process.

    PYTHONPATH=tests MAX_PIXELS=12544 python tests/benchmarks/endpoint.py \\
        --model output/sft/checkpoint-120 --records data/test/records.jsonl

Both look twice at the first 200 images, greedily, with the same limits. Printed are the shares of

- first replies whose text has other tokens than were sampled, as the server saw them in query 2; also of replies
  sampled at temperature 1, which wander further from a tokenizer's own way;
- images with the same final verdict, the same first one, and the same two replies word for word.

Target: the same final verdict on 99% of the images. Set MAX_PIXELS as in training.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from deployed import deployed
from detailing_proxy import detailed

from swift_zoomin.checkpoints import read_checkpoint, settings_in_force
from swift_zoomin.detection import Detector
from swift_zoomin.detection.endpoint import EndpointEngine
from swift_zoomin.episode import Answer, Conversation
from swift_zoomin.images import ImageError
from swift_zoomin.predictions import Prediction
from swift_zoomin.records import read_records
from swift_zoomin.served.keys import Key
from swift_zoomin.served.models import Model

MAX_NEW_TOKENS = 100
Answers = list[dict[str, Any]]


class Sampling(EndpointEngine):
    """At temperature 1, whatever it is asked for."""

    async def answer(
        self, conversation: Conversation, temperature: float = 0.0, seed: int | None = None
    ) -> Answer | ImageError:
        return await super().answer(conversation, 1.0, seed)


def over_http(
    model: Path, images: list[str], kind: type[EndpointEngine] = EndpointEngine
) -> tuple[dict[str, Prediction], Answers]:
    limits = settings_in_force(read_checkpoint(model).settings).limits
    with (
        tempfile.TemporaryDirectory() as folder,
        deployed(model, Path(folder, "log")) as server,
        detailed(server) as (url, answers),
    ):
        engine = kind(Model("tiny", url, Key("none", "")), limits, MAX_NEW_TOKENS, 600)
        predictions = list(Detector(engine=engine, concurrency=16).detect(images))
        engine.close()
    return {prediction["image"]: prediction for prediction in predictions}, answers


def in_process(model: Path, images: list[str]) -> dict[str, Prediction]:
    detector = Detector(str(model), "transformers", MAX_NEW_TOKENS, concurrency=16)
    predictions = {prediction["image"]: prediction for prediction in detector.detect(images)}
    detector.close()
    return predictions


def retokenized(answers: Answers) -> list[bool]:
    """For each first reply that was followed by query 2, whether it stands there in other tokens than were sampled."""
    firsts, seconds = {}, {}
    for answer in answers:
        question = json.dumps(answer["messages"][0])
        (firsts if len(answer["messages"]) == 1 else seconds)[question] = answer
    differ = []
    for question, second in seconds.items():
        first = firsts[question]
        sampled = first["choices"][0]["token_ids"]
        asked = len(first["prompt_token_ids"])
        differ.append(second["prompt_token_ids"][asked : asked + len(sampled)] != sampled)
    return differ


def share(flags: list[bool]) -> str:
    return f"{sum(flags)} of {len(flags)} ({sum(flags) / len(flags):.1%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--records", type=Path, required=True)
    parser.add_argument("--images", type=int, default=200)
    options = parser.parse_args()
    images = [record.image.path for record in read_records(options.records)[: options.images]]
    served, answers = over_http(options.model, images)
    local = in_process(options.model, images)
    _, sampled = over_http(options.model, images, Sampling)
    print("first replies in other tokens ", share(retokenized(answers)))
    print("  sampled at temperature 1     ", share(retokenized(sampled)))
    for what in ("verdict", "initial_verdict", "replies"):
        same = [served[image][what] == local[image][what] for image in images]
        print(f"the same {what:<21}", share(same))
    without = sum(prediction["verdict"] is None for prediction in served.values())
    print(f"without a verdict              {without} of {len(images)}")


if __name__ == "__main__":
    main()
