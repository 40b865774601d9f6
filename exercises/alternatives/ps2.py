"""Other correct solutions of problem set 2: another style, another derivation."""


# %% ps2-task1
def constants(features):
    singular = np.linalg.svd(features, compute_uv=False)
    singular = singular[singular > 1e-8 * singular[0]]
    largest = max(float(row @ row) for row in features)
    return [singular[0] ** 2 / len(features), largest, singular[-1] ** 2 / len(features)]


def longest_step(features, batch_size):
    n = len(features)
    norms = [sum(entry**2 for entry in row) for row in features]
    L = np.linalg.norm(features, 2) ** 2 / n
    weight_of_full = n * (batch_size - 1) / (batch_size * (n - 1))
    return 0.5 / (weight_of_full * L + (1 - weight_of_full) * max(norms))


def class_step():
    problem = LeastSquares(FEATURES_1, np.zeros(8))
    c = (8 - BATCH_1) / (BATCH_1 * 7)
    return 0.5 / ((1 - c) * problem.smoothness + c * problem.max_smoothness)


# %% ps2-task2
def not_pl():
    # A smaller shift than pi does as well; the point half-way between the two minimisers is
    # stationary by symmetry.
    shift = math.pi - 0.2
    return np.array([shift, CENTRE_2 + shift / 2])


# %% ps2-task3
def plan(L_max, mu, noise, distance, target):
    # Backwards: the last stage ends at the target and starts three times as high, and so on.
    ends = [target]
    while 3 * ends[-1] < distance:
        ends.append(3 * ends[-1])
    stages, bound = [], distance
    for end in ends[::-1]:
        step = 0.5 / L_max
        if noise:
            step = min(step, 0.65 * end * mu / (2 * noise))
        count = 1
        floor = 2 * step * noise / mu
        count = max(1, math.ceil(math.log((end - floor) / bound) / math.log(1 - step * mu)))
        stages.append([float(step), int(count)])
        bound = (1 - step * mu) ** count * bound + floor
    return stages


# %% ps2-task4
def worst_error(L, R, step, k):
    # The stationary points of h (1 - step h)^(2k) are 1/step and 1/(step (2k + 1)).
    candidates = [L] + [h for h in (1 / step, 1 / (step * (2 * k + 1))) if h < L]
    return max(h / 2 * (R * (1 - step * h) ** k) ** 2 for h in candidates)


def best_step(L, k):
    # A golden section search; the worst error has one minimum.
    golden = (math.sqrt(5) - 1) / 2
    low, high = 0.5 / L, 2 / L
    for _ in range(100):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if worst_error(L, 1.0, left, k) < worst_error(L, 1.0, right, k):
            high = right
        else:
            low = left
    return (low + high) / 2


# %% ps2-task5
def projected_average(features, targets, radius, start, step_sizes, indices):
    points = [np.array(start)]
    for t in range(len(indices) - 1):
        a, b = features[indices[t]], targets[indices[t]]
        residual = float(np.dot(a, points[-1])) - b
        slope = a if residual > 0 else -a if residual < 0 else 0 * a
        candidate = points[-1] - step_sizes[t] * slope
        length = math.sqrt(sum(candidate**2))
        points.append(candidate if length <= radius else candidate * (radius / length))
    return np.average(points, axis=0, weights=step_sizes)


# %% ps2-task6
def best_pair(mu, rho):
    # The roots t1, t2 have the product beta, and (1 - t1)(1 - t2) = alpha mu; let them be equal.
    t1 = t2 = rho
    return [(1 - t1) * (1 - t2) / mu, t1 * t2]


def floor_ratio(mu, rho, curvatures):
    from sgdnotes.theorems.momentum import stationary_variance
    from sgdnotes.updates import GradientStep, HeavyBall

    ones = np.ones(len(curvatures))
    alpha, beta = best_pair(mu, rho)
    plain = stationary_variance(GradientStep(), (1 - rho) / mu, curvatures, ones)
    heavy = stationary_variance(HeavyBall(beta), alpha, curvatures, ones)
    return float(curvatures @ plain / (curvatures @ heavy))


# %% ps2-task7
def tail_error(curvature, noise, step, window):
    # The double sum in closed form.
    a = step * curvature
    q = 1 - a
    total = window * (1 + q) / a - 2 * q * (1 - q**window) / a**2
    return noise**2 * step / (2 * (2 - a)) * total / window**2


def shortest_window(curvature, noise, step, factor):
    window = 1
    while tail_error(curvature, noise, step, window) * factor > tail_error(
        curvature, noise, step, 1
    ):
        window += 1
    return float(window)
