"""Measure what a model keeps of its gain on pictures of a source that it was not trained on.

Trains a small network by the recipe of the bundled model on all sources, and once more without each
of those that the held-out pictures come from. What the second gains over a classical method, as a
share of what the first gains on the same pictures, is what the recipe is good for beyond its
training set. A small network stands in for SEMNet since each of them must be trained from nothing.

    python benchmarks/unseen_sources.py FOLDER [--steps 2000] [--runs runs/unseen]
        [--out benchmarks/results]

FOLDER is that of the recipe: it holds `sem-images/` and `synthetic/`. What is trained already is
not trained again; stopped at any time, it goes on.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_semnet import __version__
from napari_semnet.training.cases import Plan
from napari_semnet.training.config import TrainingConfig, config_from
from napari_semnet.training.evaluation import Finished, run_evaluation
from napari_semnet.training.report import Report
from napari_semnet.training.trainer import train

RECIPE = Path(__file__).parents[1] / "recipes" / "semnet-x2.toml"
SOURCES = ("axon", "ballmill_powder", "nasa_ebc", "plant_xsec", "powder_ampis")
"""Those that pictures are held out of."""
RIVALS = ("bicubic", "Gaussian best PSNR + bicubic", "BM3D + bicubic")
ALL = "all sources"


def main() -> None:
    """Train, measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--runs", type=Path, default=Path("runs/unseen"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    models = {}
    for left_out in ("", *SOURCES):
        title = f"without {left_out}" if left_out else ALL
        config = small_recipe(arguments.folder, left_out, title, arguments.steps)
        folder = arguments.runs / title.replace(" ", "-")
        finished = folder / f"{config.model.name}.safetensors"
        if not (folder / "done").exists():
            begun = (folder / "checkpoints" / "last.safetensors").exists()
            train(config, folder, resume=begun)
            (folder / "done").touch()
        models[title] = finished
        print(f"trained: {title}", flush=True)
    plan = Plan(
        arguments.folder / "sem-images" / "val",
        baselines=("bicubic", "gaussian", "bm3d"),
        table=arguments.folder / "sem-images" / "sources.csv",
    )
    for event in run_evaluation(plan, tuple(models.values())):
        if isinstance(event, Finished):
            result = compared(event.report)
    print_table(result)
    result |= {"version": __version__, "steps": arguments.steps}
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "unseen_sources.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def small_recipe(folder: Path, left_out: str, title: str, steps: int) -> TrainingConfig:
    """Give the bundled model's recipe for a small network, from nothing and without a source."""
    recipe = tomllib.loads(RECIPE.read_text(encoding="utf-8"))
    del recipe["start_from"], recipe["validation"]
    recipe |= {
        "steps": steps,
        "network": {"blocks": 2, "features": 32, "growth": 16},
        "optimiser": {"learning_rate": 1e-3, "largest_gradient": 1.0},
        "schedule": {"kind": "cosine", "warmup": 100, "final": 0.01},
        "intervals": {"log": 500, "evaluate": steps, "preview": steps, "checkpoint": 500},
        "model": {"name": title.replace(" ", "-"), "halo_pictures": 0},
        "data": [
            kept
            for source in recipe["data"]
            if (kept := without(source, folder, left_out))["images"]
        ],
    }
    return config_from(recipe, folder)


def without(source: Mapping[str, Any], folder: Path, left_out: str) -> dict[str, Any]:
    """Name a source's files one by one, but for those of what is left out."""
    named = source["images"]
    files = [
        path
        for pattern in ([named] if isinstance(named, str) else named)
        for path in sorted(folder.glob(pattern if "*" in pattern else f"{pattern}/*"))
    ]
    kept = [str(path) for path in files if not (left_out and path.name.startswith(left_out))]
    return {**source, "images": kept}


def compared(report: Report) -> dict[str, Any]:
    """Set the gains of both models on each source side by side."""
    rows = []
    for source in SOURCES:
        scores = [score for score in report.scores if score.source == source]

        def mean(method: str, figure: str, scores: list[Any] = scores) -> float:
            return float(np.mean([getattr(s, figure) for s in scores if s.method == method]))

        row: dict[str, Any] = {"source": source}
        for figure in ("psnr", "ssim"):
            for rival in RIVALS:
                row[f"{figure} over {rival}"] = [
                    mean(name.replace(" ", "-"), figure) - mean(rival, figure)
                    for name in (ALL, f"without {source}")
                ]
        rows.append(row)
    means = {
        key: np.mean([row[key] for row in rows], axis=0).tolist() for key in rows[0] if " " in key
    }
    return {"sources": rows, "mean": means}


def print_table(result: Mapping[str, Any]) -> None:
    """Print a row a source: seen, left out, share."""
    for row in (*result["sources"], {"source": "mean", **result["mean"]}):
        print(row["source"])
        for key, (seen, unseen) in ((k, v) for k, v in row.items() if k != "source"):
            share = f"{unseen / seen:7.0%}" if seen > 0 else "      -"
            print(f"  {key:42} seen {seen:+.4f}  left out {unseen:+.4f}  kept {share}")


if __name__ == "__main__":
    main()
