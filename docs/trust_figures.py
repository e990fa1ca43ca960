"""Write the measured figures into ``docs/trust.md``.

    python docs/trust_figures.py                 # from benchmarks/results
    python docs/trust_figures.py --run PICTURES  # measure first; PICTURES is a folder of good ones

Each figure stands between two comments of the page, ``<!-- name -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
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
    "The grating is alike everywhere, and its windows differ only by what became of its lines: "
    "where they were kept the eight results disagree a little, where they were wiped out alike "
    "there is nothing to disagree about. Within such an image the map does not rank."
)
OF_GRATINGS = (
    "On gratings (0.25 and 0.65 of white, 100 electrons at white), from what the input cannot "
    "carry to what it easily can:"
)


def measure(pictures: Path, model: list[str]) -> None:
    """Run the scripts that measure."""
    for script, given in (
        ("trust_failure.py", model),
        ("trust_sensitivity.py", [str(pictures), *model]),
        ("trust_whiteness.py", []),
    ):
        print(script, flush=True)
        command = [sys.executable, str(BENCHMARKS / script), "--out", str(RESULTS), *given]
        subprocess.run(command, check=True, cwd=HERE.parent)


def result(name: str) -> dict[str, Any]:
    """Read what a script wrote."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


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
    window = found["window_px"]
    lines = [
        OF_RANKS.format(window, found["model"]),
        "",
        "| Image | windows | error | sensitivity | rank correlation |",
        "|---|---|---|---|---|",
    ]
    cases = [row for row in found["correlations"] if row["kind"] != "pooled"]
    for row in cases:
        what = "specimen" if row["kind"] == "synthetic" else "picture"
        lines.append(
            f"| {row['name']} ({what}) | {row['windows']} | {row['error']:.1f} | "
            f"{row['sensitivity']:.1f} | {row['spearman']:.2f} |"
        )
    for row in found["correlations"]:
        if row["kind"] == "pooled":
            lines.append(
                f"| **{row['name']}s together** | {row['windows']} | | | "
                f"**{row['spearman']:.2f}** (mean of each: {row['mean_of_cases']:.2f}) |"
            )
    lines += [
        "",
        OF_UNITS,
        "",
        OF_GRATINGS,
        "",
        "| Pitch, input pixels | sensitivity | error | lines left in the result |",
        "|---|---|---|---|",
    ]
    for row in found["gratings"]:
        lines.append(
            f"| {row['pitch_input_px']:g} | {row['sensitivity']:.1f} | {row['error']:.1f} | "
            f"{100 * row['lines_left']:.0f} % |"
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
        measure(arguments.run.resolve(), ["--model", arguments.model] if arguments.model else [])
    text = PAGE.read_text(encoding="utf-8")
    for name, make in (
        ("failure", failure),
        ("whiteness", whiteness),
        ("sensitivity", sensitivity),
    ):
        if not (RESULTS / f"trust_{name}.json").is_file():
            print(f"There are no figures of {name} yet.")
            continue
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        filled = make()
        text = pattern.sub(lambda found, new=filled: f"{found[1]}\n{new}\n\n{found[2]}", text)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
