"""Which tokens of a reply say what: its verdict, its regions, the words of its explanation."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from swift_zoomin.keywords import keywords, word_spans
from swift_zoomin.records import RecordError
from swift_zoomin.replies import Reply, parse_reply, verdict_spans

Span = tuple[int, int]  # of characters
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?")  # not that of "bbox_2d"
_REGION = re.compile(r"\{[^{}]*\}")


@dataclass(frozen=True)
class Said:
    """A part of a reply: what it says, and the places of its tokens in the reply."""

    text: str
    tokens: list[int]


class Spoken:
    """A reply by its tokens. `text` is what they say, `reply` what that means."""

    def __init__(self, reply_ids: Sequence[int], tokenizer: Any) -> None:
        self.text = _decoded(tokenizer, reply_ids)
        self.reply: Reply = parse_reply(self.text)
        # A token that ends inside a character decodes to a question mark that is no part of the text.
        beginnings = [_decoded(tokenizer, reply_ids[:count]).rstrip("\ufffd") for count in range(len(reply_ids) + 1)]
        self._ends = [len(beginning) for beginning in beginnings]

    def verdict(self) -> list[Said]:
        """The word inside the verdict's tag; none for a reply without a verdict."""
        if self.reply.verdict is None:
            return []
        said = [span for span in verdict_spans(self.text) if self.text[slice(*span)].lower() == self.reply.verdict]
        span = said[-1]  # a thought that comes first may name it too
        return [self._said(f"verdict: {self.reply.verdict}", [span])]

    def regions(self) -> list[Said]:
        """The numbers and the label of each region, in order; none where they are not written as they are taught."""
        found = list(_REGION.finditer(self.text, self.text.find("<regions>") + 1))
        labels = self.reply.box_labels
        if len(found) != len(labels):
            return []
        return [
            self._said(f"{number}. {label}" if label else f"{number}.", list(_region_spans(region, label)))
            for number, (region, label) in enumerate(zip(found, labels, strict=True), 1)
        ]

    def words(self) -> list[Said]:
        """The content words of the explanation, each where it is said first."""
        wanted = keywords(self.reply.explanation)
        return self._words_in(wanted)

    def named(self, words: Sequence[str]) -> list[Said]:
        """These words of the explanation, in its order. Raises RecordError for one that it does not have."""
        wanted = {word.lower() for word in words}
        found = self._words_in(wanted)
        missing = wanted - {said.text.lower() for said in found}
        if missing:
            raise RecordError(f'--words: "{min(missing)}" is no word of the explanation: {self.reply.explanation}')
        return found

    def _words_in(self, wanted: set[str]) -> list[Said]:
        explanation = self.reply.explanation
        start = self.text.find(explanation)
        if start < 0:  # it is put together of pieces that do not stand beside each other
            return []
        found: dict[str, Said] = {}
        for first, last, word in word_spans(explanation):
            if word in wanted and word not in found:
                found[word] = self._said(explanation[first:last], [(start + first, start + last)])
        return list(found.values())

    def _said(self, text: str, spans: list[Span]) -> Said:
        tokens = [
            place
            for place, (start, end) in enumerate(zip(self._ends, self._ends[1:], strict=False))
            if any(start < span_end and span_start < end for span_start, span_end in spans)
        ]
        return Said(text, tokens)


def _region_spans(region: re.Match[str], label: str) -> Iterator[Span]:
    """Where in the text the numbers and the label of a region stand."""
    text = region.group()
    for number in _NUMBER.finditer(text):
        yield region.start() + number.start(), region.start() + number.end()
    start = text.find(label) if label else -1
    if start >= 0:
        yield region.start() + start, region.start() + start + len(label)


def _decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    text: str = tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return text
