"""Defence: stochastic gradients at images that were attacked a moment before."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sgdnotes import _validate
from sgdnotes._validate import FloatArray, IntArray
from sgdnotes.oracles import Minibatch
from sgdnotes.problems import Network, Objective, cross_entropy_slope


@dataclass(frozen=True)
class AdversarialMinibatch(Minibatch):
    r"""The average gradient of a few samples, each attacked first: adversarial training.

    It estimates a gradient of :math:`\frac1n\sum_i\max_{\|\delta\|_\infty\le\varepsilon}
    f_i(x; a_i + \delta)`: where the maximum has one maximiser, the gradient of the maximum is the
    gradient there (Danskin's theorem).  The maximum is approached by K steps of projected sign
    ascent of length :math:`\tfrac{2.5}{K}\varepsilon` from the image, with pixels from 0 to 1.

    Parameters
    ----------
    batch_size : int or callable, default 1
    sampling : str or Sampling, default "with_replacement"
    epsilon : float
        :math:`\varepsilon \ge 0`.
    inner_steps : int, default 5
        :math:`K \ge 1`.

    References
    ----------
    Madry et al. (2018).
    """

    epsilon: float = field(kw_only=True)
    inner_steps: int = field(default=5, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _validate.real("epsilon", self.epsilon, at_least=0)
        _validate.integer("inner_steps", self.inner_steps, at_least=1)

    def cost(self, problem: Objective, steps: int) -> int:
        """Return the sum of the batch sizes, times one more than the inner steps."""
        return (self.inner_steps + 1) * super().cost(problem, steps)

    def init(self, problem: Objective, x: FloatArray) -> None:
        """Check that the problem is a `Network` on images; nothing is remembered."""
        if not isinstance(problem, Network):
            raise ValueError(f"problem: wanted a Network, whose images can change, got {problem}")
        if problem.images.min() < 0 or problem.images.max() > 1:
            raise ValueError("images: wanted pixels from 0 to 1 to attack them, got others")

    def gradient(
        self, problem: Objective, x: FloatArray, draw: IntArray, state: None
    ) -> tuple[FloatArray, None]:
        """Return the minibatch gradients at `x` on attacked images."""
        assert isinstance(problem, Network)
        labels, clean = problem.labels.take(draw), problem.images.take(draw, axis=0)
        lower = np.maximum(clean - self.epsilon, 0.0)
        upper = np.minimum(clean + self.epsilon, 1.0)
        images, length = clean, 2.5 * self.epsilon / self.inner_steps
        for _ in range(self.inner_steps):
            slope = cross_entropy_slope(problem.logits(x, images), labels)
            ascent = np.sign(problem.input_gradient(x, images, slope))
            images = np.clip(images + length * ascent, lower, upper)
        return problem.gradient_at(x, images, labels), None
