"""Rows as the columns of a data set, of types that several data sets can share.

Text, numbers and true or false keep their type, a list the type of its items. Objects stay as they are, whatever their
keys, because ms-swift's `Json` holds them. Whole numbers and others are one kind: where two data sets differ in that,
both get decimals.
"""

from functools import reduce
from itertools import chain, combinations
from typing import Any

import pyarrow
from datasets import Dataset, Features, List, Value
from datasets.features import Json
from swift.dataset import RowPreprocessor

from swift_zoomin.records import RecordError

_DEEPEST = 8  # list in a list; what lies deeper is kept as JSON
_NOTHING = Value("null")
_DECIMAL = Value("float64")
# What has a type whatever its values are: ms-swift's own columns, and ours for the rewards.
_TYPES = {
    "messages": List(Json()),
    "images": List({"bytes": Value("binary"), "path": Value("string")}),
    "boxes": List(List(_DECIMAL)),
    "box_labels": List(Value("string")),
}


def to_dataset(rows: list[dict[str, Any]], path: str) -> Dataset:
    """A column for every field that any row has. Raises RecordError for one whose values have no common type."""
    columns = {name: [row.get(name) for row in rows] for name in dict.fromkeys(chain.from_iterable(rows))}
    types = {}
    for name, values in columns.items():
        try:
            types[name] = _TYPES.get(name) or _type_of(values)
        except (pyarrow.ArrowException, UnicodeEncodeError, OverflowError) as error:
            raise RecordError(f"{path}: field {name}: {error}; expected values of one type") from error
    return Dataset.from_dict(columns, Features(types))


def _type_of(values: list[Any], depth: int = 0) -> Any:
    present = [value for value in values if value is not None]
    if present and all(isinstance(value, dict) for value in present):
        return Json()
    if present and all(isinstance(value, list) for value in present):
        # Arrow itself gives up on lists that are nested deeply.
        return Json() if depth == _DEEPEST else List(_type_of(list(chain.from_iterable(present)), depth + 1))
    return Dataset.from_dict({"values": present}).features["values"]


def alike(datasets: list[Any]) -> list[Any]:
    """Data sets whose common columns have common types, so that they can be mixed; streamed ones too.

    Raises RecordError for a column that is something else in one of them.
    """
    if len(datasets) < 2:
        return datasets
    datasets = [RowPreprocessor.get_features_dataset(dataset) for dataset in datasets]
    for name in dict.fromkeys(chain.from_iterable(dataset.features for dataset in datasets)):
        holders = [dataset for dataset in datasets if name in dataset.features]
        common = reduce(_common_type, (dataset.features[name] for dataset in holders))
        if common is None:
            raise RecordError(_clash(name, holders))
        datasets = [_cast(dataset, name, common) for dataset in datasets]
    return datasets


def _cast(dataset: Any, name: str, wanted: Any) -> Any:
    """The data set with this type for a column, unless it has no such column, or no value in it."""
    found = dataset.features.get(name, wanted)
    is_settled = found in (wanted, _NOTHING)
    return dataset if is_settled else dataset.cast_column(name, wanted)


def _common_type(one: Any, other: Any) -> Any:
    """A column type that holds the values of both; None where there is none."""
    if one == other or other == _NOTHING:
        return one
    if one == _NOTHING:
        return other
    if _kind(one) == _kind(other) == "a number":
        return _DECIMAL
    if _kind(one) == _kind(other) == "an object":
        return Json()
    if isinstance(one, List) and isinstance(other, List):
        inside = _common_type(one.feature, other.feature)
        return None if inside is None else List(inside)
    return None


def _kind(feature: Any) -> str:
    """What a column holds, in words."""
    if isinstance(feature, Json | dict):
        return "an object"
    if isinstance(feature, List):
        return f"a list ({_kind(feature.feature)})"
    name = getattr(feature, "dtype", type(feature).__name__)
    if name.startswith(("int", "uint", "float", "double")):
        return "a number"
    return {"string": "text", "large_string": "text", "bool": "true or false", "null": "nothing"}.get(name, name)


def _clash(name: str, holders: list[Any]) -> str:
    pairs = combinations(holders, 2)
    clashing = next(pair for pair in pairs if _common_type(*(each.features[name] for each in pair)) is None)
    kinds = " and ".join(f"{_kind(each.features[name])} in {_source(each)}" for each in clashing)
    return f"column {name} is {kinds}; expected one kind, to mix them"


def _source(dataset: Any) -> str:
    """Where a data set comes from: ms-swift writes it into every row."""
    return str(next(iter(dataset.select_columns(["dataset"])))["dataset"])
