"""Probes: what became of one image's verdict when the regions that it rests on were hidden, in a JSON Lines file.

    {"image": "a.png", "share": 0.94, "regions": [
      {"box": [120.0, 88.0, 260.0, 190.0], "share": 0.12, "random_box": [400, 300, 540, 402], "random_share": 0.94}],
     "all_share": 0.12, "all_random_share": 0.94, "depends": true, "error": null, "made_by": "..."}

`image` is relative to the file. Boxes are pixels of the upright original; there is one `box` for each region that
query 2 was shown, and it stands as it is among the `boxes` of the image's prediction, unless regions were moved at
random. A share is that of "generated" among
sampled second looks, in 0..1; one without a verdict counts as half (`detection.score`). It is

    share             after the exchange as it was
    regions[].share   with that region hidden; `random_share`: with the region of the same size at `random_box` hidden
    all_share         with all regions hidden; `all_random_share`: with all of those at `random_box` hidden

How a region is hidden stands in `probing.probe`, and in `made_by` what of it can be chosen. `depends` says whether the
verdict rests on what was marked: `share` and `all_share` are not on the same side of one half. It is null where `share`
is one half, so that there is no verdict, and where no region was shown; then all shares are null too. An image that
could not be probed has an `error`, no share and no region.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from swift_zoomin.files import is_path
from swift_zoomin.predictions import home_of, image_path
from swift_zoomin.records import RecordError, json_rows, list_faults
from swift_zoomin.replies import as_box

_SHARE = "a share from 0 to 1"
_SAMPLES = re.compile(r"(?:^|\|)samples ([1-9]\d{0,8}) at [^|]*$")  # the last part of made_by


@dataclass(frozen=True)
class ProbedRegion:
    """A region that query 2 was shown, and the one of the same size that it is compared with; original pixels."""

    box: list[float]
    share: float
    random_box: list[float]
    random_share: float


@dataclass(frozen=True)
class Probe:
    """A row of the format."""

    image: str
    share: float | None = None
    regions: Sequence[ProbedRegion] = field(default_factory=list)
    all_share: float | None = None
    all_random_share: float | None = None
    error: str | None = None
    made_by: str = ""

    @property
    def depends(self) -> bool | None:
        """Whether the verdict is another one, or none, once all that was marked is hidden."""
        return _is_lost(self.share, self.all_share)

    @property
    def depends_on_random(self) -> bool | None:
        """The same of as many regions of the same sizes elsewhere: what a verdict does that any change upsets."""
        return _is_lost(self.share, self.all_random_share)

    @property
    def samples(self) -> int | None:
        """How many looks a share is of, where `made_by` says so."""
        found = _SAMPLES.search(self.made_by)
        return int(found[1]) if found else None

    @property
    def margin(self) -> float:
        """How near two shares are not told apart: two standard errors of a coin's share of as many samples."""
        return self.samples**-0.5 if self.samples else float("inf")

    def as_row(self) -> dict[str, Any]:
        """As it stands in a file."""
        row = asdict(self)
        error, made_by = row.pop("error"), row.pop("made_by")
        return row | {"depends": self.depends, "error": error, "made_by": made_by}


def _is_lost(share: float | None, hidden_share: float | None) -> bool | None:
    if share is None or hidden_share is None or share == 0.5:
        return None
    return hidden_share <= 0.5 if share > 0.5 else hidden_share >= 0.5


def read_probes(path: Path | str) -> dict[Path, Probe]:
    """The probes of a file by the path of their image (`files.plain_path`), of several of one image the last.

    Raises RecordError with all faults.
    """
    path = Path(path)
    if not path.is_file():
        raise RecordError(f"{path}: no such file of probes; zoomin probe writes one")
    home, faults, probes = home_of(path), [], {}
    for where, row in json_rows(path):
        if fault := probe_fault(row):
            faults.append(f"{where}: {fault}")
        else:
            probes[image_path(home, row["image"])] = as_probe(row)
    if faults:
        raise RecordError(list_faults(faults))
    return probes


def as_probe(row: dict[str, Any]) -> Probe:
    """A row without faults."""
    regions = [
        ProbedRegion(region["box"], region["share"], region["random_box"], region["random_share"])
        for region in row["regions"]
    ]
    shares = (row["all_share"], row["all_random_share"])
    return Probe(row["image"], row["share"], regions, *shares, row["error"], row["made_by"])


def probe_fault(row: Any) -> str | None:
    """What is wrong with a row, or None."""
    if isinstance(row, ValueError):  # the line is no JSON
        return str(row)
    if not isinstance(row, dict):
        return "no JSON object"
    for name in (*Probe.__dataclass_fields__, "depends"):
        if name not in row:
            return f"field {name!r} is missing; expected a row of zoomin probe"
    image = row["image"]
    if not is_path(image):
        return f"image {image!r}; expected a path relative to the file"
    for name in ("share", "all_share", "all_random_share"):
        if row[name] is not None and not _is_share(row[name]):
            return f"{name} {row[name]!r}; expected {_SHARE} or null"
    if (row["all_share"] is None) != (row["all_random_share"] is None):
        return "one of all_share and all_random_share is null; expected both, or neither"
    if not isinstance(row["error"], str | None):
        return f"error {row['error']!r}; expected text or null"
    if not isinstance(row["made_by"], str):
        return f"made_by {row['made_by']!r}; expected text"
    if not isinstance(row["regions"], list):
        return f"regions {row['regions']!r}; expected a list"
    faults = (_region_fault(region) for region in row["regions"])
    return next((fault for fault in faults if fault), None)


def _region_fault(region: Any) -> str | None:
    if not isinstance(region, dict):
        return f"region {region!r}; expected an object with box, share, random_box and random_share"
    for name in ("box", "random_box"):
        if as_box(region.get(name)) is None:
            return f"{name} {region.get(name)!r} of a region; expected [x1, y1, x2, y2]"
    for name in ("share", "random_share"):
        if not _is_share(region.get(name)):
            return f"{name} {region.get(name)!r} of a region; expected {_SHARE}"
    return None


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
