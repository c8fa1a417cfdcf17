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
    names = dict.fromkeys(chain.from_iterable(rows))  # each once, in the order they come in
    columns = {name: [row.get(name) for row in rows] for name in names}
    types = {}
    for name, values in columns.items():
        try:
            types[name] = _TYPES.get(name) or _type_of(values)
        except (pyarrow.ArrowException, UnicodeEncodeError, OverflowError) as error:
            raise RecordError(f"{path}: field {name}: {error}; expected values of one type") from error
    return Dataset.from_dict(columns, Features(types))


def _type_of(values: list[Any], depth: int = 0) -> Any:
    """The type of a column, or, `depth` lists deep, of the items of its lists. Raises what Arrow raises."""
    present = [value for value in values if value is not None]
    if present and all(isinstance(value, dict) for value in present):
        return Json()
    if present and all(isinstance(value, list) for value in present):
        if depth == _DEEPEST:  # Arrow itself gives up on lists that are nested deeply
            return Json()
        items = list(chain.from_iterable(present))
        return List(_type_of(items, depth + 1))
    return Dataset.from_dict({"values": present}).features["values"]


def with_common_types(datasets: list[Any]) -> list[Any]:
    """The data sets, each column of one type in all that have it, so that they can be mixed; streamed ones too.

    Raises RecordError for a column whose values in one of them are of another kind.
    """
    if len(datasets) < 2:
        return datasets
    datasets = [RowPreprocessor.get_features_dataset(dataset) for dataset in datasets]
    names = dict.fromkeys(chain.from_iterable(dataset.features for dataset in datasets))
    for name in names:
        common = _common_type_of_column(name, datasets)
        datasets = [_cast(dataset, name, common) for dataset in datasets]
    return datasets


def _common_type_of_column(name: str, datasets: list[Any]) -> Any:
    holders = [dataset for dataset in datasets if name in dataset.features]
    types = [dataset.features[name] for dataset in holders]
    common = reduce(_common_type, types)
    if common is None:
        raise RecordError(_clash(name, holders))
    return common


def _cast(dataset: Any, name: str, wanted: Any) -> Any:
    """The data set with this type for a column, unless it has no such column, or no value in it."""
    if name not in dataset.features:
        return dataset
    if dataset.features[name] in (wanted, _NOTHING):
        return dataset
    return dataset.cast_column(name, wanted)


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
    """What to say of a column that has no common type: the first two data sets that differ."""
    for one, other in combinations(holders, 2):
        if _common_type(one.features[name], other.features[name]) is None:
            break
    kinds = " and ".join(f"{_kind(each.features[name])} in {_source(each)}" for each in (one, other))
    return f"column {name} is {kinds}; expected one kind, to mix them"


def _source(dataset: Any) -> str:
    """Where a data set comes from: ms-swift writes it into every row."""
    return str(next(iter(dataset.select_columns(["dataset"])))["dataset"])
