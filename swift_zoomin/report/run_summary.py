"""What the page of a run says on top: counts over all of its predictions, however many of them the page shows."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from swift_zoomin.predictions import CANNOT_TELL, Prediction
from swift_zoomin.probe_figures import changes_of, depends_of
from swift_zoomin.probes import Probe
from swift_zoomin.records import Record
from swift_zoomin.replies import GENERATED, REAL
from swift_zoomin.report.words import UNCLEAR, depends_of_row

SAME = "same"
CHANGES = (f"{REAL} to {GENERATED}", f"{GENERATED} to {REAL}")
BINS = 10  # of the histogram of scores
_MAKERS = 3  # named at most


def change_of(prediction: Prediction) -> str:
    """Whether the second look changed the verdict: SAME, one of CHANGES, or empty where a look came to none."""
    verdict, initial = prediction["verdict"], prediction.get("initial_verdict")
    if verdict is None or initial is None:
        return ""
    return SAME if verdict == initial else f"{initial} to {verdict}"


@dataclass(frozen=True)
class Bin:
    """A bar of the histogram: from which score on, up to which, and how many images."""

    start: float
    end: float
    images: int


@dataclass
class Summary:
    """Counts, while the predictions go by."""

    images: int = 0
    errors: int = 0
    scored: int = 0
    annotated: int = 0
    agreeing: int = 0  # of the annotated
    verdicts: Counter[str | None] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    _probes: list[Probe] = field(default_factory=list)
    _telling: list[Probe] = field(default_factory=list)  # those that tell whether the row's verdict depends
    _unclear: int = 0  # of the telling
    _bins: Counter[int] = field(default_factory=Counter)
    _makers: dict[str, None] = field(default_factory=dict)

    def add(self, prediction: Prediction, record: Record | None, probe: Probe | None) -> None:
        self.images += 1
        self.verdicts[prediction["verdict"]] += 1
        self.changes[change_of(prediction)] += 1
        self.errors += prediction.get("error") is not None
        if prediction.get("decision") is not None:
            self.decisions[prediction["decision"]] += 1
        if prediction.get("score") is not None:
            self.scored += 1
            self._bins[min(int(prediction["score"] * BINS), BINS - 1)] += 1
        if record is not None:
            self.annotated += 1
            self.agreeing += prediction["verdict"] == record.label
        if probe is not None:
            self._probes.append(probe)
            depends = depends_of_row(probe, prediction["verdict"])
            self._telling += [probe] if depends else []
            self._unclear += depends == UNCLEAR
        if prediction.get("made_by") and len(self._makers) <= _MAKERS:
            self._makers[str(prediction["made_by"]).replace("|", " | ")] = None

    @property
    def tested(self) -> int:
        """Images of which a probe tells whether their verdict depends on their regions."""
        return len(self._telling)

    @property
    def makers(self) -> list[str]:
        """The models and settings of the predictions, the first few."""
        named = list(self._makers)
        return [*named[:_MAKERS], "and others"] if len(named) > _MAKERS else named

    @property
    def histogram(self) -> list[Bin]:
        """The bars of the scores, none where no image has one."""
        if not self.scored:
            return []
        return [Bin(index / BINS, (index + 1) / BINS, self._bins[index]) for index in range(BINS)]

    def figures(self) -> Iterator[tuple[str, str, str]]:
        """Each figure: what it counts, how many, and a remark or nothing."""
        yield "images", f"{self.images:,}", ""
        for verdict in (GENERATED, REAL):
            yield verdict, f"{self.verdicts[verdict]:,}", "by the last look"
        yield "no verdict", f"{self.verdicts[None]:,}", ""
        if compared := sum(self.changes[change] for change in (SAME, *CHANGES)):
            changed = compared - self.changes[SAME]
            parts = ", ".join(f"{self.changes[change]:,} {change}" for change in CHANGES)
            yield "changed by the second look", f"{changed:,}", f"of {compared:,}: {parts}"
        yield "errors", f"{self.errors:,}", "could not be looked at, or cut short"
        if self.decisions:
            parts = ", ".join(f"{self.decisions[word]:,} {word}" for word in (GENERATED, REAL))
            yield CANNOT_TELL, f"{self.decisions[CANNOT_TELL]:,}", f"of {self.decisions.total():,} decided: {parts}"
        if self.annotated:
            yield "as annotated", f"{self.agreeing:,}", f"of {self.annotated:,} with an annotation"
        yield from self._probed()

    def _probed(self) -> Iterator[tuple[str, str, str]]:
        """What probes come to, as `zoomin probe` prints it; of verdicts, those of the rows."""
        if depends := depends_of(self._telling):
            low, high = depends.interval
            of = f"of {depends.images:,} tested (95%: {low:.0%} to {high:.0%}), by the majority of sampled looks"
            unclear = f"; {self._unclear:,} not clear one by one" if self._unclear else ""
            remark = f"{of}; {depends.random:,} with random places hidden instead{unclear}"
            yield "depend on their regions", f"{depends.marked:,}", remark
        if changes := changes_of(self._probes):
            remark = f"mean of {changes.regions:,}; of as many random places {changes.random:.3f}"
            yield (
                "change of the share by hiding a region",
                f"{changes.marked:.3f}",
                f"{remark}; ratio {changes.ratio_told}",
            )
