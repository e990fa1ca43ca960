"""Average the weights of two models that have one ancestor.

    python recipes/average.py MODEL OTHER OUT

Where two models went on from the same weights, weights halfway between them often restore as well
as the better one, or better. The last convolution suits neither any more: solve it anew
(`refit.py`). The card is that of the first.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from napari_semnet.model import load_model, save_model


def main(source: Path, other: Path, target: Path) -> None:
    """Read both, average, write."""
    model = load_model(source)
    others = load_model(other).network.parameters()
    with torch.no_grad():
        for weight, far in zip(model.network.parameters(), others, strict=True):
            weight.lerp_(far, 0.5)
    save_model(target, model.network, model.card, torch.float16)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
