"""A real GRPO run whose model answers in control words and samples the tokens that stand for images."""

import json
from pathlib import Path

import pytest
import torch
from conftest import COMMON, GRPO, ROLLOUT, logged, run_swift
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

WORDS = ["<image>", "<bbox>", "<ref-object>", "<tool_call>", "</verdict>"]
TOKENS = ["<|image_pad|>", "<|vision_start|>", "<|vision_end|>", "<|video_pad|>", "<|box_start|>", "<|im_start|>"]


def make_hostile(source: Path, folder: Path) -> None:
    """Copy a model with its head untied and biased: whatever it sees, it draws from WORDS, TOKENS and the stop token.

    The last layer's value bias pushes the hidden state in one direction, along which only those rows of the head lie.
    """
    folder.mkdir()
    for file in source.iterdir():
        if file.suffix in (".json", ".jinja") and file.name != "args.json":
            (folder / file.name).write_bytes(file.read_bytes())
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.add_tokens(WORDS)
    tokenizer.save_pretrained(folder)
    config = json.loads((source / "config.json").read_text())
    layer = f"model.layers.{config['text_config']['num_hidden_layers'] - 1}.self_attn"
    config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = False
    weights = load_file(source / "model.safetensors")
    embedding = weights["model.embed_tokens.weight"]
    embedding = torch.cat([embedding, embedding[:64]])  # room for the words
    assert len(tokenizer) <= len(embedding)
    weights["model.embed_tokens.weight"] = embedding
    config["text_config"]["vocab_size"] = len(embedding)
    (folder / "config.json").write_text(json.dumps(config))
    weights[f"{layer}.v_proj.bias"] = torch.full_like(weights[f"{layer}.v_proj.bias"], 1000.0)
    weights[f"{layer}.o_proj.weight"] = torch.eye(len(embedding[0]))
    head = torch.zeros_like(embedding)
    drawn = [*tokenizer.convert_tokens_to_ids([*WORDS, *TOKENS]), tokenizer.eos_token_id]
    head[drawn] = 20.0 / head.shape[1]  # the normed state is near all ones: logit 20 for these, 0 for the rest
    weights["lm_head.weight"] = head
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.swift
def test_a_run_of_control_words_and_image_tokens_finishes(model_dir: Path, benchmark_dir: Path, tmp_path: Path) -> None:
    make_hostile(model_dir, tmp_path / "hostile")
    rewards = ["zoomin_format", "zoomin_iou", "zoomin_accuracy", "zoomin_bleu"]
    run_swift(
        *(*GRPO, "--reward_funcs", *rewards, *COMMON, *ROLLOUT, "--model", tmp_path / "hostile"),
        *("--dataset", f"{benchmark_dir}/train/records.jsonl:query2", "--output_dir", tmp_path / "out"),
        *("--multi_turn_scheduler", "zoomin", "--max_completion_length", 100, "--max_steps", 4, "--beta", 0.1),
        *("--log_completions", "true"),
    )
    steps = logged(tmp_path / "out")
    assert len(steps) == 4
    assert max(step["num_turns"] for step in steps) > 1
    said = (tmp_path / "out" / "completions.jsonl").read_text()
    for word in (*WORDS, *TOKENS):
        assert word in said
