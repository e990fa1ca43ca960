"""Write the measured figures into ``docs/security.md``.

    python -m tests.fuzz all --count 10000 --out benchmarks/results/fuzz.jsonl
    python benchmarks/fault_soak.py --minutes 5 --seed 1 --out benchmarks/results/fault_soak.json
    python benchmarks/mutation.py
    python docs/security_figures.py

Each figure stands between two comments of the page, ``<!-- name -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE.parent / "benchmarks" / "results"
PAGE = HERE / "security.md"


def fuzz() -> str:
    """Tabulate the targets."""
    heads = ("Target", "Inputs", "Faults", "Computing, s", "Slowest input, s")
    heads += ("Peak memory, MiB", "Growth, MiB")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for text in (RESULTS / "fuzz.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(text)
        cells = [row["target"], f"{row['inputs']:,}", len(row["faults"]), f"{row['seconds']:.0f}"]
        cells += [f"{row['slowest_s']:.2f}", row["peak_memory_mib"], row["memory_growth_mib"]]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def soak() -> str:
    """Tabulate the faults at random moments."""
    found = json.loads((RESULTS / "fault_soak.json").read_text(encoding="utf-8"))
    jobs = found["jobs"]
    lines = [
        "Tries in which the fault came before the end, of all tries:",
        "",
        f"| Fault | {' | '.join(jobs)} |",
        "|---" * (1 + len(jobs)) + "|",
    ]
    for fault, tries in found["faults"].items():
        cells = " | ".join(f"{met} of {tried}" for met, tried in (tries[job] for job in jobs))
        lines.append(f"| {fault} | {cells} |")
    counts = [len(found[key]) for key in ("lost", "half_written", "unsaid")]
    said = (
        f"{found['tries']} tries in {found['minutes']:g} minutes (seed {found['seed']}), "
        f"{found['met']} met their fault: {counts[0]} lost, {counts[1]} half-written, "
        f"{counts[2]} not said in a sentence."
    )
    return "\n".join([*lines, "", said])


def mutation() -> str:
    """Tabulate the mutants."""
    found = json.loads((RESULTS / "mutation.json").read_text(encoding="utf-8"))
    keys = ("mutants", "tried", "killed", "explained")
    lines = ["| File | Mutants | Tried | Killed | Explained | |", "|---|---|---|---|---|---|"]
    for file, row in found.items():
        if row["tried"]:
            counts = " | ".join(str(row[key]) for key in keys)
            lines.append(f"| `{file}` | {counts} | {_share(row):.0f} % |")
    total = {key: sum(row[key] for row in found.values()) for key in keys}
    counts = " | ".join(str(total[key]) for key in keys)
    lines.append(f"| **all** | {counts} | **{_share(total):.1f} %** |")
    return "\n".join(lines)


def _share(row: dict[str, int]) -> float:
    """Killed mutants of those that could be told from the code, in per cent."""
    return 100 * row["killed"] / max(row["tried"] - row["explained"], 1)


def main() -> None:
    """Fill the page."""
    text = PAGE.read_text(encoding="utf-8")
    for make in (fuzz, soak, mutation):
        try:
            filled = make()
        except FileNotFoundError as error:
            print(f"There are no figures of {make.__name__} yet ({error.filename}).")
            continue
        pattern = re.compile(rf"(<!-- {make.__name__} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = pattern.sub(lambda found, new=filled: f"{found[1]}\n{new}\n\n{found[2]}", text)
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
