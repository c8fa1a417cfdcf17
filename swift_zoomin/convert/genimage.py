"""GenImage (Zhu et al. 2023): `Midjourney/{train,val}/{ai,nature}/*`, or `{0_real,1_fake}`, from any level downwards.

As unpacked, a level like `imagenet_ai_0419_sdv4` or `imagenet_midjourney` stands between generator and split, and the
generator may be called `stable_diffusion_v_1_4`, or be missing: any of these gives the source its name in the paper
(https://github.com/GenImage-Dataset/GenImage, Readme.md and data/corrupted_files). Generated files are named like
`033_sdv4_00134.png`; real ones as in ImageNet, `n01440764_10026.JPEG` and `ILSVRC2012_val_00000293.JPEG`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from swift_zoomin.convert.folders import labelled_images
from swift_zoomin.convert.rows import Notes, Row
from swift_zoomin.files import plain_path

ABOUT = "GenImage: {generator}/{train,val}/{ai,nature}, or 0_real and 1_fake"
SPLITS = ("train", "val")
# How a folder's name ends, letters and digits alone, and whose images are in it.
_GENERATORS = {
    "midjourney": "Midjourney",
    "vqdm": "VQDM",
    "wukong": "Wukong",
    "sdv4": "Stable Diffusion V1.4",
    "sdv14": "Stable Diffusion V1.4",
    "diffusionv14": "Stable Diffusion V1.4",
    "sdv5": "Stable Diffusion V1.5",
    "sdv15": "Stable Diffusion V1.5",
    "diffusionv15": "Stable Diffusion V1.5",
    "glide": "GLIDE",
    "biggan": "BigGAN",
    "adm": "ADM",
}


def read_rows(source: Path, split: str | None, notes: Notes) -> Iterator[Row]:
    outside = list(plain_path(source).parts)  # the tree may begin anywhere: at a generator, or at its split
    for path, original, label, above in labelled_images(source, notes):
        if split is None or split == _split([*outside[-1:], *above]):
            yield Row(path, original, label, _generator(outside + above))


def _split(folders: list[str]) -> str | None:
    return next((name.lower() for name in reversed(folders) if name.lower() in SPLITS), None)


def _generator(folders: list[str]) -> str:
    """Whose images lie in a folder: by the nearest name that is one of GenImage's generators, else the next above."""
    named = [name for name in folders if name.lower() not in SPLITS]
    for name in reversed(named[-2:]):
        plain = re.sub(r"[^a-z0-9]", "", name.lower())
        for end, generator in _GENERATORS.items():
            if plain.endswith(end):
                return generator
    return named[-1]
