"""The engine `endpoint` at an address of the tests."""

from swift_zoomin.boxes import PixelLimits
from swift_zoomin.checkpoints import limits_of_tokens
from swift_zoomin.detection.detector import CONCURRENCY
from swift_zoomin.detection.endpoint import EndpointEngine
from swift_zoomin.families import QWEN2_5_VL
from swift_zoomin.served.keys import SHARED_KEY, key_from
from swift_zoomin.served.models import Model

LIMITS = limits_of_tokens(4, 256, QWEN2_5_VL)


def engine_at(
    url: str,
    name: str = "m",
    limits: PixelLimits = LIMITS,
    retries: int = 0,
    timeout_s: float = 20,
    concurrency: int = CONCURRENCY,
) -> EndpointEngine:
    return EndpointEngine(Model(name, url, key_from(SHARED_KEY)), limits, 100, timeout_s, retries, concurrency)
