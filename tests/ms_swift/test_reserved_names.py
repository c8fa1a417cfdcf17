"""The names that ms-swift gives a meaning, and that no further field of a record may take."""

from dataclasses import fields

from swift.dataset import RowPreprocessor
from swift.rl_core.data import GRPOSample
from swift.template import StdTemplateInputs

from swift_zoomin.fields import RESERVED_FIELDS, column_name, is_reserved


def test_every_name_that_ms_swift_gives_a_meaning_is_reserved() -> None:
    sample = GRPOSample(messages=[])
    known = {
        *RowPreprocessor.standard_keys,
        *(field.name for field in fields(StdTemplateInputs)),
        *(field.name for field in fields(GRPOSample)),
        *sample.to_reward_row(),
    }
    assert {name for name in known if not is_reserved(name)} == set()
    # Those of no list of ms-swift's: arguments of rewards, what load_dataset and a multi-turn request write over.
    others = RESERVED_FIELDS - known
    assert others == {"self", "completions", "inputs", "trainer_state", "trajectory_inputs", "dataset", "data_dict"}


def test_no_further_field_becomes_a_column_of_ms_swift() -> None:
    names = [*RowPreprocessor.standard_keys, "dataset", "completions", "trainer_state", "source"]
    columns = [column_name(name) for name in names]
    assert not set(columns) & set(names[:-1])
    assert columns[-1] == "source"
    assert len(set(columns)) == len(names)
