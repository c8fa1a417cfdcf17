"""Miniatures of published data sets, each in the exact layout and format of its makers."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

SIZE = (64, 48)


def picture(path: Path, size: tuple[int, int] = SIZE, **options: Any) -> Path:
    """A picture of coloured spots, other ones for every path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    spots = Image.frombytes("RGB", (8, 6), random.Random(str(path)).randbytes(8 * 6 * 3))
    spots.resize(size, Image.Resampling.BICUBIC).save(path, **options)
    return path


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def genimage_unpacked(folder: Path) -> Path:
    """GenImage as its archives unpack: a level such as imagenet_ai_0419_sdv4 between generator and split.

    Files are named as in data/corrupted_files of https://github.com/GenImage-Dataset/GenImage and in ImageNet.
    """
    for generator, archive, stem in [
        ("stable_diffusion_v_1_4", "imagenet_ai_0419_sdv4", "033_sdv4_00134"),
        ("Midjourney", "imagenet_midjourney", "0_midjourney_112"),
        ("glide", "imagenet_glide", "GLIDE_1000_200_08_808_glide_00033"),
    ]:
        tree = folder / generator / archive
        picture(tree / "train" / "ai" / f"{stem}.png")
        picture(tree / "val" / "ai" / f"{stem}1.png")
        picture(tree / "train" / "nature" / f"n01440764_1{len(stem):03d}.JPEG", (50, 37))
        picture(tree / "val" / "nature" / f"ILSVRC2012_val_000002{len(stem)}.JPEG", (50, 37))
    return folder


def genimage_plain(folder: Path) -> Path:
    """GenImage as its Readme.md draws it: {generator}/{train,val}/{ai,nature}."""
    for generator in ("Stable Diffusion V1.5", "BigGAN", "ADM"):
        for split in ("train", "val"):
            picture(folder / generator / split / "ai" / f"{generator[:3]}_{split}_00001.png")
            picture(folder / generator / split / "nature" / f"n0{len(generator)}40764_{len(split)}0026.JPEG")
    return folder


def genimage_numbered(folder: Path) -> Path:
    """GenImage as detectors in the tradition of CNNSpot keep it: {generator}/{0_real,1_fake}."""
    for generator in ("wukong", "VQDM"):
        picture(folder / generator / "0_real" / f"ILSVRC2012_val_0000000{len(generator)}.JPEG")
        picture(folder / generator / "1_fake" / f"{generator}_00109.png")
    return folder


def real_fake_tree(folder: Path) -> Path:
    """ForenSynths of CNNSpot: {generator}/{category}/{0_real,1_fake}, one name in all folders; or real and fake."""
    for category in ("car", "cat"):
        for label in ("0_real", "1_fake"):
            picture(folder / "progan" / category / label / "00001.png")
    picture(folder / "deepfake" / "real" / "00001.png")
    picture(folder / "deepfake" / "fake" / "00001.png")
    return folder


REASONS = {"Low Image Quality": "Blurred.", "Semantic Irrationality": None, "Anomalous Image Texture": "Waxy skin."}


def mmfr(folder: Path) -> Path:
    """MMFR-Dataset: README.md, mmfr_generation/ and LLaVA/forgery_eval/eval.py in github.com/PRIS-CV/FakeReasoning."""
    for generator in ("gigagan", "stablediffusion"):
        names = {label: f"{generator}/{label}/{generator}_{label[0]}.png" for label in ("0_real", "1_fake")}
        for name in names.values():
            picture(folder / "evaluation_sets" / name)
        reasons = {names["0_real"]: {"High Image Quality": "Crisp."}, names["1_fake"]: REASONS}
        write_json(folder / "evaluation_sets" / generator / f"{generator}_reasoning.json", reasons)
    cot = []
    for name, conclusion in [("diffusiondb/part-000001/0a3c75bb.png", "fake"), ("laion/00000/000000000.jpg", "real")]:
        picture(folder / name)
        reasons = f"<REASONING>\nBecause of {name[:5]}.\n</REASONING>"
        said = f"<DESCRIPTION>A dog.</DESCRIPTION>\n{reasons}\n<CONCLUSION>This image is {conclusion}.</CONCLUSION>"
        asked = {"from": "human", "value": "<image>\nIs this image real or fake?"}
        cot.append({"id": name, "image": name, "conversations": [asked, {"from": "gpt", "value": said}]})
        write_json(folder / name.split("/")[0] / f"{name.split('/')[0]}_reasoning.json", {name: REASONS})
    write_json(folder / "forgery_reasoning_cot.json", cot)
    return folder


def ref(sentence: str, *polygons: list[float]) -> dict[str, Any]:
    return {"sentence": sentence, "explanation": f"{sentence} is odd.", "bbox": None, "segmentation": list(polygons)}


def synthscars(folder: Path, spelling: str = "annoations") -> Path:
    """SynthScars: README.md, dataset/gcg_datasets/GranDf_gcg_ds.py and early annotations in opendatalab/LEGION."""
    eyes = ref("man's eyes", [43.5, 12.25, 54.25, 10.75, 55.0, 22.0, 43.5, 24.5])
    pieces = ref("twisted zipper", [4, 4, 10, 4, 10, 12], [20, 30, 28, 30, 28, 44, 20, 44])
    edge = ref("the edge", [60, 40, 64.000000000001, 40, 64.000000000001, 48.000000000001])
    line = ref("a line", [1, 1, 5, 5, 9, 9])  # as in train's annotation 317
    entries = {
        "train": [("1172", "a.jpg", [eyes, line]), ("566", "b.png", [pieces]), ("567", "b.png", [edge])],
        "test": [("7", "c.jpg", [edge, eyes]), ("8", "d.jpg", [line])],
    }
    for split, of_split in entries.items():
        annotations = []
        for number, name, refs in of_split:
            picture(folder / split / "images" / name)
            found = "To elaborate, I have found the following artifacts. man's eyes:The pupil is not round."
            caption = f'"Upon examining the image. I have found: A man, {number}.\n{found}"'
            annotations.append({number: {"caption": caption, "img_file_name": name, "refs": refs}})
        write_json(folder / split / spelling / f"{split}.json", annotations)
    return folder


def fakevlm(folder: Path) -> Path:
    """FakeClue: README.md, scripts/eval.py of opendatalab/FakeVLM; its data_json/test.json, where 1 means real."""
    for split in ("train", "test"):
        rows = []
        for kind, category in [("genimage", "animal"), ("ff++", "deepfake"), ("doc", "doc")]:
            for label, word in enumerate(("fake", "real")):
                name = f"{kind}/{word}/{split}_{label}.png"
                picture(folder / split / name)
                said = f"This is a {word} image. The letters of {kind} say so."
                asked = {"from": "human", "value": "<image>Does the image looks real/fake?"}
                turns = [asked, {"from": "gpt", "value": said}]
                rows.append({"image": name, "label": label, "cate": category, "conversations": turns})
        write_json(folder / "data_json" / f"{split}.json", rows)
    return folder


def defake_row(name: str, said: str, refs: list[str], boxes: list[list[float]]) -> dict[str, Any]:
    turns = [{"role": "user", "content": "<image>Is this image real?"}, {"role": "assistant", "content": said}]
    return {"messages": turns, "images": [name], "objects": {"ref": refs, "bbox": boxes}}


def mllm_defake(folder: Path) -> Path:
    """Rows of mllm-defake: mllm_defake/finetune/{rewards/utils.py, trainers/grpo/jsonl_dataset.py}."""
    said = "<think>The <ref-object><bbox> has six fingers, and <ref-object><bbox> melts.</think>\n"
    rows = [
        defake_row(
            "fake/1.png",
            f"{said}<verdict>generated</verdict>",
            ["left hand", "a sign"],
            [[4, 5, 20, 21], [30, 9, 70, 30]],
        ),
        defake_row("real/1.png", "<think>Light is even.</think> <verdict>real</verdict>", [], []),
    ]
    picture(folder / "fake" / "1.png")
    picture(folder / "real" / "1.png")
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def coco(folder: Path) -> Path:
    """COCO 2017: https://cocodataset.org/#format-data. The same images stand in instances and in captions."""
    names = ["000000000139.jpg", "000000000285.jpg"]
    images = []
    for number, name in enumerate(names):
        picture(folder / "val2017" / name)
        images.append({"license": 2, "file_name": name, "height": 48, "width": 64, "id": 139 + number})
    box = {"segmentation": [[1, 1, 9, 1, 9, 9]], "area": 9.5, "iscrowd": 0, "image_id": 139, "bbox": [1, 1, 8, 8]}
    instances = {"info": {}, "licenses": [], "images": images, "annotations": [{**box, "category_id": 1, "id": 1}]}
    captions = {"info": {}, "images": images, "annotations": [{"image_id": 139, "id": 9, "caption": "A room."}]}
    write_json(folder / "annotations" / "instances_val2017.json", {**instances, "categories": []})
    write_json(folder / "annotations" / "captions_val2017.json", captions)
    return folder


# Each data set: what `zoomin convert` calls its kind, how it is made, and how many real and generated records it has.
DATA_SETS: dict[str, tuple[str, Callable[[Path], Path], tuple[int, int]]] = {
    "genimage as unpacked": ("genimage", genimage_unpacked, (6, 6)),
    "genimage as drawn": ("genimage", genimage_plain, (6, 6)),
    "genimage numbered": ("genimage", genimage_numbered, (2, 2)),
    "0_real and 1_fake": ("folders", real_fake_tree, (3, 3)),
    "mmfr": ("mmfr", mmfr, (3, 3)),
    "synthscars": ("synthscars", synthscars, (0, 4)),
    "synthscars spelt right": ("synthscars", lambda folder: synthscars(folder, "annotations"), (0, 4)),
    "fakevlm": ("fakevlm", fakevlm, (6, 6)),
    "mllm-defake": ("mllm-defake", mllm_defake, (1, 1)),
    "coco": ("coco", coco, (2, 0)),
}
