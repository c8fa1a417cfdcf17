"""What the terms of IPTC's vocabulary "Digital Source Type" mean, in plain words.

The vocabulary, with its exact definitions: http://cv.iptc.org/newscodes/digitalsourcetype/ (release of October 2024).
C2PA uses it too, and adds two terms of its own: http://c2pa.org/digitalsourcetype/.
"""

_MEANINGS = {
    "digitalCapture": "taken of real life by a digital camera",
    "computationalCapture": "taken of real life in several frames, which the camera put together by itself",
    "negativeFilm": "scanned from a negative on film",
    "positiveFilm": "scanned from a positive on film",
    "print": "scanned from a print",
    "minorHumanEdits": "a picture with small corrections by a person (a retired term)",
    "humanEdits": "changed by a person, with tools that generate nothing",
    "algorithmicallyEnhanced": "changed by a program that generates nothing",
    "softwareImage": "made by software (a retired term)",
    "digitalArt": "drawn by a person with digital tools (a retired term)",
    "digitalCreation": "made by a person with digital tools that generate nothing",
    "dataDrivenMedia": "drawn by a program from data",
    "trainedAlgorithmicMedia": "made by a generative model",
    "compositeWithTrainedAlgorithmicMedia": "put together or changed with the help of a generative model",
    "algorithmicMedia": "made by a program that was not trained on data",
    "screenCapture": "a picture of a screen",
    "virtualRecording": "a recording of a virtual event",
    "composite": "put together of several parts, of any kind",
    "compositeCapture": "put together of several parts that were all taken of real life",
    "compositeSynthetic": "put together of several parts, of which at least one is synthetic",
    "trainedAlgorithmicData": "data, not a picture, made by a trained model",
    "empty": "begun as an empty canvas",
}


def explained(term: str) -> str:
    """`trainedAlgorithmicMedia: made by a generative model (http://cv.iptc.org/...)`; an unknown term as it is.

    A term may be a URI, a short form (`digsrctype:print`), or the bare code.
    """
    term = term.strip()
    code = term.rstrip("/").rpartition("/")[2].rpartition(":")[2]
    if code not in _MEANINGS:
        return term
    words = f"{code}: {_MEANINGS[code]}"
    return words if term == code else f"{words} ({term})"
