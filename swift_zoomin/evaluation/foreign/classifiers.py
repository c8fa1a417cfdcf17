"""Classifiers: Community Forensics, CNNSpot, NPR, DIRE and AntifakePrompt.

Only the first writes a file of answers. The scripts of the others print totals of a whole set, and one number or word
for one image. So their tables are what a user makes of those, in the words and the polarity of their code.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from swift_zoomin.evaluation.foreign.cells import SUFFIXES, Cells, open_text, read_cells
from swift_zoomin.evaluation.foreign.rows import Row, Stated, above, read_json
from swift_zoomin.evaluation.foreign.tables import WORDS, converted, plain, read_table
from swift_zoomin.predictions import Prediction
from swift_zoomin.records import RecordError
from swift_zoomin.replies import GENERATED, REAL

_THRESHOLD = 0.5  # of the sigmoid, in the code of all of them
_DIRE_IMAGE = re.compile(r"Testing on image '(.*)'")
_DIRE_SCORE = re.compile(r"Prob of being synthetic: ([0-9.]+)")
_ANTIFAKE = {**WORDS, "yes": REAL, "0": REAL, "no": GENERATED, "1": GENERATED, "": None}


def read_community_forensics(path: Path, _: Stated) -> Iterator[Row]:
    """The folder of results that Community Forensics writes, one file an image, result_05012025_120000_a_png.json:

        {"Input File": "/data/a.png", "Date": "2025-05-01 12:00:00.000001", "Result": {"Fake Probability": 0.98},
         "Result Description": "...", "Analysis Time in Second": 0.21, "Device": "cuda"}

    Source: JeongsooP/Community-Forensics, main.py of its branch eval_single; a probability above 0.5 is "generated" in
    its description. The scripts of its main branch print totals.
    """
    files = sorted(path.glob("result_*.json"))
    if not files:
        raise RecordError(f"{path}: holds no result_*.json; expected what Community Forensics' main.py wrote")
    results = [(str(file), read_json(file)) for file in files]
    results.sort(key=_date)  # of runs that agree on an image the last score stays
    for where, result in results:
        try:
            score, seconds = result["Result"]["Fake Probability"], result.get("Analysis Time in Second")
            row = {"image": result["Input File"], "verdict": above(score, _THRESHOLD), "score": score}
        except (KeyError, TypeError, AttributeError):
            yield where, ValueError('expected an object with "Input File" and {"Result": {"Fake Probability": 0.98}}')
            continue
        yield where, {**row, "seconds": seconds}


def _date(result: tuple[str, Any]) -> str:
    _, content = result
    return str(content.get("Date")) if isinstance(content, dict) else ""


def read_scores(path: Path, _: Stated) -> Iterator[Row]:
    """CNNSpot and NPR: a table of `image` and `score`, the sigmoid of the network's output, high for generated images.

    Source: PeterWang512/CNNDetection and chuangchuangtan/NPR-DeepfakeDetection, validate.py: `y_pred` are sigmoids, and
    above 0.5 is fake. They print totals, and eval.py of the first writes those.
    """
    asked = "write image,score with y_pred of validate.py, since totals say nothing of an image"
    try:
        if "score" not in read_cells(path).columns:
            raise RecordError(f"{path}: has no score")  # a label may be the truth
        return read_table(path, Stated(GENERATED, _THRESHOLD))
    except RecordError as error:
        raise RecordError(f"{error}; {asked}") from error


def read_dire(path: Path, _: Stated) -> Iterator[Row]:
    """DIRE: what demo.py printed, run on one image after the other into one file; or a table as CNNSpot's.

        Testing on image 'data/test/a.png'
        **************************************************
        Prob of being synthetic: 0.9712

    Source: ZhendongWang6/DIRE, demo.py, and utils/eval.py, where a sigmoid above 0.5 is fake. Of a folder demo.py
    prints numbers without names, and test.py writes totals.
    """
    if path.suffix in SUFFIXES:
        yield from read_scores(path, Stated())
        return
    image = None
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if found := _DIRE_IMAGE.search(line):
                image = found[1]
            elif found := _DIRE_SCORE.search(line):
                if image is None:
                    raise RecordError(
                        f"{path}:{number}: a number without its image; run demo.py on one image at a time"
                    )
                score = float(found[1])
                yield f"{path}:{number}", {"image": image, "verdict": above(score, _THRESHOLD), "score": score}
                image = None


def read_antifakeprompt(path: Path, _: Stated) -> Iterator[Row]:
    """AntifakePrompt: a table of `img_path` and `ans`, as its code calls both.

    `ans` is the answer to "Is this photo real [*]?" (yes or no), what test.py prints of one image (Real or Fake), or
    an entry of its `ans_list` (0 is real, 1 is fake). Source: nctu-eva-lab/AntifakePrompt, test.py, utils/gen_path.py.
    Its log holds totals.
    """
    table = read_cells(path)
    if not {"img_path", "ans"} <= set(table.columns):
        asked = "write img_path,ans with ans_list of test.py; the totals of its log say nothing of an image"
        raise RecordError(f"{path}: no table with img_path and ans; {asked}")
    return converted(table, _antifake_prediction)


def _antifake_prediction(cells: Cells) -> Prediction:
    answer = plain(cells.get("ans"))
    if answer not in _ANTIFAKE:
        raise ValueError(f"ans {cells['ans']!r}; expected yes, no, Real, Fake, 0, 1, or nothing")
    return {"image": cells.get("img_path"), "verdict": _ANTIFAKE[answer]}
