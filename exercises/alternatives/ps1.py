"""Other correct solutions of problem set 1: another style, another derivation."""


# %% ps1-task1
def batch_gradient(features, targets, penalty, x, indices):
    total = [0.0] * len(x)
    for i in indices:
        residual = sum(a * b for a, b in zip(features[i], x)) - targets[i]
        for j, entry in enumerate(features[i]):
            total[j] += (residual * entry + penalty * x[j]) / len(indices)
    return total


# %% ps1-task2
def limit(features, targets, scales, start):
    # Any minimiser, moved along the kernel until it is nearest to the start in the norm with
    # the weights 1/d.
    _, singular, right = np.linalg.svd(features)
    kernel = right[(singular > 1e-9 * singular[0]).sum() :].T
    some = np.linalg.lstsq(features, targets, rcond=None)[0]
    if kernel.shape[1] == 0:
        return some
    weight = np.diag(1 / scales)
    along = np.linalg.solve(kernel.T @ weight @ kernel, kernel.T @ weight @ (start - some))
    return some + kernel @ along


def resting_point():
    x = START_2.copy()
    for _ in range(100_000):
        x -= 0.005 * SCALES_2 * (FEATURES_2.T @ (FEATURES_2 @ x - TARGETS_2))
    return tuple(x)


# %% ps1-task3
def stalling_steps(curvature, start, limit, count):
    x, steps = start, []
    for _ in range(count):
        ahead = x - limit
        steps.append(0.05 * ahead / x / curvature if ahead < 1e-3 else 0.7 * ahead / x / curvature)
        x = x * (1 - curvature * steps[-1])
    return steps


def total_length(curvature, start, limit):
    # The supremum is the time that gradient flow takes; compute it as an integral of dx / |f'|.
    x = np.geomspace(limit, start, 20_001)
    middle = (x[1:] + x[:-1]) / 2
    return [(start - limit) / (curvature * start), float((np.diff(x) / middle).sum() / curvature)]


# %% ps1-task4
def searched_descent(problem, start, steps, first_trial):
    accepted, trials = np.zeros(steps), np.zeros(steps, dtype=int)
    x = start
    for k in range(steps):
        first = first_trial if k == 0 else 2 * accepted[k - 1]
        gradient = problem.gradient(x)
        for m in range(200):
            alpha = first * 0.5**m
            decrease = problem.value(x) - problem.value(x - alpha * gradient)
            if decrease >= alpha * np.linalg.norm(gradient) ** 2 / 2:
                break
        accepted[k], trials[k] = alpha, m + 1
        x = x - alpha * gradient
    return list(accepted), list(trials)


def most_trials(steps, first_trial, smoothness):
    # The largest integer below the bound.
    return 2 * steps + math.floor(np.log2(smoothness * first_trial))


# %% ps1-task5
def two_steps(mu, L):
    # The product q = a1 a2 and the sum s = a1 + a2 from three equal heights of the parabola
    # 1 - s x + q x² at mu, (L + mu)/2 and L, with signs +, -, +.
    system = [[-mu, mu**2, -1], [-(L + mu) / 2, (L + mu) ** 2 / 4, 1], [-L, L**2, -1]]
    total, product, _ = np.linalg.solve(system, [-1, -1, -1])
    root = math.sqrt(total**2 - 4 * product)
    return [(total - root) / 2, (total + root) / 2]


def cycle(mu, L, length):
    zeros = np.polynomial.chebyshev.chebroots([0] * length + [1])
    return list(2 / (L + mu + (L - mu) * zeros))


def worst_factor(mu, L, length):
    # The recursion of the Chebyshev polynomials at the image of 0.
    at = (L + mu) / (L - mu)
    before, now = 1.0, at
    for _ in range(length - 1):
        before, now = now, 2 * at * now - before
    return 1 / now


# %% ps1-task6
def expected_descent_mostly_up():
    # The minimiser is 10 below the point; most targets lie just above the point.
    centre = POINT_6 - 10
    targets = [POINT_6 + 1.0] * (N_6 - 1)
    targets.insert(0, N_6 * centre - sum(targets))
    distance = 10.0
    variance = sum((b - centre) ** 2 for b in targets) / N_6
    return tuple(targets), distance**2 / (distance**2 + variance)


def expected_ascent_mostly_down():
    return [POINT_6 - 1.0] * (N_6 - 1) + [POINT_6 + (N_6 - 1) / 2], 0.5


# %% ps1-task7
def stratified_variance(vectors, groups):
    # E|g|² - |E g|², with E|g|² from all pairs of groups.
    n = len(groups)
    means, squares, shares = [], [], []
    for group in set(groups.tolist()):
        members = [v for v, label in zip(vectors, groups) if label == group]
        means.append(sum(members) / len(members))
        squares.append(sum(v @ v for v in members) / len(members))
        shares.append(len(members) / n)
    second = 0.0
    for i, share in enumerate(shares):
        for j, other in enumerate(shares):
            second += share * other * (squares[i] if i == j else means[i] @ means[j])
    overall = sum(share * mean for share, mean in zip(shares, means))
    return second - overall @ overall


def noisy_groups():
    values = [5.0] * N_7
    values[0], values[1] = 3.0, 7.0
    groups = [0] * N_7
    for group in range(1, GROUPS_7):
        groups[-group] = group
    return values, groups
