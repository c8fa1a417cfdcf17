"""What a run of detection came to: a line that counts every image, what is wrong, and the exit status."""

from collections import Counter
from dataclasses import dataclass

from swift_zoomin.arguments import INCOMPLETE, NOTHING_DONE, counted
from swift_zoomin.listing import UNREADABLE_FOLDERS, Listing, shown
from swift_zoomin.predictions import Outcome

STATUS_HELP = """\
status  0  every image has a prediction, made from replies
        1  no image could be read, or one line says what ended the run: a fault in what was given, a full disk
        2  no such option or value
        3  an image or a folder could not be read, or no reply has a verdict; what could be done is in --out
        130, 141  interrupted; the reader of the output has left
"""
_NO_VERDICT_CAUSE = "expected a model trained with this package, and no other MAX_PIXELS than in its training"


@dataclass(frozen=True)
class Summary:
    """Counts over all images listed. `done` had an answer before the run; `first_error` is of the first one unread."""

    listing: Listing
    outcomes: Counter[Outcome]
    done: int
    first_error: str = ""

    def __str__(self) -> str:
        """`3 images: 2 with a verdict, 1 unreadable; 1 of them done before this run; left out: 1 hidden (._a.jpg)`."""
        total = self.outcomes.total()
        counts = [f"{self.outcomes[outcome]} {outcome.value}" for outcome in Outcome if self.outcomes[outcome]]
        parts = [f"{counted(total, 'image')}: {', '.join(counts)}"]
        if self.done:
            parts.append(f"{self.done} of them done before this run")
        if self.listing.left_out:
            parts.append(f"left out: {self.listing.summary()}")
        return "; ".join(parts)

    def faults(self) -> list[str]:
        """What keeps the run from being complete, with the likely cause, a line each."""
        unread, total, cut = self.outcomes[Outcome.UNREAD], self.outcomes.total(), self.outcomes[Outcome.CUT]
        if unread == total:
            return [f"no image could be read; the first: {shown(self.first_error)}"]
        faults = []
        if unread:
            faults.append(f"{unread} of {total} images could not be read; the first: {shown(self.first_error)}")
        if UNREADABLE_FOLDERS in self.listing.left_out.values():
            faults.append("a folder could not be read")
        if not self.outcomes[Outcome.VERDICT]:
            faults.append(f"no reply has a verdict; {_NO_VERDICT_CAUSE}")
            if cut:
                faults.append(f"{cut} of {total} replies were cut by the length limit; raise --max-new-tokens")
        return faults

    def status(self) -> int:
        """The exit status, as STATUS_HELP has it."""
        if self.outcomes[Outcome.UNREAD] == self.outcomes.total():
            return NOTHING_DONE
        return INCOMPLETE if self.faults() else 0
