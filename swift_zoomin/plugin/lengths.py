"""Warns before training of rows longer than `--max_length`: ms-swift silently puts other rows in their places.

The rows of query 2 are longer than those of query 1. A limit between the two turns "both queries" into one.
"""

import copy
from collections import defaultdict
from typing import Any

from swift.utils import get_logger, is_local_master

from swift_zoomin.images import ImageRef
from swift_zoomin.plugin.template import ZoomInTemplate
from swift_zoomin.records import RecordError
from swift_zoomin.rows import query_of

Row = dict[str, Any]

# What `--truncation_strategy` makes of a row that is too long.
_FATES = {
    "raise": "they are left out, and others take their places",
    "left": "they lose their beginning, where the question is, and keep their images",
    "right": "they lose their end, where the answer is, and keep their images",
    "split": "they are cut into pieces without images",
}
_FRAME_TOKENS = 32  # more than the words and marks around a message


def check_lengths(rows: list[Row], path: str, template: ZoomInTemplate) -> None:
    """Warn of rows that are longer than the template of the training allows, query by query.

    Raises RecordError where a query would be left with no row. Without a training there is no limit.
    """
    if template.mode != "train" or not is_local_master():
        return
    limit = template.max_length
    lengths_by_query: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        length = most_tokens(row, template)
        if length > limit:  # only then is it worth counting
            length = row_tokens(row, template)
        lengths_by_query[query_of(row)].append(length)
    fate = _FATES[template.truncation_strategy]
    for query, lengths in sorted(lengths_by_query.items()):
        too_long = sum(length > limit for length in lengths)
        if not too_long:
            continue
        fault = (
            f"{path}: {too_long} of {len(lengths)} rows of query {query} are longer than --max_length {limit}: {fate}; "
            f"the longest has {max(lengths)} tokens; raise --max_length, or lower MAX_PIXELS"
        )
        if too_long == len(lengths) and template.truncation_strategy == "raise":
            raise RecordError(fault)
        get_logger().warning(f"swift_zoomin: {fault}")


def row_tokens(row: Row, template: ZoomInTemplate) -> int:
    """How many tokens the template makes of a row, without opening its images."""
    counter = copy.copy(template)  # ms-swift's copies leave the model out
    counter.max_length = None
    messages = [_without_images(message, template) for message in row["messages"]]
    return len(counter.encode({"messages": messages})["input_ids"]) + _image_tokens(row)


def _without_images(message: dict[str, Any], template: ZoomInTemplate) -> dict[str, Any]:
    """A message with the marks around its images and nothing between them; a reply is plain text, as it is trained."""
    content = message["content"]
    if message["role"] == "user":
        return {**message, "content": content.replace("<image>", "<|vision_start|><|vision_end|>")}
    return {**message, "content": template.plain_ids(content)}


def most_tokens(row: Row, template: ZoomInTemplate) -> int:
    """A bound above `row_tokens` that costs nothing: no token is shorter than a byte."""
    texts = [template.template_meta.default_system or "", *(message["content"] for message in row["messages"])]
    return sum(len(text.encode("utf-8", "replace")) + _FRAME_TOKENS for text in texts) + _image_tokens(row)


def _image_tokens(row: Row) -> int:
    references = [ImageRef.parse(image["path"]) for image in row["images"]]
    return sum(_tokens_of(reference) for reference in references if reference)


def _tokens_of(reference: ImageRef) -> int:
    width, height = reference.size_shown
    return width * height // reference.limits_known.family.patch_px**2
