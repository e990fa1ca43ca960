"""Measure what a model keeps of its gain on pictures of a source that it was not trained on.

The sources that pictures are held out of are in two groups. Two networks of the bundled model's
size are trained from nothing by its recipe, each without the sources of one group. What the network
without a source gains over a classical method on that source's held-out pictures, as a share of
what the network with it gains on the same pictures, is what the recipe is good for beyond its
training set. Both have been without some sources, so that variety alone tells them apart less.

    python benchmarks/unseen_sources.py FOLDER [--steps 2500] [--network 6 64 32]
        [--runs runs/unseen] [--out benchmarks/results]

FOLDER is that of the recipe: it holds `sem-images/` and `synthetic/`. What is trained already is
not trained again; stopped at any time, it goes on.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_semnet import __version__
from napari_semnet.network import Architecture
from napari_semnet.training.cases import Plan
from napari_semnet.training.config import TrainingConfig, config_from
from napari_semnet.training.evaluation import Finished, run_evaluation
from napari_semnet.training.report import Report
from napari_semnet.training.trainer import train

RECIPE = Path(__file__).parents[1] / "recipes" / "semnet-x2.toml"
GROUPS = (("axon", "powder_ampis"), ("ballmill_powder", "nasa_ebc", "plant_xsec"))
"""Those that pictures are held out of; powders and biology are in both groups."""
SEMNET = Architecture()
RIVALS = ("bicubic", "Gaussian best PSNR + bicubic", "BM3D + bicubic")


def main() -> None:
    """Train, measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument(
        "--network",
        type=int,
        nargs=3,
        default=(SEMNET.blocks, SEMNET.features, SEMNET.growth),
        metavar=("BLOCKS", "FEATURES", "GROWTH"),
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/unseen"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    models = []
    for group in GROUPS:
        config = recipe_without(arguments.folder, group, arguments.steps, arguments.network)
        folder = arguments.runs / name_without(group)
        if not (folder / "done").exists():
            begun = (folder / "checkpoints" / "last.safetensors").exists()
            train(config, folder, resume=begun)
            (folder / "done").touch()
        models.append(folder / f"{config.model.name}.safetensors")
        print(f"trained: {name_without(group)}", flush=True)
    plan = Plan(
        arguments.folder / "sem-images" / "val",
        baselines=("bicubic", "gaussian", "bm3d"),
        table=arguments.folder / "sem-images" / "sources.csv",
    )
    for event in run_evaluation(plan, tuple(models)):
        if isinstance(event, Finished):
            result = compared(event.report)
    print_table(result)
    result |= {
        "version": __version__,
        "steps": arguments.steps,
        "network": dict(zip(("blocks", "features", "growth"), arguments.network, strict=True)),
        "groups": GROUPS,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "unseen_sources.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def name_without(group: Sequence[str]) -> str:
    """Name the model that has not seen a group of sources."""
    return f"without-{'-'.join(group)}"


def recipe_without(
    folder: Path, group: Sequence[str], steps: int, network: Sequence[int]
) -> TrainingConfig:
    """Give the bundled model's recipe from nothing, without a group of sources.

    The loss of reach is left out, which shortens halos and costs time; so are photographs, and
    patches are smaller, as they were when the figures of the documentation were measured.
    """
    recipe = tomllib.loads(RECIPE.read_text(encoding="utf-8"))
    del recipe["start_from"], recipe["validation"]
    recipe["losses"] |= {"reach": 0.0}
    recipe["optimiser"] |= {"learning_rate": 1e-3}
    recipe |= {
        "steps": steps,
        "batch": 4,
        "patch": 64,
        "network": dict(zip(("blocks", "features", "growth"), network, strict=True)),
        "schedule": {"kind": "cosine", "warmup": 100, "final": 0.01},
        "intervals": {"log": 50, "evaluate": steps, "preview": steps, "checkpoint": 250},
        "model": {"name": name_without(group), "halo_pictures": 3},
        "data": [
            kept
            for source in recipe["data"]
            if source.get("content") != "natural"
            and (kept := without(source, folder, group))["images"]
        ],
    }
    return config_from(recipe, folder)


def without(source: Mapping[str, Any], folder: Path, group: Sequence[str]) -> dict[str, Any]:
    """Name a source's files one by one, but for those of a group."""
    named = source["images"]
    files = [
        path
        for pattern in ([named] if isinstance(named, str) else named)
        for path in sorted(folder.glob(pattern if "*" in pattern else f"{pattern}/*"))
    ]
    return {**source, "images": [str(p) for p in files if not p.name.startswith(tuple(group))]}


def compared(report: Report) -> dict[str, Any]:
    """Set the gains of both models on each source side by side, with the source and without."""
    rows = []
    for unseen, seen in (GROUPS, GROUPS[::-1]):
        for source in unseen:
            scores = [score for score in report.scores if score.source == source]

            def mean(method: str, figure: str, scores: list[Any] = scores) -> float:
                return float(np.mean([getattr(s, figure) for s in scores if s.method == method]))

            rows.append(
                {"source": source}
                | {
                    f"{figure} over {rival}": [
                        mean(name_without(group), figure) - mean(rival, figure)
                        for group in (seen, unseen)
                    ]
                    for figure in ("psnr", "ssim")
                    for rival in RIVALS
                }
            )
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
