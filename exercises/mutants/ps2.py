"""Wrong solutions of problem set 2, each a misconception with the test that must reject it."""


# %% ps2-task1 takes the smallest eigenvalue for mu, which is 0 when columns are dependent
# test: ps2-task1-test
# message: whatever the rank
def constants(features):
    curvatures = np.linalg.eigvalsh(features.T @ features / len(features))
    smallest = max(curvatures[0], 0.0)
    return curvatures[-1], (features**2).sum(axis=1).max(), min(smallest, curvatures[-1])


def longest_step(features, batch_size):
    L, L_max, _ = constants(features)
    n = len(features)
    c = (n - batch_size) / (batch_size * (n - 1))
    return 1 / (2 * ((1 - c) * L + c * L_max))


def class_step():
    return longest_step(FEATURES_1, BATCH_1)


# %% ps2-task1 forgets that f is a mean: the eigenvalues of the sum
# test: ps2-task1-test
# message: L: the gradient of f, a mean over n samples
def constants(features):
    singular = np.linalg.svd(features, compute_uv=False)
    singular = singular[singular > 1e-8 * singular[0]]
    return singular[0] ** 2, (features**2).sum(axis=1).max(), singular[-1] ** 2


def longest_step(features, batch_size):
    L, L_max, _ = constants(features)
    n = len(features)
    c = (n - batch_size) / (batch_size * (n - 1))
    return 1 / (2 * ((1 - c) * L + c * L_max))


def class_step():
    return longest_step(FEATURES_1, BATCH_1)


# %% ps2-task1 norms of rows without the square
# test: ps2-task1-test
# message: for the rows 2 and 0, f_1 has the curvature 4
def constants(features):
    curvatures = np.linalg.eigvalsh(features.T @ features / len(features))
    positive = curvatures[curvatures > 1e-10 * curvatures[-1]]
    return positive[-1], np.sqrt((features**2).sum(axis=1)).max(), positive[0]


def longest_step(features, batch_size):
    L, L_max, _ = constants(features)
    n = len(features)
    c = (n - batch_size) / (batch_size * (n - 1))
    return 1 / (2 * ((1 - c) * L + c * L_max))


def class_step():
    return longest_step(FEATURES_1, BATCH_1)


# %% ps2-task1 takes the mean of the L_i for the largest
# test: ps2-task1-test
# message: for the rows 2 and 0, f_1 has the curvature 4
def constants(features):
    curvatures = np.linalg.eigvalsh(features.T @ features / len(features))
    positive = curvatures[curvatures > 1e-10 * curvatures[-1]]
    return positive[-1], (features**2).sum(axis=1).mean(), positive[0]


def longest_step(features, batch_size):
    L, L_max, _ = constants(features)
    n = len(features)
    c = (n - batch_size) / (batch_size * (n - 1))
    return 1 / (2 * ((1 - c) * L + c * L_max))


def class_step():
    return longest_step(FEATURES_1, BATCH_1)


# %% ps2-task1 counts the factor one half of the PL inequality twice
# test: ps2-task1-test
# message: mu is valid, but a larger constant is valid, too
def constants(features):
    curvatures = np.linalg.eigvalsh(features.T @ features / len(features))
    positive = curvatures[curvatures > 1e-10 * curvatures[-1]]
    return positive[-1], (features**2).sum(axis=1).max(), positive[0] / 2


def longest_step(features, batch_size):
    L, L_max, _ = constants(features)
    n = len(features)
    c = (n - batch_size) / (batch_size * (n - 1))
    return 1 / (2 * ((1 - c) * L + c * L_max))


def class_step():
    return longest_step(FEATURES_1, BATCH_1)


# %% ps2-task1 L where the largest L_i belongs
# test: ps2-task1-test-step
# message: it is the least smooth component that limits the step
def constants(features):
    curvatures = np.linalg.eigvalsh(features.T @ features / len(features))
    positive = curvatures[curvatures > 1e-10 * curvatures[-1]]
    return positive[-1], (features**2).sum(axis=1).max(), positive[0]


def longest_step(features, batch_size):
    return 1 / (2 * constants(features)[0])


def class_step():
    return longest_step(FEATURES_1, BATCH_1)


# %% ps2-task1 the factor of sampling with replacement
# test: ps2-task1-test-step
# message: then only the smoothness of f counts
def constants(features):
    curvatures = np.linalg.eigvalsh(features.T @ features / len(features))
    positive = curvatures[curvatures > 1e-10 * curvatures[-1]]
    return positive[-1], (features**2).sum(axis=1).max(), positive[0]


def longest_step(features, batch_size):
    L, L_max, _ = constants(features)
    return 1 / (2 * ((1 - 1 / batch_size) * L + L_max / batch_size))


def class_step():
    return longest_step(FEATURES_1, BATCH_1)


# %% ps2-task1 one over the constant instead of one over twice the constant
# test: ps2-task1-test-step
# message: with the factor of the theorem
def constants(features):
    curvatures = np.linalg.eigvalsh(features.T @ features / len(features))
    positive = curvatures[curvatures > 1e-10 * curvatures[-1]]
    return positive[-1], (features**2).sum(axis=1).max(), positive[0]


def longest_step(features, batch_size):
    L, L_max, _ = constants(features)
    n = len(features)
    c = (n - batch_size) / (batch_size * (n - 1))
    return 1 / ((1 - c) * L + c * L_max)


def class_step():
    return longest_step(FEATURES_1, BATCH_1)


# %% ps2-task1 interpolates in the batch size instead of its inverse
# test: ps2-task1-test-step
# message: between the ends the step is not
def constants(features):
    curvatures = np.linalg.eigvalsh(features.T @ features / len(features))
    positive = curvatures[curvatures > 1e-10 * curvatures[-1]]
    return positive[-1], (features**2).sum(axis=1).max(), positive[0]


def longest_step(features, batch_size):
    L, L_max, _ = constants(features)
    c = (len(features) - batch_size) / (len(features) - 1)
    return 1 / (2 * ((1 - c) * L + c * L_max))


def class_step():
    return longest_step(FEATURES_1, BATCH_1)


# %% ps2-task1 uses the batch size of its own notes
# test: ps2-task1-test-class
# message: class_step: this is not the longest step
def constants(features):
    curvatures = np.linalg.eigvalsh(features.T @ features / len(features))
    positive = curvatures[curvatures > 1e-10 * curvatures[-1]]
    return positive[-1], (features**2).sum(axis=1).max(), positive[0]


def longest_step(features, batch_size):
    L, L_max, _ = constants(features)
    n = len(features)
    c = (n - batch_size) / (batch_size * (n - 1))
    return 1 / (2 * ((1 - c) * L + c * L_max))


def class_step():
    return longest_step(FEATURES_1, 2)


# %% ps2-task2 a point where the slope is small but not zero
# test: ps2-task2-test
# message: a small slope high up does not refute PL
def not_pl():
    return math.pi, CENTRE_2 + math.pi / 2 + 0.01


# %% ps2-task2 a shift by a whole period
# test: ps2-task2-test
# message: it is a minimiser of f, where PL asks for nothing
def not_pl():
    return 2 * math.pi, CENTRE_2 + math.pi


# %% ps2-task2 both components alike
# test: ps2-task2-test
# message: it is a minimiser of f, where PL asks for nothing
def not_pl():
    return 0.0, CENTRE_2


# %% ps2-task2 the minimiser of a component
# test: ps2-task2-test
# message: f'(x) is not 0 at the point
def not_pl():
    return math.pi / 2, CENTRE_2


# %% ps2-task2 a shift that only just makes a second minimum
# test: ps2-task2-test
# message: but f - f* is below 1/2 there
def not_pl():
    shift = math.acos(-1.2 / WAVE_2)
    return shift, CENTRE_2 + shift / 2


# %% ps2-task3 one stage with one constant step
# test: ps2-task3-test-short
# message: the plan is longer than what is asked for
def plan(L_max, mu, noise, distance, target):
    step = 1 / (2 * L_max)
    if noise > 0:
        step = min(step, mu * target / (4 * noise))
    return [(step, math.ceil(math.log(2 * distance / target) / (step * mu)))]


# %% ps2-task3 halves until it is below the target, and overshoots
# test: ps2-task3-test-short
# message: the plan is longer than what is asked for
def plan(L_max, mu, noise, distance, target):
    stages, bound = [], distance
    while bound > target:
        step = 1 / (2 * L_max)
        if noise > 0:
            step = min(step, mu * bound / (16 * noise))
        stages.append((step, math.ceil(2 * math.log(2) / (step * mu))))
        bound = bound / 2
    return stages


# %% ps2-task3 leaves next to nothing to the noise
# test: ps2-task3-test-short
# message: the plan is longer than what is asked for
def plan(L_max, mu, noise, distance, target):
    stages, bound = [], distance
    for j in reversed(range(math.ceil(math.log2(distance / target)))):
        goal, step = target * 2**j, 1 / (2 * L_max)
        if noise > 0:
            step = min(step, mu * goal / (40 * noise))
        stages.append((step, math.ceil(math.log(2 * bound / goal) / (step * mu))))
        bound = goal
    return stages


# %% ps2-task3 forgets that the theorem limits the step
# test: ps2-task3-test-reach
# message: a step is longer than the theorem allows
def plan(L_max, mu, noise, distance, target):
    stages, bound = [], distance
    for j in reversed(range(math.ceil(math.log2(distance / target)))):
        goal = target * 2**j
        step = min(mu * goal / (4 * noise), 0.9 / mu) if noise > 0 else 0.9 / mu
        stages.append((step, math.ceil(math.log(2 * bound / goal) / (step * mu))))
        bound = goal
    return stages


# %% ps2-task3 forgets the factor 2 of the noise term
# test: ps2-task3-test-reach
# message: ends above the target
def plan(L_max, mu, noise, distance, target):
    stages, bound = [], distance
    for j in reversed(range(math.ceil(math.log2(distance / target)))):
        goal, step = target * 2**j, 1 / (2 * L_max)
        if noise > 0:
            step = min(step, mu * goal / (2 * noise))
        stages.append((step, math.ceil(math.log(2 * bound / goal) / (step * mu))))
        bound = goal
    return stages


# %% ps2-task3 halves the step but not the speed: stages of equal length
# test: ps2-task3-test-reach
# message: ends above the target
def plan(L_max, mu, noise, distance, target):
    stages, step = [], 1 / (2 * L_max)
    length = math.ceil(math.log(4) / (step * mu))
    for _ in range(math.ceil(math.log2(distance / target)) + 1):
        stages.append((step, length))
        step = step / 2
    return stages


# %% ps2-task3 numbers of steps that are not integers
# test: ps2-task3-test-reach
# message: a number of steps a positive integer
def plan(L_max, mu, noise, distance, target):
    stages, bound = [], distance
    for j in reversed(range(math.ceil(math.log2(distance / target)))):
        goal, step = target * 2**j, 1 / (2 * L_max)
        if noise > 0:
            step = min(step, mu * goal / (4 * noise))
        stages.append((step, math.log(2 * bound / goal) / (step * mu)))
        bound = goal
    return stages


# %% ps2-task4 looks at the steepest parabola only
# test: ps2-task4-test-worst
# message: for the step 1/L the adversary still finds
def worst_error(L, R, step, k):
    return L / 2 * (1 - step * L) ** (2 * k) * R**2


def best_step(L, k):
    low, high = 1 / L, 2 / L
    for _ in range(80):
        step = (low + high) / 2
        inner = 1 / (step * (2 * k + 1))
        if inner * (1 - step * inner) ** (2 * k) > L * (1 - step * L) ** (2 * k):
            low = step
        else:
            high = step
    return low


# %% ps2-task4 overlooks the steepest parabola for long steps
# test: ps2-task4-test-worst
# message: for the step 2/L some parabola
def worst_error(L, R, step, k):
    inner = min(1 / (step * (2 * k + 1)), L)
    return inner / 2 * (1 - step * inner) ** (2 * k) * R**2


def best_step(L, k):
    low, high = 1 / L, 2 / L
    for _ in range(80):
        step = (low + high) / 2
        inner = 1 / (step * (2 * k + 1))
        if inner * (1 - step * inner) ** (2 * k) > L * (1 - step * L) ** (2 * k):
            low = step
        else:
            high = step
    return low


# %% ps2-task4 lets the adversary choose a curvature beyond L
# test: ps2-task4-test-worst
# message: so short that the steepest parabola is still the worst no parabola
def worst_error(L, R, step, k):
    inner = 1 / (step * (2 * k + 1))
    at_end = L / 2 * (1 - step * L) ** (2 * k) * R**2
    return max(at_end, inner / 2 * (1 - step * inner) ** (2 * k) * R**2)


def best_step(L, k):
    low, high = 1 / L, 2 / L
    for _ in range(80):
        step = (low + high) / 2
        inner = 1 / (step * (2 * k + 1))
        if inner * (1 - step * inner) ** (2 * k) > L * (1 - step * L) ** (2 * k):
            low = step
        else:
            high = step
    return low


# %% ps2-task4 forgets to square the factor of a step
# test: ps2-task4-test-worst
# message: no parabola with curvature in [0, L] has so large an error
def worst_error(L, R, step, k):
    inner = min(1 / (step * (k + 1)), L)
    at_end = L / 2 * abs(1 - step * L) ** k * R**2
    return max(at_end, inner / 2 * (1 - step * inner) ** k * R**2)


def best_step(L, k):
    low, high = 1 / L, 2 / L
    for _ in range(80):
        step = (low + high) / 2
        inner = 1 / (step * (2 * k + 1))
        if inner * (1 - step * inner) ** (2 * k) > L * (1 - step * L) ** (2 * k):
            low = step
        else:
            high = step
    return low


# %% ps2-task4 gives the bound of the theorem, which is not attained
# test: ps2-task4-test-worst
# message: no parabola with curvature in [0, L] has so large an error
def worst_error(L, R, step, k):
    return min(R**2 / (2 * step * k), 0.9 * L * R**2 / 2)


def best_step(L, k):
    low, high = 1 / L, 2 / L
    for _ in range(80):
        step = (low + high) / 2
        inner = 1 / (step * (2 * k + 1))
        if inner * (1 - step * inner) ** (2 * k) > L * (1 - step * L) ** (2 * k):
            low = step
        else:
            high = step
    return low


# %% ps2-task4 the step of the theorem, 1/L
# test: ps2-task4-test-best
# message: a longer step has a smaller worst error
def worst_error(L, R, step, k):
    at_end = L / 2 * (1 - step * L) ** (2 * k) * R**2
    inner = 1 / (step * (2 * k + 1))
    if inner >= L:
        return at_end
    return max(at_end, inner / 2 * (1 - step * inner) ** (2 * k) * R**2)


def best_step(L, k):
    return 1 / L


# %% ps2-task4 the limit 2/L itself, where the steepest parabola never descends
# test: ps2-task4-test-best
# message: a shorter step has a smaller worst error
def worst_error(L, R, step, k):
    at_end = L / 2 * (1 - step * L) ** (2 * k) * R**2
    inner = 1 / (step * (2 * k + 1))
    if inner >= L:
        return at_end
    return max(at_end, inner / 2 * (1 - step * inner) ** (2 * k) * R**2)


def best_step(L, k):
    return 2 / L


# %% ps2-task4 the step for strongly convex functions, with a curvature for mu
# test: ps2-task4-test-best
# message: a shorter step has a smaller worst error
def worst_error(L, R, step, k):
    at_end = L / 2 * (1 - step * L) ** (2 * k) * R**2
    inner = 1 / (step * (2 * k + 1))
    if inner >= L:
        return at_end
    return max(at_end, inner / 2 * (1 - step * inner) ** (2 * k) * R**2)


def best_step(L, k):
    return 2 / (L + L / (2 * k + 1))


# %% ps2-task4 balances the two ends after one step too many
# test: ps2-task4-test-best
# message: a shorter step has a smaller worst error
def worst_error(L, R, step, k):
    at_end = L / 2 * (1 - step * L) ** (2 * k) * R**2
    inner = 1 / (step * (2 * k + 1))
    if inner >= L:
        return at_end
    return max(at_end, inner / 2 * (1 - step * inner) ** (2 * k) * R**2)


def best_step(L, k):
    low, high = 1 / L, 2 / L
    for _ in range(80):
        step = (low + high) / 2
        inner = 1 / (step * (2 * k + 1))
        if inner * (1 - step * inner) ** (2 * k) > L * (1 - step * L) ** (2 * k + 2):
            low = step
        else:
            high = step
    return low


# %% ps2-task5 averages x_1 to x_T instead of x_0 to x_{T-1}
# test: ps2-task5-test
# message: which iterates enter?
def projected_average(features, targets, radius, start, step_sizes, indices):
    x, total = np.array(start, float), np.zeros(len(start))
    for step, i in zip(step_sizes, indices):
        x = x - step * np.sign(features[i] @ x - targets[i]) * features[i]
        x = x * min(1.0, radius / max(np.linalg.norm(x), 1e-300))
        total += step * x
    return total / np.sum(step_sizes)


# %% ps2-task5 one index too many: averages x_0 to x_T
# test: ps2-task5-test
# message: which iterates enter?
def projected_average(features, targets, radius, start, step_sizes, indices):
    x, total = np.array(start, float), np.zeros(len(start))
    for step, i in zip(step_sizes, indices):
        total += step * x
        x = x - step * np.sign(features[i] @ x - targets[i]) * features[i]
        x = x * min(1.0, radius / max(np.linalg.norm(x), 1e-300))
    return (total + step_sizes[-1] * x) / (np.sum(step_sizes) + step_sizes[-1])


# %% ps2-task5 returns the last iterate that the average knows
# test: ps2-task5-test
# message: is not the mean of x_0 and x_1
def projected_average(features, targets, radius, start, step_sizes, indices):
    x = np.array(start, float)
    for step, i in zip(step_sizes, indices):
        last = x
        x = x - step * np.sign(features[i] @ x - targets[i]) * features[i]
        x = x * min(1.0, radius / max(np.linalg.norm(x), 1e-300))
    return last


# %% ps2-task5 averages without weights
# test: ps2-task5-test
# message: which weight does the theorem give
def projected_average(features, targets, radius, start, step_sizes, indices):
    x, total = np.array(start, float), np.zeros(len(start))
    for step, i in zip(step_sizes, indices):
        total += x
        x = x - step * np.sign(features[i] @ x - targets[i]) * features[i]
        x = x * min(1.0, radius / max(np.linalg.norm(x), 1e-300))
    return total / len(step_sizes)


# %% ps2-task5 takes a subgradient of length one where a residual is 0
# test: ps2-task5-test
# message: where a residual is 0
def projected_average(features, targets, radius, start, step_sizes, indices):
    x, total = np.array(start, float), np.zeros(len(start))
    for step, i in zip(step_sizes, indices):
        total += step * x
        x = x - step * (1.0 if features[i] @ x >= targets[i] else -1.0) * features[i]
        x = x * min(1.0, radius / max(np.linalg.norm(x), 1e-300))
    return total / np.sum(step_sizes)


# %% ps2-task5 projects the average, not the iterates
# test: ps2-task5-test-ball
# message: the next step must start from the projected point
def projected_average(features, targets, radius, start, step_sizes, indices):
    x, total = np.array(start, float), np.zeros(len(start))
    for step, i in zip(step_sizes, indices):
        total += step * x
        x = x - step * np.sign(features[i] @ x - targets[i]) * features[i]
    return (
        total
        / np.sum(step_sizes)
        * min(1.0, radius / max(np.linalg.norm(total / np.sum(step_sizes)), 1e-300))
    )


# %% ps2-task5 steps before projecting: the average takes the points outside
# test: ps2-task5-test-ball
# message: must be followed by a projection at once
def projected_average(features, targets, radius, start, step_sizes, indices):
    x, total = np.array(start, float), np.zeros(len(start))
    for step, i in zip(step_sizes, indices):
        total += step * x
        inside = x * min(1.0, radius / max(np.linalg.norm(x), 1e-300))
        x = inside - step * np.sign(features[i] @ inside - targets[i]) * features[i]
    return total / np.sum(step_sizes)


# %% ps2-task5 projects onto the sphere: moves points inside the ball, too
# test: ps2-task5-test-ball
# message: a point inside the ball must stay where it is
def projected_average(features, targets, radius, start, step_sizes, indices):
    x, total = np.array(start, float), np.zeros(len(start))
    for step, i in zip(step_sizes, indices):
        total += step * x
        x = x - step * np.sign(features[i] @ x - targets[i]) * features[i]
        x = x * radius / max(np.linalg.norm(x), 1e-300)
    return total / np.sum(step_sizes)


# %% ps2-task5 clips every coordinate: a box instead of a ball
# test: ps2-task5-test-ball
# message: nearest one of the Euclidean ball
def projected_average(features, targets, radius, start, step_sizes, indices):
    x, total = np.array(start, float), np.zeros(len(start))
    for step, i in zip(step_sizes, indices):
        total += step * x
        x = x - step * np.sign(features[i] @ x - targets[i]) * features[i]
        x = np.clip(x, -radius, radius)
    return total / np.sum(step_sizes)


# %% ps2-task6 momentum rho instead of its square
# test: ps2-task6-test
# message: the mean error along the eigenvector of mu shrinks more slowly
def best_pair(mu, rho):
    return (1 - rho) ** 2 / mu, rho


def floor_ratio(mu, rho, curvatures):
    alpha, beta = (1 - rho) ** 2 / mu, rho**2
    longer = (1 - rho) / mu
    plain = longer / (2 * (2 - longer * curvatures))
    heavy = alpha * (1 + beta) / (2 * (1 - beta) * (2 * (1 + beta) - alpha * curvatures))
    return plain.sum() / heavy.sum()


# %% ps2-task6 the pair that equals SGD to first order
# test: ps2-task6-test
# message: a smaller alpha/(1 - beta)
def best_pair(mu, rho):
    beta = 0.5 * rho**2
    other = beta / rho
    return (1 - rho) * (1 - other) / mu, beta


def floor_ratio(mu, rho, curvatures):
    alpha, beta = (1 - rho) ** 2 / mu, rho**2
    longer = (1 - rho) / mu
    plain = longer / (2 * (2 - longer * curvatures))
    heavy = alpha * (1 + beta) / (2 * (1 - beta) * (2 * (1 + beta) - alpha * curvatures))
    return plain.sum() / heavy.sum()


# %% ps2-task6 no momentum at all
# test: ps2-task6-test
# message: a smaller alpha/(1 - beta)
def best_pair(mu, rho):
    return (1 - rho) / mu, 0.0


def floor_ratio(mu, rho, curvatures):
    alpha, beta = (1 - rho) ** 2 / mu, rho**2
    longer = (1 - rho) / mu
    plain = longer / (2 * (2 - longer * curvatures))
    heavy = alpha * (1 + beta) / (2 * (1 - beta) * (2 * (1 + beta) - alpha * curvatures))
    return plain.sum() / heavy.sum()


# %% ps2-task6 forgets the square in the step
# test: ps2-task6-test
# message: a smaller alpha/(1 - beta)
def best_pair(mu, rho):
    return (1 - rho) / mu, rho**2


def floor_ratio(mu, rho, curvatures):
    alpha, beta = (1 - rho) ** 2 / mu, rho**2
    longer = (1 - rho) / mu
    plain = longer / (2 * (2 - longer * curvatures))
    heavy = alpha * (1 + beta) / (2 * (1 - beta) * (2 * (1 + beta) - alpha * curvatures))
    return plain.sum() / heavy.sum()


# %% ps2-task6 takes rho for a factor of the distance and squares it once more
# test: ps2-task6-test
# message: shrinks faster than by rho a step
def best_pair(mu, rho):
    return (1 - rho**2) ** 2 / mu, rho**4


def floor_ratio(mu, rho, curvatures):
    alpha, beta = (1 - rho) ** 2 / mu, rho**2
    longer = (1 - rho) / mu
    plain = longer / (2 * (2 - longer * curvatures))
    heavy = alpha * (1 + beta) / (2 * (1 - beta) * (2 * (1 + beta) - alpha * curvatures))
    return plain.sum() / heavy.sum()


# %% ps2-task6 compares at the same step, not at the same speed
# test: ps2-task6-test-ratio
# message: so the ratio is above 1
def best_pair(mu, rho):
    return (1 - rho) ** 2 / mu, rho**2


def floor_ratio(mu, rho, curvatures):
    alpha, beta = (1 - rho) ** 2 / mu, rho**2
    plain = alpha / (2 * (2 - alpha * curvatures))
    heavy = alpha * (1 + beta) / (2 * (1 - beta) * (2 * (1 + beta) - alpha * curvatures))
    return plain.sum() / heavy.sum()


# %% ps2-task6 the ratio upside down
# test: ps2-task6-test-ratio
# message: so the ratio is above 1
def best_pair(mu, rho):
    return (1 - rho) ** 2 / mu, rho**2


def floor_ratio(mu, rho, curvatures):
    alpha, beta = (1 - rho) ** 2 / mu, rho**2
    longer = (1 - rho) / mu
    plain = longer / (2 * (2 - longer * curvatures))
    heavy = alpha * (1 + beta) / (2 * (1 - beta) * (2 * (1 + beta) - alpha * curvatures))
    return heavy.sum() / plain.sum()


# %% ps2-task6 the first-order floors, which do not know the curvatures
# test: ps2-task6-test-ratio
# message: exact stationary errors
def best_pair(mu, rho):
    return (1 - rho) ** 2 / mu, rho**2


def floor_ratio(mu, rho, curvatures):
    alpha, beta = (1 - rho) ** 2 / mu, rho**2
    return (1 - rho) / mu / (alpha / (1 - beta))


# %% ps2-task6 adds variances without the factor h/2 of the error
# test: ps2-task6-test-ratio
# message: exact stationary errors
def best_pair(mu, rho):
    return (1 - rho) ** 2 / mu, rho**2


def floor_ratio(mu, rho, curvatures):
    alpha, beta = (1 - rho) ** 2 / mu, rho**2
    longer, h = (1 - rho) / mu, curvatures
    plain = longer / (h**2 * (2 - longer * h))
    heavy = alpha / h**2 * (1 + beta) / ((1 - beta) * (2 * (1 + beta) - alpha * h))
    return plain.sum() / heavy.sum()


# %% ps2-task7 treats the iterates as independent
# test: ps2-task7-test
# message: two consecutive iterates are not independent
def tail_error(curvature, noise, step, window):
    return step * noise**2 / (2 * (2 - step * curvature)) / window


def shortest_window(curvature, noise, step, factor):
    window, wanted = 1, tail_error(curvature, noise, step, 1) / factor
    while tail_error(curvature, noise, step, window) > wanted:
        window += 1
    return window


# %% ps2-task7 the plateau for small steps only
# test: ps2-task7-test
# message: for K = 1 the error is the plateau
def tail_error(curvature, noise, step, window):
    q, apart = 1 - step * curvature, np.arange(1, window)
    pairs = window + 2 * ((window - apart) * q**apart).sum()
    return step * noise**2 / 4 * pairs / window**2


def shortest_window(curvature, noise, step, factor):
    window, wanted = 1, tail_error(curvature, noise, step, 1) / factor
    while tail_error(curvature, noise, step, window) > wanted:
        window += 1
    return window


# %% ps2-task7 forgets the factor one half of the error
# test: ps2-task7-test
# message: for K = 1 the error is the plateau
def tail_error(curvature, noise, step, window):
    q, apart = 1 - step * curvature, np.arange(1, window)
    pairs = window + 2 * ((window - apart) * q**apart).sum()
    return step * noise**2 / (2 - step * curvature) * pairs / window**2


def shortest_window(curvature, noise, step, factor):
    window, wanted = 1, tail_error(curvature, noise, step, 1) / factor
    while tail_error(curvature, noise, step, window) > wanted:
        window += 1
    return window


# %% ps2-task7 counts every pair once instead of twice
# test: ps2-task7-test
# message: count every pair of iterates
def tail_error(curvature, noise, step, window):
    q, apart = 1 - step * curvature, np.arange(1, window)
    pairs = window + ((window - apart) * q**apart).sum()
    return step * noise**2 / (2 * (2 - step * curvature)) * pairs / window**2


def shortest_window(curvature, noise, step, factor):
    window, wanted = 1, tail_error(curvature, noise, step, 1) / factor
    while tail_error(curvature, noise, step, window) > wanted:
        window += 1
    return window


# %% ps2-task7 gives every distance in time the same number of pairs
# test: ps2-task7-test
# message: smaller than that of one
def tail_error(curvature, noise, step, window):
    q, apart = 1 - step * curvature, np.arange(1, window)
    pairs = window + 2 * window * (q**apart).sum()
    return step * noise**2 / (2 * (2 - step * curvature)) * pairs / window**2


def shortest_window(curvature, noise, step, factor):
    window, wanted = 1, tail_error(curvature, noise, step, 1) / factor
    while tail_error(curvature, noise, step, window) > wanted:
        window += 1
    return window


# %% ps2-task7 takes only neighbours for correlated
# test: ps2-task7-test
# message: is not that of the exact expectation
def tail_error(curvature, noise, step, window):
    q = 1 - step * curvature
    pairs = window + 2 * (window - 1) * q
    return step * noise**2 / (2 * (2 - step * curvature)) * pairs / window**2


def shortest_window(curvature, noise, step, factor):
    window, wanted = 1, tail_error(curvature, noise, step, 1) / factor
    while tail_error(curvature, noise, step, window) > wanted:
        window += 1
    return window


# %% ps2-task7 the window that independent iterates would need
# test: ps2-task7-test-window
# message: still has a larger error than is asked for
def tail_error(curvature, noise, step, window):
    q = 1 - step * curvature
    variance = step * noise**2 / (curvature * (2 - step * curvature))
    apart = np.arange(1, window)
    pairs = window + 2 * ((window - apart) * q**apart).sum()
    return curvature / 2 * variance * pairs / window**2


def shortest_window(curvature, noise, step, factor):
    return math.ceil(factor)


# %% ps2-task7 the window of the limit, with only the first term
# test: ps2-task7-test-window
# message: the mean of fewer iterates would do
def tail_error(curvature, noise, step, window):
    q = 1 - step * curvature
    variance = step * noise**2 / (curvature * (2 - step * curvature))
    apart = np.arange(1, window)
    pairs = window + 2 * ((window - apart) * q**apart).sum()
    return curvature / 2 * variance * pairs / window**2


def shortest_window(curvature, noise, step, factor):
    return math.ceil(factor * (2 - step * curvature) / (step * curvature))


# %% ps2-task7 one index too many
# test: ps2-task7-test-window
# message: the mean of fewer iterates would do
def tail_error(curvature, noise, step, window):
    q = 1 - step * curvature
    variance = step * noise**2 / (curvature * (2 - step * curvature))
    apart = np.arange(1, window)
    pairs = window + 2 * ((window - apart) * q**apart).sum()
    return curvature / 2 * variance * pairs / window**2


def shortest_window(curvature, noise, step, factor):
    window, wanted = 1, tail_error(curvature, noise, step, 1) / factor
    while tail_error(curvature, noise, step, window) > wanted:
        window += 1
    return window + 1


# %% ps2-task7 stops one iterate too early
# test: ps2-task7-test-window
# message: still has a larger error than is asked for
def tail_error(curvature, noise, step, window):
    q = 1 - step * curvature
    variance = step * noise**2 / (curvature * (2 - step * curvature))
    apart = np.arange(1, window)
    pairs = window + 2 * ((window - apart) * q**apart).sum()
    return curvature / 2 * variance * pairs / window**2


def shortest_window(curvature, noise, step, factor):
    window, wanted = 1, tail_error(curvature, noise, step, 1) / factor
    while tail_error(curvature, noise, step, window + 1) > wanted:
        window += 1
    return max(window, 2)
