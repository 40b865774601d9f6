"""Correct answers to problem set 5 in other styles, each for a whole cell."""


# %% ps5-task1
def best_vertex(gradient, weights, radius):
    """Compare all 2p vertices."""
    vertices = np.diag(radius / weights)
    vertices = np.vstack([vertices, -vertices])
    values = [sum(g * v for g, v in zip(gradient, vertex)) for vertex in vertices]
    return list(vertices[values.index(min(values))])


# %% ps5-task2
def certified_run(problem, constraint, start, steps):
    """Weigh all answers at once: x_t is a combination of the start and of the answers."""
    points = np.empty((steps + 1, len(start)))
    points[0] = start
    answers = np.empty((steps, len(start)))
    for t in range(steps):
        answers[t] = constraint.linear_minimizer(problem.gradient(points[t]))
        # Products of the t/(t+2) leave answer s with the weight 2(s+1)/((t+1)(t+2)).
        weights = 2.0 * np.arange(1, t + 2) / ((t + 1) * (t + 2))
        points[t + 1] = weights @ answers[: t + 1]
    slopes = problem.gradient(points)
    gaps = (slopes * (points - constraint.linear_minimizer(slopes))).sum(axis=1)
    return points, gaps


def bracket(problem, points, gaps):
    lower, upper = -float("inf"), float("inf")
    for x, gap in zip(points, gaps):
        value = float(problem.value(x))
        lower, upper = max(lower, value - gap), min(upper, value)
    return [lower, upper]


# %% ps5-task3
def rate_constant(ell):
    """Ask how the recursion ends: (t + ell) h_t rises to its limit."""
    from fractions import Fraction

    ell = Fraction(ell)
    # A stationary u = (t + ell) h_t to first order in 1/t: u (ell - 1) = ell^2 / 2.
    return float(ell * ell / 2 / (ell - 1))


def steps_needed():
    t = 1
    while rate_constant(ELL) * SMOOTHNESS * DIAMETER**2 > TARGET * (t + ELL):
        t += 1
    return t


# %% ps5-task4
def growing_gap():
    """Another vertex, a hessian of full rank, lists instead of arrays."""
    near = 1 / (4 * GROWTH)
    x = SIDE * np.array([near, 0.0, 1 - near])
    hessian = 3 * np.diag([1e-4, 1e-4, 1.0])
    gradient = 2 * near * SIDE * np.array([1.0, 1e-6, 0.0])
    linear = hessian @ x - gradient
    return {"point": list(x), "linear": linear.tolist(), "hessian": hessian.tolist()}


# %% ps5-task5
def plan(smoothness, diameter, noise, excess, budget):
    """The formulas for large budgets, and the nearest whole numbers."""
    L, D = smoothness, diameter

    def with_batch(batch):
        T = budget // batch
        step = min(1.0, (2 * excess / (L * T)) ** 0.5 / D)
        return excess / (step * T) + D * noise / batch**0.5 + L * D**2 * step / 2, batch, step

    free = noise * (budget / (2 * L * excess)) ** 0.5
    # Where the step is cut off at 1 the sum excess b / S + D sigma b^(-1/2) decides.
    cut = (D * noise * budget / (2 * excess)) ** (2 / 3)
    inside = [min(budget, max(1, round(b))) for b in (free, cut)]
    bound, batch, step = min(with_batch(b) for b in inside)
    return [batch, step, bound]


# %% ps5-task6
def table_run(problem, constraint, start, batches):
    """Keep the mean up to date by the changes instead of taking it anew."""
    n = problem.n_samples
    entries, mean = {}, np.zeros(len(start))
    path, said = [np.asarray(start, dtype=float)], []
    for t in range(len(batches)):
        now = problem.component_gradients(path[t])
        for i in batches[t]:
            mean = mean + (now[i] - entries.get(int(i), 0.0)) / n
            entries[int(i)] = now[i]
        said.append(mean)
        weight = 2 / (t + 2)
        path.append((1 - weight) * path[t] + weight * constraint.linear_minimizer(mean))
    return np.stack(path), np.stack(said)


# %% ps5-task7
def corrected_estimates(problem, path, batches, weights):
    """As a running mean plus a SARAH step: rho g(x_t) + (1 - rho) (d + change)."""
    d, said = None, []
    for t, (x, batch, rho) in enumerate(zip(path, batches, weights)):
        here = sum(problem.component_gradients(x)[i] for i in batch) / len(batch)
        if t == 0:
            d = here
        else:
            before = sum(problem.component_gradients(path[t - 1])[i] for i in batch) / len(batch)
            d = rho * here + (1 - rho) * (d + (here - before))
        said.append(d)
    return said


def error_floor(weight, noise, move):
    return 2 * (
        noise**2 * weight / (2 - weight) + move**2 * ((1 - weight) ** 2 / weight / (2 - weight))
    )


def best_weight(noise, move):
    """Solve s^2 r^2 + M^2 r - M^2 = 0 by bisection."""
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        if noise**2 * middle**2 + move**2 * middle > move**2:
            high = middle
        else:
            low = middle
    return high


def exponents():
    return [1, 0.6666666667, 0.3333333333]
