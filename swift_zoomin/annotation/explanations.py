"""When an explanation can be used: English prose with reasons, which does not lean on having been told the label.

Each rule is simple and can be wrong: a false alarm costs one more question, and at worst the image. Not covered:
whether the reasons are true, and refusals in other languages, which the language rule meets.
"""

import re
import unicodedata

from swift_zoomin.annotation.answers import is_refusal, usable_text
from swift_zoomin.annotation.language import WORD, is_english
from swift_zoomin.annotation.leaning import leaning_phrase
from swift_zoomin.annotation.steps import Answer, Unusable
from swift_zoomin.control_tokens import CONTROL_TOKEN
from swift_zoomin.replies import text_problem

MIN_WORDS = 5  # "It looks generated." gives no reason
MAX_CHARACTERS = 8000  # five times the 250 words asked for

_FENCE = re.compile(r"\A```[\w-]*[ \t]*\n(.*?)\n?```\Z", re.DOTALL)
_WRAPPING_TAG = re.compile(r"\A<(explanation|report|answer|response)>(.*)</\1>\Z", re.DOTALL | re.IGNORECASE)
_HEADING = re.compile(r"^[ \t]{0,3}#{1,6}[ \t]+(.+)$", re.MULTILINE)
_EMPHASIS = re.compile(r"(\*\*|__)(?=\S)([^*_\n]{1,200})(?<=\S)\1")
_LIST_MARK = re.compile(r"^[ \t]{0,8}(?:[-*•]|\d{1,2}[.)])[ \t]+", re.MULTILINE)
# A title, or words to the one who asked, in a line of their own: "Forensic report", "Sure! Here is why it looks real:".
_TITLE = re.compile(
    r"\A(?:[^\n.]{0,80}\b(?:report|analysis|examination|explanation)\b[^\n.]{0,40}"
    r"|(?:(?:sure|certainly|of course|absolutely)\b\W{0,3})?(?:here[’']?s|here (?:is|are)|below (?:is|are))\b"
    r"[^\n.]{0,120}:)"
    r"\n+(?=\S)",
    re.IGNORECASE,
)
_RULE = re.compile(r"^[ \t]*(?:-{3,}|\*{3,}|_{3,})[ \t]*$", re.MULTILINE)


def read_explanation(answer: Answer) -> str | Unusable:
    """The explanation that an answer gives, as plain text, or why it cannot be used."""
    text = usable_text(answer)
    if isinstance(text, Unusable):
        return text
    if is_refusal(text):
        return Unusable("declines to answer")
    if len(text) > MAX_CHARACTERS:
        return Unusable(f"has more than {MAX_CHARACTERS} characters")
    text = plain_text(text)
    problem = text_problem(text)
    if problem:
        return Unusable(problem.removesuffix("; remove it"))
    if CONTROL_TOKEN.search(text):
        return Unusable("holds tokens that steer a model")
    if not is_english(text):
        return Unusable("is not in English")
    if len(WORD.findall(text)) < MIN_WORDS:
        return Unusable("is too short to give a reason")
    if leaning_phrase(text):
        return Unusable("refers to having been told what the image is")
    return text


def plain_text(text: str) -> str:
    """The text without a fence, tag or title around it, headings, bold type, list marks and control characters."""
    text = text.replace("\r\n", "\n").strip()
    if fence := _FENCE.match(text):
        text = fence.group(1).strip()
    if tag := _WRAPPING_TAG.match(text):
        text = tag.group(2).strip()
    text = _HEADING.sub(lambda heading: _as_lead_in(heading.group(1)), text)
    text = _RULE.sub("", text)
    text = _EMPHASIS.sub(r"\2", text)
    text = _LIST_MARK.sub("", text)
    text = "".join(character for character in text if character == "\n" or unicodedata.category(character) != "Cc")
    lines = (line.rstrip() for line in text.split("\n") if line.strip())
    return _TITLE.sub("", "\n".join(lines).strip(), count=1)


def _as_lead_in(heading: str) -> str:
    """A heading as the beginning of the line that follows it: "## Light ##" gives "Light:"."""
    words = heading.strip(" \t#")
    if not words or words.endswith((":", ".", "!", "?")):
        return words
    return f"{words}:"
