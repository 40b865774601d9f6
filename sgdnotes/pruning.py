r"""Magnitude pruning of networks: what is smallest is set to zero, layer by layer.

Nothing is retrained; see `SupportStep` for that.
"""

from __future__ import annotations

import numpy as np

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.problems import Convolution, Network

__all__ = ["prune_units", "prune_weights"]


def prune_weights(network: Network, x: FloatArray, share: float) -> FloatArray:
    """Return weights of which a share, the smallest of each layer, is set to zero.

    Offsets stay.

    Parameters
    ----------
    network : Network
    x : ndarray of shape (..., dim)
        Is not changed.
    share : float
        Between 0 and 1; in each layer the number of zeros is rounded.

    Returns
    -------
    ndarray of shape (..., dim)

    Examples
    --------
    >>> network = Network([[0.0, 1.0], [1.0, 0.0]], [0, 1])
    >>> prune_weights(network, np.array([3.0, -1.0, 0.5, 2.0, 0.1, 0.2]), 0.5)
    array([3. , 0. , 0. , 2. , 0.1, 0.2])
    """
    part = _checked(network, x, share)
    pruned = np.array(x, dtype=float)
    for block in network.blocks:
        weights = pruned[..., block.weights]
        places = _smallest(np.abs(weights), part)
        np.put_along_axis(weights, places, 0.0, axis=-1)
    return pruned


def prune_units(network: Network, x: FloatArray, share: float) -> FloatArray:
    """Return weights with a share of the units of each hidden layer removed.

    Those go whose incoming weights have the least Euclidean length, with all that leads to them
    and away from them, so that what is left is a smaller network of the same kind.

    Parameters
    ----------
    network : Network
        Without convolutions.
    x : ndarray of shape (..., dim)
        Is not changed.
    share : float
        Between 0 and 1; in each layer the number of units is rounded.

    Returns
    -------
    ndarray of shape (..., dim)
    """
    part = _checked(network, x, share)
    if any(isinstance(layer, Convolution) for layer in network.hidden):
        raise ValueError(f"network: wanted one without convolutions, got {network!r}")
    pruned, lead = np.array(x, dtype=float), np.shape(x)[:-1]
    for block, above in zip(network.blocks[:-1], network.blocks[1:], strict=True):
        incoming = x[..., block.weights].reshape(*lead, *block.shape)
        keep = np.ones((*lead, block.shape[1]))
        np.put_along_axis(keep, _smallest(np.linalg.norm(incoming, axis=-2), part), 0.0, axis=-1)
        pruned[..., block.weights] *= np.tile(keep, block.shape[0])
        pruned[..., block.offsets] *= keep
        pruned[..., above.weights] *= np.repeat(keep, above.shape[1], axis=-1)
    return pruned


def _checked(network: Network, x: FloatArray, share: float) -> float:
    if not isinstance(network, Network):
        raise ValueError(f"network: wanted a Network, got {network!r}")
    if np.shape(x)[-1:] != (network.dim,):
        raise ValueError(f"x: wanted a last axis of length {network.dim}, got {np.shape(x)}")
    return _validate.real("share", share, at_least=0, at_most=1)


def _smallest(sizes: FloatArray, share: float) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    """Return the places of the smallest along the last axis, as many as the share says."""
    count = round(share * sizes.shape[-1])
    return np.argsort(sizes, axis=-1, kind="stable")[..., :count]
