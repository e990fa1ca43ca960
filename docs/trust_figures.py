"""Write the measured figures into ``docs/trust.md``.

    python docs/trust_figures.py                 # from benchmarks/results
    python docs/trust_figures.py --run PICTURES  # measure first: four minutes on one core

PICTURES is a folder of good pictures, or one with the folders ``val`` and ``train``. Each figure
stands between two comments of the page, ``<!-- name -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BENCHMARKS = HERE.parent / "benchmarks"
RESULTS = BENCHMARKS / "results"
PAGE = HERE / "trust.md"

OF_NOISE = (
    "How often a residual of nothing but noise is called structured (particles, fibres, gratings, "
    "edges of {} x {} pixels):"
)
OF_LATTICES = (
    "In how many trials the removal of a lattice is found, by its root mean square in units of the "
    "noise (particles under it):"
)
OF_RANKS = (
    "Rank correlation (Spearman) of the map with the true error, both as root mean squares over "
    "windows of {0} x {0} restored pixels, with {1}:"
)
OF_UNITS = (
    "Error and sensitivity are in grey levels of 255. Pictures are degraded as the poster does. "
    "The last two columns are the rank correlation of the error with what a Gaussian of one pixel "
    "takes away: from the truth, which nobody has, and from the input."
)
OF_THE_WEAK = (
    "Nearly everywhere the error is where the truth is finely structured. The map can tell where "
    "that is as far as the input shows it; where the noise covers it, as on ballmill_powder_D1, a "
    "map that is made from the input has little to go by. The specimen *grating* is alike "
    "everywhere, and its windows differ only by how its lines happen to lie on the pixels: where "
    "an edge falls into the middle of a pixel, all eight results are wrong alike, and agree. "
    "Within such an image the map does not rank."
)
OF_GRATINGS = (
    "On gratings (0.25 and 0.65 of white, 100 electrons at white), from what the input cannot "
    "carry to what it easily can:"
)


def measure(pictures: Path, model: list[str]) -> None:
    """Run the scripts that measure."""
    for script, given in (
        ("trust_failure.py", model),
        ("trust_whiteness.py", []),
        ("trust_sensitivity.py", [str(pictures), *model]),
    ):
        print(script, flush=True)
        began = time.monotonic()
        command = [sys.executable, str(BENCHMARKS / script), "--out", str(RESULTS), *given]
        if subprocess.run(command, check=False, cwd=HERE.parent).returncode != 0:
            raise SystemExit(f"{script} failed; the page is unchanged.")
        print(f"  {time.monotonic() - began:.0f} s", flush=True)


def result(name: str) -> dict[str, Any]:
    """Read what a script wrote."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def model() -> str:
    """Say whose figures these are."""
    found = [result(name) for name in ("trust_failure", "trust_sensitivity")]
    one, other = ((each["model"], each["sha256"]) for each in found)
    if one != other:
        raise SystemExit("The figures are of different models: measure again with --run.")
    return f"The figures of this page are those of {one[0]} (SHA-256 {one[1][:12]}...)."


def failure() -> str:
    """Say what the checks found on the specimen with the lattice."""
    found = result("trust_failure")
    said = "\n".join(f"> {line}" for line in found["said"])
    return (
        f"Of the lattice, {found['model']} leaves {100 * found['lattice_left']:.0f} %. "
        f"The checks say:\n\n{said}\n\n"
        f"The sensitivity is {found['sensitivity_on_lattice']:.1f} grey levels on the lattice, "
        f"where the error is {found['error_on_lattice']:.1f}. Made consistent, the result has "
        f"{100 * found['lattice_left_when_consistent']:.0f} % of the lattice's amplitude."
    )


def whiteness() -> str:
    """Tabulate false alarms and lattices that were found."""
    found = result("trust_whiteness")
    alarms = found["false_alarms"]
    lines = [
        OF_NOISE.format(found["shape"][1], found["shape"][0]),
        "",
        "| Scan | false alarms | of | rate |",
        "|---|---|---|---|",
    ]
    total = {key: sum(row[key] for row in alarms) for key in ("alarms", "judged")}
    for row in [*alarms, {"scan": "**all**", **total}]:
        rate = 100 * row["alarms"] / max(row["judged"], 1)
        lines.append(f"| {row['scan']} | {row['alarms']} | {row['judged']} | {rate:.1f} % |")
    lattices = found["lattices"]
    amplitudes = sorted({row["amplitude"] for row in lattices})
    heads = " | ".join(f"{amplitude:g} of the noise" for amplitude in amplitudes)
    lines += [
        "",
        OF_LATTICES,
        "",
        f"| Period, input pixels | {heads} |",
        "|---" * (1 + len(amplitudes)) + "|",
    ]
    for period in sorted({row["period_px"] for row in lattices}):
        shares = [
            f"{100 * row['found'] / row['of']:.0f} %"
            for row in lattices
            if row["period_px"] == period
        ]
        lines.append(f"| {period:g} | {' | '.join(shares)} |")
    return "\n".join(lines)


def sensitivity() -> str:
    """Tabulate rank correlations and gratings."""
    found = result("trust_sensitivity")
    rows = [row for row in found["correlations"] if row["kind"] != "pooled"]
    pooled = [row for row in found["correlations"] if row["kind"] == "pooled"]
    lines = [
        OF_RANKS.format(found["window_px"], found["model"]),
        "",
        "| Image | windows | error | sensitivity | rank correlation | detail: truth | input |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        figures = [f"{row[key]:.1f}" for key in ("error", "sensitivity")]
        figures += [f"{row[key]:.2f}" for key in ("spearman", "detail_of_truth", "detail_of_input")]
        cells = " | ".join([f"{row['name']} ({row['kind']})", str(row["windows"]), *figures])
        lines.append(f"| {cells} |")
    lines += ["", "| Together | windows | rank correlation | mean of each | at least 0.5 |"]
    lines.append("|---|---|---|---|---|")
    for row in pooled:
        each = [case["spearman"] for case in rows if row["name"] == f"all {case['kind']}s"]
        reached = f"{sum(value >= 0.5 for value in each)} of {len(each)}"
        lines.append(
            f"| **{row['name']}** | {row['windows']} | **{row['spearman']:.2f}** | "
            f"{row['mean_of_cases']:.2f} | {reached} |"
        )
    lines += [
        *("", OF_UNITS, "", OF_THE_WEAK, "", OF_GRATINGS, ""),
        "| Pitch, input pixels | sensitivity | error | lines left in the result |",
        "|---|---|---|---|",
    ]
    for row in found["gratings"]:
        lines.append(
            f"| {row['pitch_input_px']:g} | {row['sensitivity']:.1f} | {row['error']:.1f} | "
            f"{100 * row['lines_left'] + 0.0:.0f} % |"
        )
    lines.append("")
    lines.append(
        "A pitch below 2 input pixels cannot be carried; what the input shows instead is an alias."
    )
    return "\n".join(lines)


def main() -> None:
    """Measure if asked, then fill the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, metavar="PICTURES", help="measure first")
    parser.add_argument("--model", metavar="NAME", help="by default the package's own")
    arguments = parser.parse_args()
    if arguments.run is not None:
        if not arguments.run.is_dir():
            raise SystemExit(f"There is no folder {arguments.run}.")
        measure(arguments.run.resolve(), ["--model", arguments.model] if arguments.model else [])
    text = PAGE.read_text(encoding="utf-8")
    for make in (model, failure, whiteness, sensitivity):
        try:
            filled = make()
        except FileNotFoundError as error:
            print(f"There are no figures of {make.__name__} yet ({error.filename}).")
            continue
        pattern = re.compile(rf"(<!-- {make.__name__} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, count = pattern.subn(
            lambda found, new=filled: f"{found[1]}\n{new}\n\n{found[2]}", text
        )
        assert count == 1, f"{PAGE.name} has no place for {make.__name__}."
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
