"""What a run says while it goes on: images done, calls, tokens, failures, and tqdm's time left."""

from types import TracebackType

from tqdm import tqdm

from swift_zoomin.annotation.pipeline import Outcome
from swift_zoomin.served.limits import Limits


class Bar:
    """A line on a terminal; none where the output goes to a file."""

    def __init__(self, images: int, limits: Limits) -> None:
        self._limits, self._failures = limits, 0
        self._bar = tqdm(desc="annotating", total=images, unit="image", disable=None)

    def __enter__(self) -> "Bar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def finished(self, outcome: Outcome) -> None:
        self._failures += outcome is Outcome.FAILED
        calls, tokens = self._limits.calls, self._limits.tokens
        shown = f"calls {calls:,}, tokens {tqdm.format_sizeof(tokens)}, failures {self._failures}"
        self._bar.set_postfix_str(shown, refresh=False)
        self._bar.update()
