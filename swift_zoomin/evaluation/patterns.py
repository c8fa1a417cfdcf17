"""What faults an explanation names: the patterns of section 4.4 of the ZoomIn paper.

The paper counts them "across successful predictions" and does not say how. Here a sentence names a pattern where it has
one of the pattern's subjects and one of FAULTS, with no denial shortly before the fault:

    "The shadows fall at impossible angles."         lighting
    "Natural light; no distorted fingers."           nothing: the one has no fault, the other denies it
    "The text on the sign is garbled."               texture and text

`*` stands for any ending. Only English is read.
"""

import re

# Each subject with the share of images that the paper gives for it.
PAPER_SHARES = {"Lighting": 0.124, "Anatomy": 0.086, "Texture and text": 0.081, "Perspective": 0.047}
SUBJECTS = {
    "Lighting": "light lights lighting lit illuminat* shadow* shade* shading reflect* highlight* glare* specular*",
    "Anatomy": (
        "anatom* finger* hand hands thumb* arm arms elbow* wrist* leg legs foot feet toe toes limb* joint* paw paws "
        "face faces facial eye eyes pupil* ear ears nose* mouth* lip lips teeth tooth body bodies torso* neck* posture*"
    ),
    "Texture and text": (
        "textur* pattern* skin fabric* cloth* fur weave* text texts letter lettering letters word words writing "
        "written signage logo* inscription* label labels digit* number numbers"
    ),
    "Perspective": (
        "perspective* vanishing spatial* depth geometr* proportion* scale scales scaling overlap* alignment* "
        "foreshorten*"
    ),
}
FAULTS = (
    "unnatural* unrealistic* unusual* impossibl* implausibl* improbabl* inconsisten* incoheren* incorrect* inaccura* "
    "wrong* distort* deform* malform* misshap* warp* twist* bent garbled gibberish illegib* unreadab* nonsens* "
    "blur* smear* smudg* melt* merg* fus* blend* artifact* artefact* anomal* error* flaw* glitch* odd oddly strange* "
    "weird* missing extra duplicate* repeat* repetit* mismatch* contradict* misalign* disproportion* disconnect* "
    "lack* fail* plastic waxy overly"
)
DENIALS = "no not without nor neither never free absent absence"
# Denials that are the fault: "shadows that do not match".
FAULTY_DENIALS = "not (?:match|align|fall|follow|agree|correspond|connect|converge|fit|make sense)"
_REACH = 4  # words between a denial and what it denies: "no visible signs of any distorted fingers"

_SENTENCE_END = re.compile(r"[.!?;\n]+")


def _any_of(words: str) -> str:
    endings = words.replace("*", r"[^\W\d_]*")
    return f"(?:{'|'.join(endings.split())})"


_SUBJECTS = {name: re.compile(rf"\b{_any_of(words)}\b") for name, words in SUBJECTS.items()}
_A_FAULT = rf"\b{_any_of(FAULTS)}\b"
_FAULT = re.compile(rf"{_A_FAULT}|\b{FAULTY_DENIALS}")
_MORE = rf"(?:(?:\W+\w+){{0,2}}?\W+(?:and|or|nor)\W+(?:\w+\W+)?{_A_FAULT})*"  # "no warped hands or melted letters"
_DENIED = re.compile(rf"\b{_any_of(DENIALS)}(?! only)(?:\W+\w+){{0,{_REACH}}}?\W+{_A_FAULT}{_MORE}")


def patterns(explanation: str) -> set[str]:
    """The patterns that an explanation names."""
    sentences = _SENTENCE_END.split(explanation.lower())
    faulty = [sentence for sentence in sentences if _FAULT.search(_DENIED.sub(" ", sentence))]
    return {name for name, subject in _SUBJECTS.items() if any(map(subject.search, faulty))}
