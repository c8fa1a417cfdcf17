"""Replies as token ids: which of them mean text, and how much each counts in the loss.

What is in a reply is text, whatever its characters: a placeholder such as `<image>`, or the name of a special token, is
split into tokens like any other word. A model may also sample the very tokens that stand for image features. A forward
pass would look for an image behind them, so each becomes a blank, which is not trained.

A family may open each reply with an empty block of thoughts. It is part of the question: it stands before every reply,
is never trained, and an engine that reports what was sampled leaves it out.
"""

from bisect import bisect_left
from copy import deepcopy
from functools import cached_property
from itertools import accumulate
from typing import Any

import torch

_IMAGE_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")


class ReplyTokens:
    """The tokens of replies in one model's vocabulary. `opening` is what stands before each reply, mostly nothing."""

    def __init__(self, tokenizer: Any, opening: str = "") -> None:
        self._tokenizer = tokenizer
        self._opening = opening
        self._opening_ids: list[int] = tokenizer.encode(opening, add_special_tokens=False) if opening else []
        self._image_token_ids = set(tokenizer.convert_tokens_to_ids(list(_IMAGE_TOKENS)))
        self._blank_id = tokenizer.encode(" ", add_special_tokens=False)[0]

    @cached_property
    def _splitting(self) -> Any:
        """A tokenizer for replies alone. `split_special_tokens` sets it for all who use it, not for the call.

        Engines encode in threads: where one split a reply, others found the images of their questions split too.
        """
        return deepcopy(self._tokenizer)

    def is_text(self, token: int) -> bool:
        """Whether a token means text; the others stand for image features."""
        return token not in self._image_token_ids

    def of_text(self, text: str) -> list[int]:
        """The tokens of a reply's text, special tokens and placeholders in it as the characters they are."""
        encoding = self._splitting(_encodable(text), add_special_tokens=False, split_special_tokens=True)
        ids: list[int] = encoding["input_ids"]
        return ids

    def without_opening(self, text: str) -> str:
        """A reply's text as it was sampled: ms-swift's engines put what stands before it into the text."""
        return text.removeprefix(self._opening)

    def opened(self, reply: Any, is_trained: bool) -> Any:
        """A reply of ids as ms-swift has it, with what stands before it; a rollout of ms-swift's has that already.

        ms-swift puts it before replies of text alone.
        """
        is_weighed = isinstance(reply, dict)
        ids = reply["token_ids"] if is_weighed else reply
        opening = self._opening_ids
        if not opening or ids[: len(opening)] == opening:
            return reply
        if is_weighed:
            return {"token_ids": [*opening, *ids], "loss_scale": [*([0] * len(opening)), *reply["loss_scale"]]}
        if is_trained:
            return {"token_ids": [*opening, *ids], "loss_scale": [*([0] * len(opening)), *([1] * len(ids))]}
        return [*opening, *ids]

    def weights_of(self, text: str, pieces: list[str], piece_weights: list[float]) -> list[float]:
        """The weight of each token of `of_text`: that of the piece of the text that holds most of the token."""
        piece_ends = list(accumulate(map(len, pieces)))
        offsets = self._splitting(
            _encodable(text), add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
        )["offset_mapping"]
        weights = []
        for start, end in offsets:
            middle = (start + end) / 2
            weights.append(piece_weights[bisect_left(piece_ends, middle)])
        return weights

    def without_images(self, reply: Any, is_last: bool) -> Any:
        """A reply of sampled ids as ms-swift has it, a list or `{"token_ids": ..., "loss_scale": ...}`, all of it text.

        Each token that stands for an image becomes a blank without loss. A plain list before the last reply stays a
        plain list, because there something else says what is trained.
        """
        is_weighed = isinstance(reply, dict)
        ids = reply["token_ids"] if is_weighed else reply
        are_text = [self.is_text(token) for token in ids]
        if all(are_text):
            return reply
        plain_ids = [token if is_text else self._blank_id for token, is_text in zip(ids, are_text, strict=True)]
        if is_weighed:
            scales = zip(reply["loss_scale"], are_text, strict=True)
            return {"token_ids": plain_ids, "loss_scale": [scale if is_text else 0 for scale, is_text in scales]}
        if is_last:
            return {"token_ids": plain_ids, "loss_scale": _loss_where_no_scheduler_ran(are_text)}
        return plain_ids


def _encodable(text: str) -> str:
    """The text with a question mark for each lone surrogate, which has no bytes."""
    return text.encode("utf-8", "replace").decode()


def _loss_where_no_scheduler_ran(are_text: list[bool]) -> list[int]:
    """The loss mask of a single-turn reply with tokens that stand for images.

    There is one log probability for each sampled token, and blanks are not trained. Where there are two more log
    probabilities than trained tokens, or even more, ms-swift drops them all. Where there is one more, it leaves out the
    last: every token behind the blank then gets the log probability of the token before it. So where there is one
    blank, the token behind it is not trained either, which makes two. A blank at the very end does no harm.
    """
    mask = [int(is_text) for is_text in are_text]
    blank = mask.index(0)
    if mask.count(0) == 1 and blank + 1 < len(mask):
        mask[blank + 1] = 0
    return mask


def untrained_text(message: dict[str, Any]) -> dict[str, Any]:
    """A message without loss, where it is an answer in words; nobody sampled such an answer."""
    is_answer = message["role"] == "assistant" and isinstance(message["content"], str)
    return {**message, "loss": False} if is_answer else message


def columns_with_loss(labels: torch.Tensor) -> torch.Tensor:
    """The labels of a batch of trajectories, (rows, columns), as GRPO can keep logits for them.

    GRPO keeps as many logits as labels from a row's first trained token on: all of a row that has none, and there is
    no logit for the first token, so the run would end. It counts the labels from the right, so in such a batch those to
    the left of all that is trained are left out and not missed.
    """
    is_trained = labels != -100
    if is_trained.any(dim=1).all():
        return labels
    trained_columns = is_trained.any(dim=0).nonzero()
    first_kept = int(trained_columns[0]) if len(trained_columns) else labels.shape[1] - 1
    return labels[:, first_kept:]
