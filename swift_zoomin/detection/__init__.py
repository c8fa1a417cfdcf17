"""Two-stage detection: images in, predictions out. The only room that runs ms-swift's inference."""

from swift_zoomin.detection.detector import Detector

__all__ = ["Detector"]
