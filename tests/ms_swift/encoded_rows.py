"""Rows of records as an engine's template encodes them: to be taught, and to be asked."""

from typing import Any

from swift.infer_engine import InferRequest, TransformersEngine


def paths(row: dict[str, Any]) -> list[str]:
    return [image["path"] for image in row["images"]]


def second_question(row: dict[str, Any], tokenizer: Any) -> InferRequest:
    """The request of query 2 as a rollout makes it: the first reply stands in it as the ids that were sampled."""
    ask, first, again = row["messages"][:3]
    sampled = [*tokenizer.encode(first["content"]), tokenizer.eos_token_id]
    messages = [ask, {"role": "assistant", "content": sampled}, again]
    return InferRequest(messages=messages, images=paths(row))


def encode_for_training(engine: TransformersEngine, row: dict[str, Any]) -> dict[str, Any]:
    engine.template.set_mode("train")
    encoded = engine.template.encode(row)
    engine.template.set_mode("transformers")
    return encoded


def labelled(encoded: dict[str, Any], tokenizer: Any) -> list[str]:
    """The runs of tokens under loss, as text."""
    runs, run = [], []
    for token, label in zip(encoded["input_ids"], encoded["labels"], strict=True):
        assert label in (token, -100)
        if label != -100:
            run.append(token)
        elif run:
            runs.append(tokenizer.decode(run))
            run = []
    return runs + ([tokenizer.decode(run)] if run else [])
