"""Correct solutions of problem set 3 in another style; every one must get full marks."""

# %% ps3-task1 listing the batches
from itertools import combinations


def batch_covariance(gradients, batch_size, replacement):
    n, p = gradients.shape
    total = np.zeros((p, p))
    mean = gradients.mean(axis=0)
    if replacement:
        for row in gradients:
            total += np.outer(row - mean, row - mean)
        return total / n / batch_size
    batches = list(combinations(range(n), batch_size))
    for batch in batches:
        off = gradients[list(batch)].mean(axis=0) - mean
        total += np.outer(off, off)
    return total / len(batches)


def smallest_batch():
    size = 1
    while (1 / size) * (SAMPLES - size) / (SAMPLES - 1) > SHARE:
        size += 1
    return size


# %% ps3-task2 keys that are sorted, and a reshaped array
def orders(n, epochs, way, seed):
    rng = np.random.default_rng([seed, 17])
    rows, row = [], list(range(n))
    for epoch in range(epochs):
        if way == "reshuffled" or (way == "shuffled_once" and epoch == 0):
            row = [int(i) for i in np.argsort(rng.random(n))]
        rows.append(list(row))
    return rows


def batch_at(orders, batch_size, k):
    return orders.reshape(-1, batch_size)[k]


# %% ps3-task3 rates first, and a maximum over curvatures
def step_constants(mu, L, alpha):
    rate = max(abs(1 - alpha * mu), abs(1 - alpha * L))
    return [rate * rate, 0.5 * L * alpha * alpha]


def noise_floor(mu, L, alpha, epsilon):
    return max(
        0.5 * s * alpha**2 * epsilon / (1 - (1 - alpha * s) ** 2) for s in np.linspace(mu, L, 11)
    )


# %% ps3-task4 straight lines on a logarithmic scale, from a first to a last batch
def batch_plan(problem, x0, step_size, tolerance):
    n, best = problem.n_samples, None
    for steps in range(8, 32):
        for first in (1, 3, 6):
            for last in (0.5 * n, 0.8 * n, n):
                plan = [int(size) for size in np.geomspace(first, last, steps).round()]
                if best is not None and sum(plan) >= sum(best):
                    continue
                sizes = [*plan, 1]
                run = expected_sgd(
                    problem,
                    x0,
                    steps=steps,
                    step_size=step_size,
                    batch_size=sizes.__getitem__,
                    sampling="without_replacement",
                )
                if run.gap[-1] <= tolerance:
                    best = plan
    return best


# %% ps3-task5 geometric sums in closed form
def shuffled_once_floor(targets, step_size):
    n, mean = len(targets), sum(targets) / len(targets)
    variance = sum((b - mean) ** 2 for b in targets) / n
    r = 1 - step_size
    squares = step_size**2 * (1 - r ** (2 * n)) / (1 - r**2)
    products = (1 - r**n) ** 2 - squares
    return (variance * squares - variance / (n - 1) * products) / (1 - r**n) ** 2


def price_of_one_order(n, step_size):
    r = 1 - step_size
    return (1 - r ** (2 * n)) / (1 - r**n) ** 2


# %% ps3-task6 linear equations and exchanges
def cycle(targets, order, step_size):
    n = len(order)
    matrix, right = np.eye(n), np.zeros(n)
    for j in range(n):
        matrix[(j + 1) % n, j] -= 1 - step_size
        right[(j + 1) % n] = step_size * targets[order[j]]
    return np.linalg.solve(matrix, right)


def worst_order(targets, step_size):
    middle, best = np.mean(targets), None
    for sign in (1, -1):
        order = np.argsort(sign * targets)
        far = abs(cycle(targets, order, step_size)[0] - middle)
        if best is None or far > best[0]:
            best = far, order
    return best[1]


def calm_order(targets, step_size):
    n = len(targets)
    columns = [cycle(np.eye(n)[i], np.arange(n), step_size) for i in range(n)]
    response = np.array(columns).T
    rng = np.random.default_rng(1)
    order, centred = np.arange(n), targets - np.mean(targets)
    x = response @ centred
    for _ in range(8_000):
        i, j = rng.integers(n, size=2)
        change = centred[order[j]] - centred[order[i]]
        moved = x + change * (response[:, i] - response[:, j])
        if moved @ moved < x @ x:
            x = moved
            order[i], order[j] = order[j], order[i]
    return list(order)


# %% ps3-task7 other instances, one of them found by search
def flat_is_left():
    curvatures = np.array([1.0] * 9 + [31.0])
    curvatures *= FLAT / curvatures.mean()
    sharp = np.linspace(0.9, 1.1, 10) * 2.5 * FLAT
    return {"flat": curvatures, "sharp": sharp, "step": 0.4 / FLAT}


def growing_and_staying():
    for step in np.linspace(0.05, 2, 200) / FLAT:
        for largest in np.linspace(1, 9.9, 300) * FLAT:
            small = (10 * FLAT - largest) / 9
            curvatures = np.array([small] * 9 + [largest])
            factors = np.abs(1 - step * curvatures)
            spread = factors.min() > 0.02 and np.mean(factors**2) > 1.2
            if spread and np.log(factors).mean() < -0.15:
                return {"flat": curvatures.tolist(), "step": float(step)}
