"""Change one thing of the bundled model's recipe at a time, and see what it does to the report.

Each variant goes on from the same model for the same number of steps, at a rate that falls to
nothing, and is then measured by the report's cases. The recipe itself runs with several seeds:
what these differ by is chance.

    python benchmarks/recipe_choices.py FOLDER [--steps 300] [--model semnet-x2]
        [--runs runs/choices] [--out benchmarks/results]

FOLDER is that of the recipe: it holds `sem-images/` and `synthetic/`. What is trained already is
not trained again; stopped at any time, it goes on. A variant takes three minutes on two cores.
"""

from __future__ import annotations

import argparse
import copy
import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_semnet import __version__
from napari_semnet.imaging.quality import noise_sigma
from napari_semnet.model import load_model
from napari_semnet.training.cases import Plan
from napari_semnet.training.config import config_from
from napari_semnet.training.evaluation import Finished, run_evaluation
from napari_semnet.training.pictures import read_planes
from napari_semnet.training.report import Report
from napari_semnet.training.trainer import train

RECIPE = Path(__file__).parents[1] / "recipes" / "semnet-x2.toml"
Recipe = dict[str, Any]


def as_it_is(recipe: Recipe, folder: Path) -> None:
    """Change nothing."""


def another_seed(recipe: Recipe, folder: Path) -> None:
    """Draw other patches and other noise."""
    recipe["seed"] += 1


def a_third_seed(recipe: Recipe, folder: Path) -> None:
    """Draw yet others."""
    recipe["seed"] += 2


def no_binned_references(recipe: Recipe, folder: Path) -> None:
    """Leave out the pictures that are binned to half their size and noise."""
    recipe["data"] = [s for s in recipe["data"] if s.get("reference") != "binned"]


def quiet_references(recipe: Recipe, folder: Path) -> None:
    """Leave out the noisier half of the acquired pictures."""
    for source in recipe["data"]:
        if "content" not in source:
            source["images"] = quieter_half(source["images"], folder)


def no_synthetic_specimens(recipe: Recipe, folder: Path) -> None:
    """Leave out what is drawn."""
    recipe["data"] = [s for s in recipe["data"] if s.get("content") != "synthetic"]


def no_photographs(recipe: Recipe, folder: Path) -> None:
    """Leave out what no microscope has taken."""
    recipe["data"] = [s for s in recipe["data"] if s.get("content") != "natural"]


def no_augmentation(recipe: Recipe, folder: Path) -> None:
    """Leave grey values as they are."""
    del recipe["augmentation"]


def poster_degradations(recipe: Recipe, folder: Path) -> None:
    """Degrade by the poster's chain alone."""
    recipe["degradation"]["chains"] = recipe["degradation"]["chains"][:1]


def half_microscope(recipe: Recipe, folder: Path) -> None:
    """Degrade half the patches as a microscope does."""
    for chain in recipe["degradation"]["chains"]:
        chain["weight"] = 0.5


def l1_alone(recipe: Recipe, folder: Path) -> None:
    """Learn by L1 alone."""
    recipe["losses"] = {"l1": 1.0, "histogram": 0.0, "total_variation": 0.0}


def poster_losses(recipe: Recipe, folder: Path) -> None:
    """Learn by the poster's losses."""
    recipe["losses"] = {"l1": 1.0, "histogram": 0.1, "total_variation": 0.01}


def psnr_alone(recipe: Recipe, folder: Path) -> None:
    """Learn by the PSNR alone."""
    recipe["losses"] = {"l1": 0.0, "histogram": 0.0, "total_variation": 0.0, "psnr": 0.02}


def adam(recipe: Recipe, folder: Path) -> None:
    """Let Adam take the steps, at half the rate."""
    rate = recipe["optimiser"]["learning_rate"]
    recipe["optimiser"] |= {"kind": "adam", "learning_rate": rate / 2}


def large_batches(recipe: Recipe, folder: Path) -> None:
    """Learn from four times as many patches at once, in a quarter of the steps."""
    recipe["steps"] //= 4
    recipe["batch"] *= 4
    recipe["schedule"]["cooldown"] //= 4


def reach_of_ten(recipe: Recipe, folder: Path) -> None:
    """Ask the network to do with 10 pixels."""
    recipe["losses"] |= {"reach": 2.0, "halo": 10, "power": 4.0}


def no_average(recipe: Recipe, folder: Path) -> None:
    """Keep the weights of the last step, and not their moving average."""
    recipe["ema"] = 0.0


def large_patches(recipe: Recipe, folder: Path) -> None:
    """Draw patches of 96 x 96 and fewer of them: as many pixels in all."""
    part = (recipe["patch"] / 96) ** 2
    recipe["steps"] = round(part * recipe["steps"])
    recipe["schedule"]["cooldown"] = round(part * recipe["schedule"]["cooldown"])
    recipe["patch"] = 96


VARIANTS: Mapping[str, Callable[[Recipe, Path], None]] = {
    "the recipe": as_it_is,
    "another seed": another_seed,
    "a third seed": a_third_seed,
    "no binned references": no_binned_references,
    "quieter half of the references": quiet_references,
    "no synthetic specimens": no_synthetic_specimens,
    "no photographs": no_photographs,
    "no augmentation": no_augmentation,
    "poster's degradations alone": poster_degradations,
    "half as a microscope degrades": half_microscope,
    "L1 alone": l1_alone,
    "poster's losses": poster_losses,
    "PSNR alone": psnr_alone,
    "Adam": adam,
    "batches of 16, as many patches": large_batches,
    "a reach of 10 pixels": reach_of_ten,
    "no average of the weights": no_average,
    "patches of 96, as many pixels": large_patches,
}


def main() -> None:
    """Train, measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--model", default="semnet-x2", help="what all go on from")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--runs", type=Path, default=Path("runs/choices"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    start = load_model(arguments.model)
    folder = arguments.folder.resolve()
    models = {"the start": arguments.model}
    for variant in arguments.variants:
        models[variant] = trained(variant, folder, arguments.model, arguments.steps, arguments.runs)
        print(f"trained: {variant}", flush=True)
    plan = Plan(folder / "sem-images" / "val", baselines=("bicubic",))
    rows: dict[str, dict[str, float]] = {}
    for variant, model in models.items():
        # One by one: what is compiled for each model stays as long as the evaluation goes on.
        for event in run_evaluation(plan, (model,)):
            if isinstance(event, Finished):
                (rows[variant],) = figures(event.report)
        shown = (f"{name} {figure:.4f}" for name, figure in rows[variant].items())
        print(f"{variant:32}", *shown, flush=True)
    result = {
        "version": __version__,
        "model": start.sha256,
        "steps": arguments.steps,
        "variants": rows,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "recipe_choices.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def trained(variant: str, folder: Path, model: str, steps: int, runs: Path) -> str:
    """Train a variant, or find it trained, and say where its model is."""
    name = variant.lower().replace("'", "").replace(",", "").replace(" ", "-")
    run = runs / name
    if not (run / "done").exists():
        recipe = copy.deepcopy(short_recipe(model, steps)) | {
            "model": {"name": name, "halo_pictures": 0}
        }
        VARIANTS[variant](recipe, folder)
        begun = (run / "checkpoints" / "last.safetensors").exists()
        train(config_from(recipe, folder), run, resume=begun)
        (run / "done").touch()
    return str(run / f"{name}.safetensors")


def short_recipe(model: str, steps: int) -> Recipe:
    """Give the bundled model's recipe, to go on for so many steps at a falling rate.

    Patches are of 64 pixels, which takes half the time. The loss of reach is left out: it shortens
    halos, and costs time as well. So is the halo of the result.
    """
    recipe = tomllib.loads(RECIPE.read_text(encoding="utf-8"))
    del recipe["validation"], recipe["model"]
    recipe["losses"] |= {"reach": 0.0}
    return recipe | {
        "start_from": model,
        "steps": steps,
        "batch": 4,
        "patch": 64,
        "schedule": {"kind": "constant", "warmup": 20, "cooldown": steps - 50, "final": 0.02},
        "intervals": {"log": 50, "evaluate": steps, "preview": steps, "checkpoint": 100},
    }


def quieter_half(images: str | list[str], folder: Path) -> list[str]:
    """Name the half of a source's files whose noise is weakest."""
    patterns = [images] if isinstance(images, str) else images
    files = [
        path
        for pattern in patterns
        for path in sorted(folder.glob(pattern if "*" in pattern else f"{pattern}/*"))
    ]
    noise = [noise_sigma(next(read_planes(path)).pixels) for path in files]
    limit = np.median(noise)
    return [str(path) for path, sigma in zip(files, noise, strict=True) if sigma <= limit]


def figures(report: Report) -> list[dict[str, float]]:
    """Give the mean figures of each model, in their order."""
    rows = []
    for sound in report.soundness:
        scores = [score for score in report.scores if score.method == sound.model]
        rows.append(
            {
                "PSNR, dB": float(np.mean([score.psnr for score in scores])),
                "SSIM": float(np.mean([score.ssim for score in scores])),
                "flat deviation, grey levels": float(np.mean([f.deviation for f in sound.flats])),
                "edge, px": float(np.mean([edge.width for edge in sound.edges])),
            }
        )
    return rows


if __name__ == "__main__":
    main()
