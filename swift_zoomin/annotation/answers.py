"""What all three steps want of an answer: that it is whole, is one, and holds no tokens that steer a model."""

import re
import unicodedata

from swift_zoomin.annotation.steps import Answer, Unusable
from swift_zoomin.control_tokens import CONTROL_TOKEN
from swift_zoomin.replies import text_problem

MAX_LABEL_CHARACTERS = 120  # a few words; longer ones are cut, since they hide the picture they are drawn on
MAX_ANSWER_CHARACTERS = 400_000  # far over what max_tokens allows, which a server may not honour

WAS_CUT = "was cut for its length"

_LONGEST_TOKEN = 44
_MOST_LAST_TOKENS = 8
_CUT = {"length", "max_tokens"}
_BLOCKED = {"content_filter", "safety"}
# Servers that do not separate reasoning send it before the answer, some of them without the opening tag.
_REASONING = re.compile(r"\A.*</think(?:ing)?>|<think(?:ing)?>.*\Z", re.DOTALL | re.IGNORECASE)

_THE_PICTURE = r"(?: (?:the|this|any|an?|your))? (?:images?|pictures?|photos?|photographs?)\b(?! (?:noise|grain|of)\b)"
# Seeing is declined of the whole picture alone: a report says "I cannot see a single seam".
_REFUSAL = re.compile(
    r"\A\W*(?:(?:i[’']?m|i am|we[’']?re)?\s*(?:very |so |really )?(?:sorry|afraid)\b|i apologi[sz]e|my apologies|"
    r"as an ai\b|unfortunately,? i(?: can[’']?t| cannot| can not| am|[’']m)\b|"
    rf"unfortunately,? i do(?:n[’']t| not) (?:see|have){_THE_PICTURE})"
    r"|\A.{0,120}?\b(?:i|we) (?:can[’']?t|cannot|can not|am unable to|[’']m unable to|am not able to|won[’']?t|"
    r"will not|do not feel comfortable|must decline)\b[^.\n]{0,30}?"
    r"\b(?:(?:help|assist|comply|fulfil|fulfill|provide|answer|analy[sz]e|continue|support|engage|do that|do this|"
    rf"this request)\b|(?:view|see|access|process){_THE_PICTURE})"
    r"|\A.{0,120}?\bi[’']m (?:unable|not able) to\b"
    rf"(?! (?:find|see|spot|detect|make out|locate|trace|discern)\b(?!{_THE_PICTURE}))",
    re.IGNORECASE | re.DOTALL,
)


def usable_text(answer: Answer) -> str | Unusable:
    """The answer without its reasoning, or why there is none."""
    finish = (answer.finish_reason or "").casefold()
    if finish in _BLOCKED:
        return Unusable("was blocked by the server's content filter")
    if finish in _CUT:
        return Unusable(WAS_CUT)
    if len(answer.text) > MAX_ANSWER_CHARACTERS:
        return Unusable(f"has more than {MAX_ANSWER_CHARACTERS} characters")
    text = _without_last_tokens(_REASONING.sub("", answer.text).strip())
    if not text:
        return Unusable("is empty")
    return text


def _without_last_tokens(text: str) -> str:
    """The text without end-of-turn tokens, which a server shows that does not skip special tokens."""
    for _ in range(_MOST_LAST_TOKENS):
        start = text.rfind("<", max(0, len(text) - _LONGEST_TOKEN))
        if start < 0 or not CONTROL_TOKEN.fullmatch(text, start):
            break
        text = text[:start].rstrip()
    return text


def is_refusal(text: str) -> bool:
    """Whether the text begins by declining. English only; "I cannot find one straight line" declines nothing."""
    return _REFUSAL.search(text[:400]) is not None


def clean_label(text: str) -> str:
    """A few words in one line that a record, a prompt and a page can hold, whatever a model wrote; may be empty."""
    if CONTROL_TOKEN.search(text) or text_problem(text):
        text = re.sub(r"[<>|]", " ", text)
    visible = "".join(" " if _is_control(character) else character for character in text)
    words = " ".join(visible.split())
    if len(words) <= MAX_LABEL_CHARACTERS:
        return words
    return words[: MAX_LABEL_CHARACTERS - 1].rstrip() + "…"


def _is_control(character: str) -> bool:
    """Whether a character steers instead of showing: controls, marks of writing direction, halves of a character."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs")
