"""The engine `endpoint` at an address of the tests."""

from swift_zoomin.boxes import PixelLimits
from swift_zoomin.detection.endpoint import EndpointEngine
from swift_zoomin.served.keys import SHARED_KEY, key_from
from swift_zoomin.served.models import Model

LIMITS = PixelLimits(4 * 784, 256 * 784)  # 28 x 28 pixels a token


def engine_at(url: str, name: str = "m", retries: int = 0, timeout_s: float = 20) -> EndpointEngine:
    return EndpointEngine(Model(name, url, key_from(SHARED_KEY)), LIMITS, 100, retries, timeout_s)
