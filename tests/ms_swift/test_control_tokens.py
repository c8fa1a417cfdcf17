"""What would steer a model is text to ms-swift once it is broken, as the engine `endpoint` sends replies back."""

from typing import Any

from swift.template import Template
from swift.template.utils import split_str_parts_by

from swift_zoomin.control_tokens import broken


def test_a_server_of_ms_swift_finds_nothing_but_text_in_a_broken_reply(processor: Any) -> None:
    tokenizer = processor.tokenizer
    special = set(tokenizer.all_special_tokens)
    assert {"<|im_end|>", "<|image_pad|>", "<|vision_start|>"} <= special
    for mark in [*Template.special_tokens, *sorted(special)]:
        for reply in (mark, f"a {mark}{mark}> b", f"<|{mark}<{mark}|>"):
            parts = split_str_parts_by(broken(reply), Template.special_tokens)
            assert [part["key"] for part in parts if part["key"]] == [], mark
            ids = tokenizer(broken(reply), add_special_tokens=False)["input_ids"]
            assert not special & set(tokenizer.convert_ids_to_tokens(ids)), mark


def test_only_marks_are_broken() -> None:
    reply = "<explanation>a < b, <b>, <|x y|></explanation>\n<regions>[]</regions>\n<verdict>real</verdict>"
    assert broken(reply) == reply
