"""The keys of the steps' servers.

EXPLAIN_API_KEY, GROUND_API_KEY, FILTER_API_KEY: of one step's server; else OPENAI_API_KEY; else that of the step
before, where the address is the same
"""

from collections.abc import Sequence

from swift_zoomin.annotation.steps import Step
from swift_zoomin.served.keys import SHARED_KEY, Key, Redaction, key_from


def variable_of(step: Step) -> str:
    return f"{step.upper()}_API_KEY"


def key_for(step: Step) -> Key:
    """The key of a step's server. Raises RecordError for one that cannot be sent."""
    return key_from(variable_of(step), SHARED_KEY)


def redaction(urls: Sequence[str]) -> Redaction:
    """Takes the keys of all steps out of a text, and what in these addresses may be one."""
    return Redaction(urls, (*map(variable_of, Step), SHARED_KEY))
