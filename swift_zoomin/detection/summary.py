"""What a run of detection came to: a line that counts every image, what is wrong, and the exit status."""

from collections import Counter
from dataclasses import dataclass, field

from swift_zoomin.arguments import INCOMPLETE, NOTHING_DONE, counted
from swift_zoomin.listing import UNREADABLE_FOLDERS, LeftOut, shown
from swift_zoomin.predictions import Outcome

STATUS_HELP = """\
status  0  every image has a prediction, made from replies
        1  no image could be read, or one line says what ended the run: a fault in what was given, a full disk
        2  no such option or value
        3  an image or a folder could not be read, or no reply has a verdict; what could be done is in --out
        130, 141  interrupted; the reader of the output has left
"""
_NO_VERDICT_CAUSE = "expected a model trained with this package, and no other MAX_PIXELS than in its training"


@dataclass
class Summary:
    """Counts of all images, while a run goes on."""

    left_out: LeftOut = field(default_factory=LeftOut)
    _before: Counter[Outcome] = field(default_factory=Counter)  # another thread counts these
    _now: Counter[Outcome] = field(default_factory=Counter)
    _first_error: str = ""

    def is_todo(self, became: Outcome | None) -> bool:
        """Count an image that an earlier run answered; whether this run is to look at it."""
        if became in (None, Outcome.UNREAD):
            return True
        self._before[became] += 1
        return False

    def add(self, became: Outcome, error: str | None) -> None:
        """Count an image of this run."""
        self._now[became] += 1
        if became == Outcome.UNREAD and not self._first_error:
            self._first_error = error or ""

    @property
    def done_before(self) -> int:
        """Images that an earlier run answered, of those met so far."""
        return self._before.total()

    @property
    def outcomes(self) -> Counter[Outcome]:
        return self._before + self._now

    def __str__(self) -> str:
        """`3 images: 2 with a verdict, 1 unreadable; 1 of them done before this run; left out: 1 hidden (._a.jpg)`."""
        outcomes, done = self.outcomes, self.done_before
        counts = [f"{outcomes[outcome]} {outcome.value}" for outcome in Outcome if outcomes[outcome]]
        parts = [f"{counted(outcomes.total(), 'image')}: {', '.join(counts)}"]
        if done:
            parts.append(f"{done} of them done before this run")
        if left_out := self.left_out.summary():
            parts.append(f"left out: {left_out}")
        return "; ".join(parts)

    def faults(self) -> list[str]:
        """What keeps the run from being complete, with the likely cause, a line each."""
        outcomes = self.outcomes
        unread, total, cut = outcomes[Outcome.UNREAD], outcomes.total(), outcomes[Outcome.CUT]
        if unread == total:
            return [f"no image could be read; the first: {shown(self._first_error)}"]
        faults = []
        if unread:
            faults.append(f"{unread} of {total} images could not be read; the first: {shown(self._first_error)}")
        if UNREADABLE_FOLDERS in self.left_out.reasons:
            faults.append("a folder could not be read")
        if not outcomes[Outcome.VERDICT]:
            faults.append(f"no reply has a verdict; {_NO_VERDICT_CAUSE}")
            if cut:
                faults.append(f"{cut} of {total} replies were cut by the length limit; raise --max-new-tokens")
        return faults

    def status(self) -> int:
        """The exit status, as STATUS_HELP has it."""
        if self.outcomes[Outcome.UNREAD] == self.outcomes.total():
            return NOTHING_DONE
        return INCOMPLETE if self.faults() else 0
