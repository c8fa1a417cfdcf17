"""Make a model of a published size with random weights: the architecture from its configuration, nothing downloaded.

    python examples/random_model.py Qwen/Qwen2.5-VL-7B-Instruct output/model     # or 3b, qwen3-vl-8b, ..., or a folder

A machine can be tried with it before the real weights are fetched. A name is known by its size (examples/plan.py); of a
folder, config.json is read, and its tokenizer and processor where they lie there. Otherwise they are made: the words of
the example benchmark, and Qwen's special tokens under their own ids.

Replies are noise. They end by chance, after REPLY_TOKENS tokens on average, for so many of the vocabulary's tokens are
taken as ends: random weights would not write the one real end before the length limit cuts them.
"""

import argparse
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import torch
from make_model import SPECIAL_TOKENS, make_model
from plan import QWEN3_VL_SIZES, SIZES, load_config
from tokenizers import Tokenizer
from transformers import AutoModelForImageTextToText, AutoProcessor, GenerationConfig

from swift_zoomin.families import QWEN2_5_VL, QWEN3_VL, family_of, family_of_type

FIRST_SPECIAL_ID = 151643  # <|endoftext|> of Qwen2.5
REPLY_TOKENS = 256


def known_size(name: str) -> str:
    """A folder as it is; of a size or a hub's name the size that plan.py knows. Raises ValueError."""
    if (Path(name) / "config.json").exists():
        return name
    if name.lower() in (*QWEN3_VL_SIZES, *SIZES):
        return name.lower()
    sizes_of = {QWEN2_5_VL: SIZES, QWEN3_VL: QWEN3_VL_SIZES}
    family = family_of(name)
    if family in sizes_of and "omni" not in name.lower():  # which hears too
        for size in sizes_of[family]:
            if re.search(rf"(?<![a-z0-9]){size}(?![a-z0-9])", name.lower().replace("_", "-")):
                return size
    sizes = ", ".join([*SIZES, *QWEN3_VL_SIZES])
    raise ValueError(
        f"{name}: expected a folder with config.json, one of {sizes}, or a name like Qwen/Qwen2.5-VL-7B-Instruct"
    )


def widen(tokenizer: Any, first_special_id: int) -> None:
    """Give the special tokens the ids that follow `first_special_id`, and every id below a token of its own."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = content["model"]["vocab"]
    added = [token for token in content["added_tokens"] if token["content"] not in SPECIAL_TOKENS]
    for token in added:  # words of the benchmark that are one token each
        vocabulary[token["content"]] = token["id"]
    for number in range(len(vocabulary), first_special_id):
        vocabulary[f"unused{number}"] = number
    for token in content["added_tokens"]:
        if token["content"] in SPECIAL_TOKENS:
            token["id"] = first_special_id + SPECIAL_TOKENS.index(token["content"])
            vocabulary[token["content"]] = token["id"]
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(content))


def load_processor(folder: str, model_type: str) -> Any:
    """Of a folder that has one; else one of our own, of the family of a `model_type`. Raises ValueError."""
    if (Path(folder) / "tokenizer.json").exists() or (Path(folder) / "vocab.json").exists():
        return AutoProcessor.from_pretrained(folder)
    family = family_of_type(model_type)
    if family is None:
        raise ValueError(f"{folder}: model_type {model_type}, of which no tokenizer is made; put tokenizer.json there")
    with tempfile.TemporaryDirectory() as tiny:
        make_model(Path(tiny), family)
        processor = AutoProcessor.from_pretrained(tiny)
    widen(processor.tokenizer, FIRST_SPECIAL_ID)
    return processor


def ends(tokenizer: Any, vocabulary: int) -> list[int]:
    """The ids that end a reply: the real ends, and one in REPLY_TOKENS of the rest."""
    real = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    special = set(tokenizer.all_special_ids)
    by_chance = [number for number in range(REPLY_TOKENS - 1, vocabulary, REPLY_TOKENS) if number not in special]
    return [*real, *by_chance]


def make(name: str, folder: Path, seed: int = 0) -> None:
    size = known_size(name)
    torch.manual_seed(seed)
    config = load_config(size)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForImageTextToText.from_config(config, dtype=torch.bfloat16)
    processor = load_processor(size, config.model_type)
    tokenizer = processor.tokenizer
    stops = ends(tokenizer, config.text_config.vocab_size)
    model.generation_config = GenerationConfig(eos_token_id=stops, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder, max_shard_size="5GB")
    processor.save_pretrained(folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    try:
        make(options.name, options.folder)
    except ValueError as error:
        parser.error(str(error))
    print(f"made {options.name} with random weights in {options.folder}")
