r"""Attacks: constrained ascent on the loss of a classifier, for many images at once.

Every attack looks for an image x near a given one, :math:`\|x - x_0\| \le \varepsilon` with pixels
from 0 to 1, whose loss is large.  Each image is climbed for itself, with a step size of its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sgdnotes import _validate
from sgdnotes._validate import FloatArray
from sgdnotes.attacks.climb import AttackResult, climb
from sgdnotes.attacks.models import Attacked, Classifier, Loss, check_labels, resolve_loss
from sgdnotes.attacks.perturbations import NORMS, Perturbations
from sgdnotes.schedules import Schedule, evaluate, frank_wolfe_steps

STARTS = ("image", "random")


def _prepare(
    classifier: Classifier,
    images: ArrayLike,
    labels: ArrayLike,
    epsilon: float,
    norm: str,
    loss: str | Loss,
    steps: int,
    start: str,
    rng: int | np.random.Generator | None,
) -> tuple[Attacked, Perturbations, FloatArray]:
    nearby = NORMS[_validate.one_of("norm", norm, NORMS)](images, epsilon)
    attacked = Attacked(classifier, check_labels(labels, nearby.images), resolve_loss(loss))
    _validate.integer("steps", steps, at_least=0)
    generator = _validate.generator(rng)
    if _validate.one_of("start", start, STARTS) == "random":
        return attacked, nearby, nearby.random(generator)
    return attacked, nearby, nearby.images.copy()


def fgsm(
    classifier: Classifier,
    images: ArrayLike,
    labels: ArrayLike,
    epsilon: float,
    *,
    norm: str = "linf",
    loss: str | Loss = "cross_entropy",
) -> AttackResult:
    r"""One step of length :math:`\varepsilon` along the sign of the gradient; in l2 along itself.

    Parameters
    ----------
    classifier : Classifier
    images : array_like of shape (n, pixels)
    labels : array_like of int, shape (n,)
    epsilon : float
    norm : {"linf", "l2"}, default "linf"
    loss : {"cross_entropy", "dlr"} or Loss, default "cross_entropy"

    Returns
    -------
    AttackResult

    References
    ----------
    Goodfellow, Shlens and Szegedy (2015), the fast gradient sign method.
    """
    return pgd(
        classifier,
        images,
        labels,
        epsilon,
        norm=norm,
        loss=loss,
        steps=1,
        step_size=epsilon,
        start="image",
    )


def pgd(
    classifier: Classifier,
    images: ArrayLike,
    labels: ArrayLike,
    epsilon: float,
    *,
    norm: str = "linf",
    loss: str | Loss = "cross_entropy",
    steps: int = 100,
    step_size: float | None = None,
    start: str = "random",
    rng: int | np.random.Generator | None = None,
) -> AttackResult:
    r"""Projected ascent, :math:`x_{k+1} = \Pi(x_k + \eta\operatorname{sign}\nabla f(x_k))`.

    In the Euclidean norm the gradient is scaled to length 1 instead.

    Parameters
    ----------
    classifier : Classifier
    images : array_like of shape (n, pixels)
    labels : array_like of int, shape (n,)
    epsilon : float
    norm : {"linf", "l2"}, default "linf"
    loss : {"cross_entropy", "dlr"} or Loss, default "cross_entropy"
    steps : int, default 100
    step_size : float, optional
        :math:`\eta`, by default 2.5 epsilon / steps.
    start : {"random", "image"}, default "random"
    rng : None, int or numpy.random.Generator
        Seed of random starts.  That of an image does not depend on how many follow it.

    Returns
    -------
    AttackResult

    References
    ----------
    Madry et al. (2018).
    """
    attacked, nearby, first = _prepare(
        classifier, images, labels, epsilon, norm, loss, steps, start, rng
    )
    if step_size is None:
        step_size = 2.5 * nearby.epsilon / max(steps, 1)
    length = _validate.real("step_size", step_size, at_least=0)

    def move(
        k: int, x: FloatArray, before: FloatArray, gradients: FloatArray, size: FloatArray
    ) -> FloatArray:
        return nearby.project(x + size * nearby.steepest(gradients))

    return climb(attacked, nearby, first, move, steps=steps, sizes=length)


def apgd(
    classifier: Classifier,
    images: ArrayLike,
    labels: ArrayLike,
    epsilon: float,
    *,
    norm: str = "linf",
    loss: str | Loss = "cross_entropy",
    steps: int = 100,
    weight: float = 0.75,
    decrease: float = 0.75,
    start: str = "random",
    rng: int | np.random.Generator | None = None,
) -> AttackResult:
    r"""Auto-PGD: projected ascent with momentum, which finds its step sizes by itself.

    With z the result of a projected step of size :math:`\eta` along the sign of the gradient (in
    l2 along the gradient scaled to length 1),

    .. math::

        x_{k+1} = \Pi\bigl(x_k + a(z - x_k) + (1 - a)(x_k - x_{k-1})\bigr),

    where a is 1 in the first step.  At first :math:`\eta = 2\varepsilon`.  At every checkpoint
    where one of the conditions `rises_too_rarely` and `stands_still` holds, :math:`\eta` is halved
    and the climb goes on from the best point so far.

    Parameters
    ----------
    classifier : Classifier
    images : array_like of shape (n, pixels)
    labels : array_like of int, shape (n,)
    epsilon : float
    norm : {"linf", "l2"}, default "linf"
    loss : {"cross_entropy", "dlr"} or Loss, default "cross_entropy"
    steps : int, default 100
    weight : float, default 0.75
        a, above 0 and at most 1.
    decrease : float, default 0.75
        The share :math:`\rho` of steps that should raise the loss.
    start : {"random", "image"}, default "random"
    rng : None, int or numpy.random.Generator
        Seed of random starts.  That of an image does not depend on how many follow it.

    Returns
    -------
    AttackResult

    Notes
    -----
    The authors' program differs from their paper, which is followed here, in small things: it
    halves also where just the share of steps raised the loss, and never lets the second condition
    hold at the first checkpoint.

    References
    ----------
    Croce and Hein (2020).
    """
    attacked, nearby, first = _prepare(
        classifier, images, labels, epsilon, norm, loss, steps, start, rng
    )
    a = _validate.real("weight", weight, above=0, at_most=1)
    share = _validate.real("decrease", decrease, at_least=0, at_most=1)

    def move(
        k: int, x: FloatArray, before: FloatArray, gradients: FloatArray, size: FloatArray
    ) -> FloatArray:
        ahead = nearby.project(x + size * nearby.steepest(gradients))
        if k == 0:
            return ahead
        return nearby.project(x + a * (ahead - x) + (1 - a) * (x - before))

    return climb(
        attacked, nearby, first, move, steps=steps, sizes=2 * nearby.epsilon, decrease=share
    )


def frank_wolfe_attack(
    classifier: Classifier,
    images: ArrayLike,
    labels: ArrayLike,
    epsilon: float,
    *,
    norm: str = "linf",
    loss: str | Loss = "cross_entropy",
    steps: int = 100,
    step_size: float | Schedule | None = None,
    start: str = "image",
    rng: int | np.random.Generator | None = None,
) -> AttackResult:
    r"""Frank–Wolfe ascent, :math:`x_{k+1} = x_k + \gamma_k(v_k - x_k)`.

    Here :math:`v_k` maximises :math:`\langle\nabla f(x_k), v\rangle` over the set.

    Parameters
    ----------
    classifier : Classifier
    images : array_like of shape (n, pixels)
    labels : array_like of int, shape (n,)
    epsilon : float
    norm : {"linf", "l2"}, default "linf"
    loss : {"cross_entropy", "dlr"} or Loss, default "cross_entropy"
    steps : int, default 100
    step_size : float or callable, optional
        :math:`\gamma_k`, above 0 and at most 1; by default :math:`2/(k+2)`.
    start : {"image", "random"}, default "image"
    rng : None, int or numpy.random.Generator
        Seed of random starts.  That of an image does not depend on how many follow it.

    Returns
    -------
    AttackResult
    """
    attacked, nearby, first = _prepare(
        classifier, images, labels, epsilon, norm, loss, steps, start, rng
    )
    schedule = frank_wolfe_steps() if step_size is None else step_size
    sizes = evaluate(schedule, 0, max(steps, 1))
    if sizes.max() > 1:
        raise ValueError(f"step_size: wanted at most 1, got {sizes.max():g}")

    def move(
        k: int, x: FloatArray, before: FloatArray, gradients: FloatArray, size: FloatArray
    ) -> FloatArray:
        return nearby.settle(x + size * (nearby.linear_maximizer(gradients) - x))

    return climb(attacked, nearby, first, move, steps=steps, sizes=lambda k: float(sizes[k]))


def auto_fw(
    classifier: Classifier,
    images: ArrayLike,
    labels: ArrayLike,
    epsilon: float,
    *,
    norm: str = "linf",
    loss: str | Loss = "cross_entropy",
    steps: int = 100,
    step_size: float = 1.0,
    momentum: float = 0.0,
    decrease: float = 0.75,
    start: str = "image",
    rng: int | np.random.Generator | None = None,
) -> AttackResult:
    r"""Auto-FW: Frank–Wolfe ascent that halves its step size at the checkpoints of `apgd`.

    With :math:`m_k = \beta m_{k-1} + (1 - \beta)\nabla f(x_k)` and :math:`v_k` the maximiser of
    :math:`\langle m_k, v\rangle` over the set,

    .. math:: x_{k+1} = x_k + \gamma(v_k - x_k),

    a mean of two points of the set, so that nothing need be projected.  At every checkpoint where
    one of the conditions `rises_too_rarely` and `stands_still` holds, :math:`\gamma` is halved and
    the climb goes on from the best point so far.

    Parameters
    ----------
    classifier : Classifier
    images : array_like of shape (n, pixels)
    labels : array_like of int, shape (n,)
    epsilon : float
    norm : {"linf", "l2"}, default "linf"
    loss : {"cross_entropy", "dlr"} or Loss, default "cross_entropy"
    steps : int, default 100
    step_size : float, default 1
        The first :math:`\gamma`, above 0 and at most 1.
    momentum : float, default 0
        :math:`\beta`, at least 0 and below 1.  It need not be corrected for the start
        :math:`m_{-1} = 0`, because the maximiser does not depend on the length of :math:`m_k`.
    decrease : float, default 0.75
        The share :math:`\rho` of steps that should raise the loss.
    start : {"image", "random"}, default "image"
    rng : None, int or numpy.random.Generator
        Seed of random starts.  That of an image does not depend on how many follow it.

    Returns
    -------
    AttackResult

    Notes
    -----
    The source leaves open when to halve, what to do with the step size otherwise, and what to
    return.  The conditions of `apgd` are taken over, the step size is kept, and the best point is
    returned.
    """
    attacked, nearby, first = _prepare(
        classifier, images, labels, epsilon, norm, loss, steps, start, rng
    )
    gamma = _validate.real("step_size", step_size, above=0, at_most=1)
    beta = _validate.real("momentum", momentum, at_least=0)
    if beta >= 1:
        raise ValueError(f"momentum: wanted a number below 1, got {beta:g}")
    share = _validate.real("decrease", decrease, at_least=0, at_most=1)
    mean = np.zeros_like(first)

    def move(
        k: int, x: FloatArray, before: FloatArray, gradients: FloatArray, size: FloatArray
    ) -> FloatArray:
        nonlocal mean
        mean = beta * mean + (1 - beta) * gradients
        return nearby.settle(x + size * (nearby.linear_maximizer(mean) - x))

    return climb(attacked, nearby, first, move, steps=steps, sizes=gamma, decrease=share)
