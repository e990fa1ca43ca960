"""Solve a model's last convolution anew, without training: the best one for training pictures.

    python recipes/refit.py MODEL PICTURES OUT

The last convolution is linear, so the kernels that come nearest to the good pictures solve one
system of equations. Only kernels that do not answer to a pitch of two pixels are asked for
(`napari_semnet.training.grid`), so no grid can pass them. The bias is solved for as well, and with
it the mean error in brightness goes.

Pictures are made poor by the poster's degradations, and each counts by the inverse of the error
that is left, as the mean PSNR counts them. So do flat fields without noise, as if one grey level
were left: few pictures tell what becomes of nearly black.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from napari_semnet.files.reader import read_image
from napari_semnet.model import load_model, save_model
from napari_semnet.network import SEMNet
from napari_semnet.training.degradation import PROFILES, degrade
from napari_semnet.training.grid import without_grid

SIDE = 256
"""Pixels of a good picture, around its middle."""
BORDER = 24
"""Poor pixels along the border that see what is not there."""
FLATS = (1, 2, 4, 8, 16, 32, 64, 96, 128, 160, 192, 224, 240, 254)
"""Grey levels of the flat fields."""
PULL = 1e-6
"""Towards the kernels as they are, in parts of the mean square of what they are multiplied with."""


def main(source: Path, pictures: Path, target: Path) -> None:
    """Add up the equations, solve them, write."""
    model = load_model(source)
    network = model.network.eval().to(memory_format=torch.channels_last)
    last = network.last
    assert last.bias is not None
    before = torch.cat([last.weight.detach().flatten(), last.bias.detach()]).double()
    squares = torch.zeros(before.numel(), before.numel(), dtype=torch.float64)
    products = torch.zeros_like(before)
    for poor, good in _pairs(pictures):
        seen, wanted = _equations(network, poor, good)
        error = (seen @ before.float() - wanted).square().mean().clamp_min(1 / 255**2)
        squares += (seen.T @ seen).double() / error
        products += (seen.T @ wanted).double() / error
    free = _free(last.weight.shape)
    pull = PULL * squares.diagonal().mean()
    left = free.T @ squares @ free + pull * torch.eye(free.shape[1], dtype=torch.float64)
    after = free @ torch.linalg.solve(left, free.T @ (products + pull * before))
    with torch.no_grad():
        last.weight.copy_(after[:-1].reshape(last.weight.shape))
        last.bias.copy_(after[-1:])
    save_model(target, network, model.card, torch.float16)


def _pairs(pictures: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """Give poor and good pictures, (1, 1, Y, X)."""
    for number, path in enumerate(sorted(pictures.iterdir())):
        picture = np.asarray(read_image(path).specimen)
        if min(picture.shape) < SIDE:
            print(f"{path.name} is left out: it has fewer than {SIDE} pixels along a side.")
            continue
        middle = tuple(slice((n - SIDE) // 2, (n + SIDE) // 2) for n in picture.shape)
        good = torch.from_numpy(picture[middle].astype(np.float32) / 255)[None, None]
        yield degrade(good, PROFILES["poster"], seed=0, step=number), good
    for level in FLATS:
        good = torch.full((1, 1, SIDE, SIDE), level / 255)
        yield good[..., ::2, ::2], good


def _equations(network: SEMNet, poor: Tensor, good: Tensor) -> tuple[Tensor, Tensor]:
    """Give what the last convolution multiplies, a row a pixel, and what should come of it."""
    maps: list[Tensor] = []
    hook = network.activation.register_forward_hook(lambda _, given, made: maps.append(made))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        network(poor)
    hook.remove()
    # One pixel more around what is compared, for the taps of the kernels.
    around = maps[0][..., 2 * BORDER - 1 : 1 - 2 * BORDER, 2 * BORDER - 1 : 1 - 2 * BORDER]
    seen = functional.unfold(around.float(), 3)[0].T
    wanted = good[0, 0, 2 * BORDER : -2 * BORDER, 2 * BORDER : -2 * BORDER].flatten()
    return torch.cat([seen, torch.ones(len(seen), 1)], 1), wanted


def _free(shape: torch.Size) -> Tensor:
    """Give a basis of the kernels without grid, and of the bias."""
    one = without_grid(torch.eye(9, dtype=torch.float64).reshape(9, 3, 3)).flatten(1)
    vectors, values, _ = torch.linalg.svd(one)
    basis = vectors[:, values > 0.5]
    return torch.block_diag(*[basis] * shape[1], torch.eye(1, dtype=torch.float64))


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
