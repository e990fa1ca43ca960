"""The result of an evaluation, as a table, JSON, CSV and figures."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from napari_semnet import __version__
from napari_semnet.files.atomic import replacing
from napari_semnet.imaging.quality import PSNR_DEFINITION, SSIM_DEFINITION
from napari_semnet.training.baselines import BICUBIC_DEFINITION
from napari_semnet.training.cases import Plan, Skipped
from napari_semnet.training.scores import Example, Method, ModelFacts, Score, pictures_of
from napari_semnet.training.soundness import Soundness
from napari_semnet.training.summary import (
    BOOTSTRAP_DEFINITION,
    Gain,
    Summary,
    gain_of,
    per_picture,
    summarise,
)

__all__ = [
    "DEFINITIONS",
    "Example",
    "Method",
    "ModelFacts",
    "Report",
    "Score",
    "choose_examples",
]

DEFINITIONS: Mapping[str, str] = {
    "PSNR": f"{PSNR_DEFINITION}; R = 255, pictures rounded to 8 bits",
    "SSIM": f"{SSIM_DEFINITION}; data range 255, pictures rounded to 8 bits",
    "bias": "mean grey level less that of the reference, in grey levels of 255",
    "bicubic": BICUBIC_DEFINITION,
    "pattern": "root mean square of what repeats with a pitch, in grey levels; its peak is the "
    "power at the pitch over that of the frequencies around it (without any pattern around 2, by "
    "chance up to some 8)",
    "order": "classical methods denoise at the input's size and then enlarge; sigmas are in "
    "pixels of the input",
    "intervals": BOOTSTRAP_DEFINITION,
}
"""What the numbers of a report mean."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that an evaluation found."""

    plan: Plan
    methods: tuple[Method, ...]
    models: tuple[ModelFacts, ...]
    scores: tuple[Score, ...]
    """One for each case and method, in that order."""
    soundness: tuple[Soundness, ...]
    """One for each model."""
    skipped: tuple[Skipped, ...]
    notices: tuple[str, ...]
    notes: Mapping[str, tuple[str, ...]]
    """What was done to pictures before, by picture."""
    examples: tuple[Example, ...]
    seconds: float

    @property
    def pictures(self) -> tuple[str, ...]:
        """Pictures that were measured on."""
        return pictures_of(self.scores)

    @property
    def counts(self) -> str:
        """How much was measured, in words: ``7 pictures, 14 cases``."""
        cases = len(self.scores) // max(1, len(self.methods))
        counted = ((len(self.pictures), "picture"), (cases, "case"))
        return ", ".join(f"{n} {word}" if n == 1 else f"{n} {word}s" for n, word in counted)

    def summary(self, method: str) -> Summary:
        """Average one method over all pictures."""
        return summarise(self.scores, method)

    def gain(self, method: str, over: str) -> Gain:
        """Compare two methods over all pictures."""
        return gain_of(self.scores, method, over)

    def gains(self) -> tuple[Gain, ...]:
        """Compare each model with every other method."""
        return tuple(
            self.gain(model.name, other.name)
            for model in self.models
            for other in self.methods
            if other.name != model.name
        )

    def sources(self) -> tuple[str, ...]:
        """List what the table's column says, each once; empty when it says nothing."""
        named = dict.fromkeys(score.source for score in self.scores)
        return tuple(named) if any(named) else ()

    def of_source(self, source: str) -> Report:
        """Keep only the pictures of one source."""
        kept = tuple(score for score in self.scores if score.source == source)
        return replace(self, scores=kept, examples=())

    def with_examples(self, examples: Sequence[Example]) -> Report:
        """Put in crops to look at."""
        return replace(self, examples=tuple(examples))

    def as_text(self) -> str:
        """Write tables for people, with the definitions under them."""
        from napari_semnet.training.report_text import render

        return render(self)

    def as_json(self) -> str:
        """Write everything but the crops for programs; infinite figures become null."""
        plan = {
            "hq": str(self.plan.hq),
            "lq": None if self.plan.lq is None else str(self.plan.lq),
            "profile": self.plan.profile.model_dump(mode="json", exclude_none=True),
            "draws": self.plan.draws,
            "seed": self.plan.seed,
            "reference_shape": self.plan.reference_shape,
            "pairing": self.plan.pairing,
            "column": self.plan.column,
        }
        content = {
            "software": "napari-semnet",
            "version": __version__,
            "definitions": dict(DEFINITIONS),
            "plan": plan,
            "models": [asdict(model) for model in self.models],
            "methods": [
                {**asdict(method), **asdict(self.summary(method.name))} for method in self.methods
            ],
            "gains": [asdict(gain) for gain in self.gains()],
            "sources": {
                source: {
                    "methods": [asdict(part.summary(method.name)) for method in self.methods],
                    "gains": [asdict(gain) for gain in part.gains()],
                }
                for source in self.sources()
                for part in (self.of_source(source),)
            },
            "soundness": [asdict(check) for check in self.soundness],
            "scores": [asdict(score) for score in self.scores],
            "skipped": [{"path": str(s.path), "reason": s.reason} for s in self.skipped],
            "notices": self.notices,
            "notes": {picture: notes for picture, notes in self.notes.items() if notes},
            "seconds": self.seconds,
        }
        return json.dumps(_finite(content), indent=1, ensure_ascii=False)

    def as_csv(self) -> str:
        """Write one line for each case and method."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            [
                "picture",
                "source",
                "draw",
                "method",
                "psnr_db",
                "ssim",
                "bias_grey_levels",
                "bias_to_input_grey_levels",
                "sigma_px",
                "pattern_2px_grey_levels",
                "pattern_8px_grey_levels",
                "seconds",
            ]
        )
        for score in self.scores:
            amplitudes = {pattern.pitch: pattern.amplitude for pattern in score.patterns}
            writer.writerow(
                [
                    score.picture,
                    score.source,
                    score.draw,
                    score.method,
                    f"{score.psnr:.4f}",
                    f"{score.ssim:.5f}",
                    f"{score.bias:.4f}",
                    f"{score.bias_to_input:.4f}",
                    "" if score.sigma is None else f"{score.sigma:.4f}",
                    *(f"{amplitudes[p]:.4f}" if p in amplitudes else "" for p in (2, 8)),
                    f"{score.seconds:.2f}",
                ]
            )
        return stream.getvalue()

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write all of it.

        Parameters
        ----------
        folder : Path
            Made if missing; reports of an earlier evaluation are replaced.

        Returns
        -------
        tuple of Path
            ``report.txt``, ``report.json``, ``scores.csv``, ``figure.png`` and, where there are
            crops, ``examples.png``.

        Raises
        ------
        OSError
            The folder cannot be written to.
        """
        from napari_semnet.training import report_figure

        texts = {
            "report.txt": self.as_text(),
            "report.json": self.as_json(),
            "scores.csv": self.as_csv(),
        }
        pictures = {"figure.png": report_figure.draw_figure(self)}
        if self.examples:
            pictures["examples.png"] = report_figure.draw_examples(self)
        for name, text in texts.items():
            with replacing(folder / name) as temporary:
                temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
        for name, picture in pictures.items():
            with replacing(folder / name) as temporary:
                picture.save(temporary)
        return tuple(folder / name for name in (*texts, *pictures))


def choose_examples(report: Report, examples: Sequence[Example]) -> list[Example]:
    """Choose the cases to show: where the first model gains least, middling and most.

    Parameters
    ----------
    report : Report
    examples : sequence of Example
        One for each picture.

    Returns
    -------
    list of Example
        At most three, of different pictures where there are as many. The gain is that in PSNR
        over bicubic interpolation; without a model the first picture is shown.
    """
    if not report.models or not examples:
        return list(examples[:1])
    model, plain = report.models[0].name, "bicubic"
    gain = per_picture(report.scores, model, "psnr") - per_picture(report.scores, plain, "psnr")
    by_gain = sorted(zip(gain, report.pictures, strict=True))
    places = sorted({0, len(by_gain) // 2, len(by_gain) - 1})
    first = {example.picture: example for example in reversed(examples)}
    return [first[by_gain[place][1]] for place in places]


def _finite(value: Any) -> Any:
    """Replace what JSON cannot say."""
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
