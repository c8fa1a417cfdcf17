"""Further fields of records: which values they may have, and what their columns are called in training.

A record keeps every field that its user gives it, under its name. In training each becomes a column of ms-swift's data
set, where some names already mean something: a field `objects` would be taken for boxes to ground, `tools` for tools to
call, `completions` for the replies. Such a field's column gets a name of its own, `zoomin_objects`.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from swift_zoomin.replies import surrogate_problem

OWN_FIELDS = ("image", "label", "explanation", "boxes", "box_labels")

_COLUMN_PREFIX = "zoomin_"
# What ms-swift 4.6.0 gives a meaning; a test compares these with its code.
_COLUMNS = (  # RowPreprocessor.standard_keys
    *("messages", "images", "videos", "audios", "tools", "objects", "rejected_response", "label", "channel", "margin"),
    *("teacher_prompt", "teacher_images", "chat_template_kwargs", "ref_audios", "audio_codes", "questions", "kinds"),
    *("options", "target_probs", "state", "question_ids", "criteria", "omnijev_column_keys", "omnijev_video"),
)
_TEMPLATE_INPUTS = ("system", "mm_processor_kwargs", "extra_kwargs")
_ROLLOUT_SAMPLE = (
    *("prompt_id", "request_id", "response_token_ids", "response_loss_mask", "rollout_logprobs", "finish_reason"),
    *("is_truncated", "add_eos", "rollout_infos", "routed_experts", "encoded", "extra", "teacher_messages", "rewards"),
    *("advantages", "data_dict"),
)
_REWARD_ARGUMENTS = ("self", "completions", "inputs", "trainer_state", "trajectory_inputs")
_WRITTEN_BY_LOAD_DATASET = ("dataset",)
RESERVED_FIELDS = frozenset(
    (*_COLUMNS, *_TEMPLATE_INPUTS, *_ROLLOUT_SAMPLE, *_REWARD_ARGUMENTS, *_WRITTEN_BY_LOAD_DATASET)
)
# Beginnings that ms-swift takes off to find another conversation, or a column renamed meanwhile.
_RESERVED_BEGINNINGS = ("rejected_", "positive_", "negative_", "__@", "__#")

_KINDS: dict[type, str] = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list"}
_WHOLE_NUMBERS = range(-(2**63), 2**63)  # what a column of whole numbers holds

Row = tuple[str, Any]  # a `file:line`, and what stands there


def is_reserved(name: str) -> bool:
    """Whether ms-swift would take a column of this name for something of its own."""
    return name in RESERVED_FIELDS or name.startswith(_RESERVED_BEGINNINGS)


def column_name(name: str) -> str:
    """The column of a further field. No two fields share one."""
    return _COLUMN_PREFIX + name if is_reserved(name) or name.startswith(_COLUMN_PREFIX) else name


def further_fields(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in OWN_FIELDS}


def field_faults(rows: Iterable[Row]) -> Iterator[str]:
    """Faults of further fields: each holds one kind of value in all rows, and only values that a column can hold."""
    fields = FieldKinds()
    for where, row in rows:
        yield from fields.faults(where, row)


class FieldKinds:
    """What kind of value each further field holds, in the rows seen so far."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}

    def faults(self, where: str, row: Any) -> Iterator[str]:
        """Faults of the next row's further fields, as `field_faults` says them."""
        if not isinstance(row, dict):
            return  # said elsewhere
        for name, value in further_fields(row).items():
            if value is None:
                continue
            kind = _KINDS.get(type(value), type(value).__name__)
            if kind != self._kinds.setdefault(name, kind):
                yield f"{where}: {name} is {kind}; expected {self._kinds[name]}, as in the rows before"
            elif problem := _value_problem(value):
                yield f"{where}: {name} {problem}"


def _value_problem(value: Any) -> str | None:
    """What keeps a value, or one inside it, from being stored in a column; None where nothing does."""
    inside = [value]
    while inside:  # no recursion: JSON may be nested deeply
        value = inside.pop()
        if isinstance(value, dict):
            inside += [*value, *value.values()]
        elif isinstance(value, list):
            inside += value
        elif isinstance(value, str) and (problem := surrogate_problem(value)):
            return problem
        elif isinstance(value, int) and value not in _WHOLE_NUMBERS:
            return f"holds a number beyond 64 bits ({_shortened(value)}); write it as text"
    return None


def _shortened(number: int) -> str:
    """A number of at most 40 digits in full; of a longer one, which may have too many to print, about how many."""
    return str(number) if abs(number) < 10**40 else f"about {number.bit_length() * 3 // 10} digits"
