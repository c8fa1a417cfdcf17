"""Make a tiny Qwen2.5-VL or Qwen3-VL: the real architecture and processor, random weights, its own small tokenizer.

    python examples/make_model.py output/model --family qwen3_vl

1.34 million parameters, of which the vocabulary has 0.05; the Qwen3-VL has 1.90. It knows nothing until trained; it
exists to run the whole pipeline.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from make_benchmark import FAMILIES, fixed_pieces, vocabulary_texts
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)
from transformers.utils import logging

from swift_zoomin.families import QWEN2_5_VL, Family, Frame

SPECIAL_TOKENS = [
    f"<|{name}|>"
    for name in (
        *("endoftext", "im_start", "im_end", "object_ref_start", "object_ref_end", "box_start", "box_end"),
        *("quad_start", "quad_end", "vision_start", "vision_end", "vision_pad", "image_pad", "video_pad"),
    )
]
INITIALIZER_RANGE = 0.09  # 1/sqrt(width); at the usual 0.02 so narrow a model hardly hears its own vision tower
# Words with their leading space, single digits, punctuation: Qwen's own way of cutting, in short.
_CUTS = Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+")
_CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_tokenizer(frame: Frame) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of the benchmark's words; what never varies is one token each, for short runs."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(_CUTS, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=512, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator(vocabulary_texts(), trainer)
    bpe.add_tokens(fixed_pieces(frame))
    bpe.add_special_tokens(SPECIAL_TOKENS)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=SPECIAL_TOKENS,
        chat_template=_CHAT_TEMPLATE,
        model_max_length=32768,
    )


def make_config(
    family: Family, tokenizer: PreTrainedTokenizerFast, vocabulary: int
) -> Qwen2_5_VLConfig | Qwen3VLConfig:
    """Hidden size 128, 3 layers, heads of 64; vision 96 wide, 3 layers."""
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("vision_start", "vision_end")}
    text = {
        "vocab_size": vocabulary,
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "rope_parameters": {"rope_type": "default", "mrope_section": [8, 12, 12], "rope_theta": 10.0},
        "initializer_range": INITIALIZER_RANGE,
        "tie_word_embeddings": True,
        "bos_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        "depth": 3,
        "hidden_size": 96,
        "intermediate_size": 256,
        "num_heads": 3,
        "out_hidden_size": 128,
        "initializer_range": INITIALIZER_RANGE,
    }
    shared = {
        "image_token_id": tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        "video_token_id": tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        "vision_start_token_id": ids["vision_start"],
        "vision_end_token_id": ids["vision_end"],
        "tie_word_embeddings": True,
    }
    if family == QWEN2_5_VL:
        vision["fullatt_block_indexes"] = [0, 1, 2]  # all with full attention
        return Qwen2_5_VLConfig(text_config=text, vision_config=vision, initializer_range=INITIALIZER_RANGE, **shared)
    # Every layer of the tower hands its features to a layer of the text, at which there must be as many.
    vision |= {"deepstack_visual_indexes": [0, 1, 2], "num_position_embeddings": 64}  # a square
    text |= {"head_dim": 64}
    text["rope_parameters"] = {**text["rope_parameters"], "mrope_section": [12, 10, 10], "mrope_interleaved": True}
    return Qwen3VLConfig(text_config=text, vision_config=vision, **shared)


def make_processor(family: Family, tokenizer: PreTrainedTokenizerFast) -> Any:
    if family == QWEN2_5_VL:
        parts = Qwen2VLImageProcessor(), tokenizer, Qwen2VLVideoProcessor()
        return Qwen2_5_VLProcessor(*parts, chat_template=_CHAT_TEMPLATE)
    images = Qwen2VLImageProcessor(
        patch_size=16,
        size={"shortest_edge": 4 * 32 * 32, "longest_edge": 16384 * 32 * 32},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return Qwen3VLProcessor(images, tokenizer, Qwen3VLVideoProcessor(), chat_template=_CHAT_TEMPLATE)


def make_model(folder: Path, family: Family = QWEN2_5_VL, seed: int = 0) -> int:
    """Write model, tokenizer and processor to a folder, as a download from a hub would look; the parameters."""
    torch.manual_seed(seed)
    tokenizer = make_tokenizer(family.frame)
    vocabulary = -(-len(tokenizer) // 64) * 64
    config = make_config(family, tokenizer, vocabulary)
    made_of = Qwen2_5_VLForConditionalGeneration if family == QWEN2_5_VL else Qwen3VLForConditionalGeneration
    model = made_of(config)
    stops = [tokenizer.eos_token_id, tokenizer.pad_token_id]
    model.generation_config = GenerationConfig(eos_token_id=stops, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder)
    make_processor(family, tokenizer).save_pretrained(folder)
    return sum(parameter.numel() for parameter in model.parameters())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--family", choices=FAMILIES, default="qwen2_5_vl")
    parser.add_argument("--seed", type=int, default=0, help="of the random weights")
    options = parser.parse_args()
    logging.disable_progress_bar()
    chosen = FAMILIES[options.family]
    make_model(options.folder, chosen, options.seed)
    print(f"made a tiny {chosen.name} in {options.folder}")
