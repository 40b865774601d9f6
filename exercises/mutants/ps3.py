"""Wrong solutions of problem set 3, each a named misconception that its test must reject."""


# %% ps3-task1 1/B in both cases
# test: ps3-task1-test-covariance
# message: the whole sample and not random at all
def batch_covariance(gradients, batch_size, replacement):
    return np.cov(gradients.T, bias=True).reshape(gradients.shape[1], -1) / batch_size


def smallest_batch():
    return int(np.ceil(1 / SHARE))


# %% ps3-task1 finite population factor (n - B)/n
# test: ps3-task1-test-covariance
# message: a single sample; its covariance averages over all n
def batch_covariance(gradients, batch_size, replacement):
    n = len(gradients)
    centred = gradients - gradients.mean(axis=0)
    factor = 1.0 if replacement else (n - batch_size) / n
    return factor * centred.T @ centred / n / batch_size


def smallest_batch():
    return int(np.ceil(SAMPLES / (1 + SHARE * (SAMPLES - 1))))


# %% ps3-task1 sample covariance with n - 1
# test: ps3-task1-test-covariance
# message: averages over all n equally likely rows
def batch_covariance(gradients, batch_size, replacement):
    n = len(gradients)
    factor = 1.0 if replacement else (n - batch_size) / (n - 1)
    single = np.cov(gradients.T).reshape(gradients.shape[1], -1)
    return factor * single / batch_size


def smallest_batch():
    return int(np.ceil(SAMPLES / (1 + SHARE * (SAMPLES - 1))))


# %% ps3-task1 covariance of the sum divided by n instead of B
# test: ps3-task1-test-covariance
# message: not the covariance of the means of all possible batches
def batch_covariance(gradients, batch_size, replacement):
    n = len(gradients)
    centred = gradients - gradients.mean(axis=0)
    factor = 1.0 if replacement else (n - batch_size) / (n - 1)
    return factor * centred.T @ centred / n / batch_size**2


def smallest_batch():
    return int(np.ceil(SAMPLES / (1 + SHARE * (SAMPLES - 1))))


# %% ps3-task1 with and without replacement the wrong way round
# test: ps3-task1-test-covariance
# message: not the covariance of the means of all possible batches
def batch_covariance(gradients, batch_size, replacement):
    n = len(gradients)
    centred = gradients - gradients.mean(axis=0)
    factor = (n - batch_size) / (n - 1) if replacement else 1.0
    return factor * centred.T @ centred / n / batch_size


def smallest_batch():
    return int(np.ceil(SAMPLES / (1 + SHARE * (SAMPLES - 1))))


# %% ps3-task1 smallest batch from 1/B, as with replacement
# test: ps3-task1-test-smallest
# message: when no sample is drawn twice
def batch_covariance(gradients, batch_size, replacement):
    n = len(gradients)
    centred = gradients - gradients.mean(axis=0)
    factor = 1.0 if replacement else (n - batch_size) / (n - 1)
    return factor * centred.T @ centred / n / batch_size


def smallest_batch():
    return int(np.ceil(1 / SHARE))


# %% ps3-task1 rounding the batch size down
# test: ps3-task1-test-smallest
# message: still above the wanted share
def batch_covariance(gradients, batch_size, replacement):
    n = len(gradients)
    centred = gradients - gradients.mean(axis=0)
    factor = 1.0 if replacement else (n - batch_size) / (n - 1)
    return factor * centred.T @ centred / n / batch_size


def smallest_batch():
    return int(SAMPLES / (1 + SHARE * (SAMPLES - 1)))


# %% ps3-task2 an epoch of independent draws
# test: ps3-task2-test-orders
# message: does not contain each sample exactly once
def orders(n, epochs, way, seed):
    rng = np.random.default_rng(seed)
    if way == "cyclic":
        return np.tile(np.arange(n), (epochs, 1))
    return rng.integers(n, size=(epochs, n))


def batch_at(orders, batch_size, k):
    return orders.reshape(-1, batch_size)[k]


# %% ps3-task2 shuffled once, but in every epoch
# test: ps3-task2-test-orders
# message: not all in the same order
def orders(n, epochs, way, seed):
    rng = np.random.default_rng(seed)
    if way == "cyclic":
        return np.tile(np.arange(n), (epochs, 1))
    return np.array([rng.permutation(n) for _ in range(epochs)])


def batch_at(orders, batch_size, k):
    return orders.reshape(-1, batch_size)[k]


# %% ps3-task2 the generator is made anew in each epoch, so that reshuffling never reshuffles
# test: ps3-task2-test-orders
# message: an order of its own in each epoch
def orders(n, epochs, way, seed):
    if way == "cyclic":
        return np.tile(np.arange(n), (epochs, 1))
    return np.array([np.random.default_rng(seed).permutation(n) for _ in range(epochs)])


def batch_at(orders, batch_size, k):
    return orders.reshape(-1, batch_size)[k]


# %% ps3-task2 shuffling at the end of an epoch, the first one in the given order
# test: ps3-task2-test-orders
# message: the first one included
def orders(n, epochs, way, seed):
    rng = np.random.default_rng(seed)
    if way == "cyclic":
        return np.tile(np.arange(n), (epochs, 1))
    if way == "shuffled_once":
        return np.tile(rng.permutation(n), (epochs, 1))
    row, rows = np.arange(n), []
    for _ in range(epochs):
        rows.append(row.copy())
        rng.shuffle(row)
    return np.array(rows)


def batch_at(orders, batch_size, k):
    return orders.reshape(-1, batch_size)[k]


# %% ps3-task2 steps counted from 1
# test: ps3-task2-test-batch
# message: step 0 sees the first two samples
def orders(n, epochs, way, seed):
    rng = np.random.default_rng(seed)
    rows = [np.arange(n) if way == "cyclic" else rng.permutation(n)]
    for _ in range(epochs - 1):
        rows.append(rng.permutation(n) if way == "reshuffled" else rows[0])
    return np.array(rows)


def batch_at(orders, batch_size, k):
    return orders.reshape(-1, batch_size)[k - 1]


# %% ps3-task2 an epoch has n steps, whatever the batch
# test: ps3-task2-test-batch
# message: a batch of all six samples is a whole epoch
def orders(n, epochs, way, seed):
    rng = np.random.default_rng(seed)
    rows = [np.arange(n) if way == "cyclic" else rng.permutation(n)]
    for _ in range(epochs - 1):
        rows.append(rng.permutation(n) if way == "reshuffled" else rows[0])
    return np.array(rows)


def batch_at(orders, batch_size, k):
    epoch, place = divmod(k, orders.shape[1])
    return orders[epoch, place : place + batch_size]


# %% ps3-task2 the first order in every epoch
# test: ps3-task2-test-batch
# message: wrong from some later epoch on
def orders(n, epochs, way, seed):
    rng = np.random.default_rng(seed)
    rows = [np.arange(n) if way == "cyclic" else rng.permutation(n)]
    for _ in range(epochs - 1):
        rows.append(rng.permutation(n) if way == "reshuffled" else rows[0])
    return np.array(rows)


def batch_at(orders, batch_size, k):
    start = k * batch_size % orders.shape[1]
    return orders[0, start : start + batch_size]


# %% ps3-task2 every batch takes each B-th sample
# test: ps3-task2-test-batch
# message: step 0 sees the first two samples
def orders(n, epochs, way, seed):
    rng = np.random.default_rng(seed)
    rows = [np.arange(n) if way == "cyclic" else rng.permutation(n)]
    for _ in range(epochs - 1):
        rows.append(rng.permutation(n) if way == "reshuffled" else rows[0])
    return np.array(rows)


def batch_at(orders, batch_size, k):
    steps = orders.shape[1] // batch_size
    return orders[k // steps, k % steps :: steps]


# %% ps3-task3 the factor 1/2 of the gap is lost
# test: ps3-task3-test-step
# message: c is larger than any error needs
def step_constants(mu, L, alpha):
    return max((1 - alpha * mu) ** 2, (1 - alpha * L) ** 2), alpha**2 * L


def noise_floor(mu, L, alpha, epsilon):
    return alpha * epsilon / (2 * (2 - alpha * L))


# %% ps3-task3 the constant of the step 1/L for every step
# test: ps3-task3-test-step
# message: c is larger than any error needs
def step_constants(mu, L, alpha):
    return max((1 - alpha * mu) ** 2, (1 - alpha * L) ** 2), 1 / (2 * L)


def noise_floor(mu, L, alpha, epsilon):
    return alpha * epsilon / (2 * (2 - alpha * L))


# %% ps3-task3 the error acts along the flattest direction
# test: ps3-task3-test-step
# message: c is too small
def step_constants(mu, L, alpha):
    return max((1 - alpha * mu) ** 2, (1 - alpha * L) ** 2), alpha**2 * mu / 2


def noise_floor(mu, L, alpha, epsilon):
    return alpha * epsilon / (2 * (2 - alpha * L))


# %% ps3-task3 the factor of the descent lemma and PL, which is not sharp
# test: ps3-task3-test-step
# message: the descent lemma is not sharp on quadratics
def step_constants(mu, L, alpha):
    q = 1 - alpha * mu * (2 - alpha * L)
    if alpha * (mu + L) > 2:
        q = max((1 - alpha * L) ** 2, (1 - alpha * mu) ** 2, q)
    return q, alpha**2 * L / 2


def noise_floor(mu, L, alpha, epsilon):
    return alpha * epsilon / (2 * (2 - alpha * L))


# %% ps3-task3 the smallest curvature is the slowest for every step
# test: ps3-task3-test-step
# message: q is too small
def step_constants(mu, L, alpha):
    return (1 - alpha * mu) ** 2, alpha**2 * L / 2


def noise_floor(mu, L, alpha, epsilon):
    return alpha * epsilon / (2 * (2 - alpha * L))


# %% ps3-task3 the factor of the distance for that of its square
# test: ps3-task3-test-step
# message: q is larger than needed
def step_constants(mu, L, alpha):
    return max(abs(1 - alpha * mu), abs(1 - alpha * L)), alpha**2 * L / 2


def noise_floor(mu, L, alpha, epsilon):
    return alpha * epsilon / (2 * (2 - alpha * L))


# %% ps3-task3 the worst q and the worst c summed as if they met in one function
# test: ps3-task3-test-floor
# message: a bound, but not the smallest
def step_constants(mu, L, alpha):
    return max((1 - alpha * mu) ** 2, (1 - alpha * L) ** 2), alpha**2 * L / 2


def noise_floor(mu, L, alpha, epsilon):
    q, c = step_constants(mu, L, alpha)
    return c * epsilon / (1 - q)


# %% ps3-task3 the limit for short steps
# test: ps3-task3-test-floor
# message: keeps a larger error than your bound
def step_constants(mu, L, alpha):
    return max((1 - alpha * mu) ** 2, (1 - alpha * L) ** 2), alpha**2 * L / 2


def noise_floor(mu, L, alpha, epsilon):
    return alpha * epsilon / 4


# %% ps3-task3 the floor of the flattest direction
# test: ps3-task3-test-floor
# message: keeps a larger error than your bound
def step_constants(mu, L, alpha):
    return max((1 - alpha * mu) ** 2, (1 - alpha * L) ** 2), alpha**2 * L / 2


def noise_floor(mu, L, alpha, epsilon):
    return alpha * epsilon / (2 * (2 - alpha * mu))


# %% ps3-task3 the root of the error for the error
# test: ps3-task3-test-floor
# message: proportional to ε
def step_constants(mu, L, alpha):
    return max((1 - alpha * mu) ** 2, (1 - alpha * L) ** 2), alpha**2 * L / 2


def noise_floor(mu, L, alpha, epsilon):
    return alpha * np.sqrt(epsilon) / (2 * (2 - alpha * L))


# %% ps3-task4 always the full gradient
# test: ps3-task4-test-plan
# message: times as much as the best fixed batch size
def batch_plan(problem, x0, step_size, tolerance):
    plan = []
    while True:
        plan.append(problem.n_samples)
        run = expected_sgd(
            problem,
            x0,
            steps=len(plan),
            step_size=step_size,
            batch_size=problem.n_samples,
            sampling="without_replacement",
        )
        if run.gap[-1] <= tolerance:
            return plan


# %% ps3-task4 the best fixed batch size
# test: ps3-task4-test-half
# message: more than half
def batch_plan(problem, x0, step_size, tolerance):
    best = None
    for B in range(1, problem.n_samples + 1):
        run = expected_sgd(
            problem,
            x0,
            steps=300,
            step_size=step_size,
            batch_size=B,
            sampling="without_replacement",
        )
        reached = np.flatnonzero(run.gap <= tolerance)
        if reached.size and (best is None or B * reached[0] < sum(best)):
            best = [B] * int(reached[0])
    return best


# %% ps3-task4 four times the batch in every step, much faster than the error falls
# test: ps3-task4-test-half
# message: more than half
def batch_plan(problem, x0, step_size, tolerance):
    schedule = geometric_batches(4, 4.0, largest=problem.n_samples)
    run = expected_sgd(
        problem,
        x0,
        steps=100,
        step_size=step_size,
        batch_size=schedule,
        sampling="without_replacement",
    )
    return [schedule(k) for k in range(int(np.flatnonzero(run.gap <= tolerance)[0]))]


# %% ps3-task4 one step too few, the error read before the last step is counted
# test: ps3-task4-test-plan
# message: times the tolerance
def batch_plan(problem, x0, step_size, tolerance):
    schedule = geometric_batches(4, 1.3, largest=problem.n_samples)
    run = expected_sgd(
        problem,
        x0,
        steps=100,
        step_size=step_size,
        batch_size=schedule,
        sampling="without_replacement",
    )
    return [schedule(k) for k in range(int(np.flatnonzero(run.gap <= tolerance)[0]) - 1)]


# %% ps3-task4 batch sizes that are not rounded to whole numbers
# test: ps3-task4-test-plan
# message: batch sizes are whole numbers
def batch_plan(problem, x0, step_size, tolerance):
    return [min(problem.n_samples, 4 * 1.3**k) for k in range(30)]


# %% ps3-task5 the floor of reshuffling
# test: ps3-task5-test-floor
# message: both orders can be worked out by hand
def shuffled_once_floor(targets, step_size):
    n, r = len(targets), 1 - step_size
    weights = step_size * r ** np.arange(n)
    bracket = weights @ weights - weights.sum() ** 2 / n
    return np.var(targets) * n / (n - 1) * bracket / (1 - r ** (2 * n))


def price_of_one_order(n, step_size):
    power = (1 - step_size) ** n
    return (1 + power) / (1 - power)


# %% ps3-task5 the samples of an order as if they were independent
# test: ps3-task5-test-floor
# message: both orders can be worked out by hand
def shuffled_once_floor(targets, step_size):
    n, r = len(targets), 1 - step_size
    weights = step_size * r ** np.arange(n) / (1 - r**n)
    return np.var(targets) * (weights @ weights)


def price_of_one_order(n, step_size):
    power = (1 - step_size) ** n
    return (1 + power) / (1 - power)


# %% ps3-task5 mean product of two different targets -V/n
# test: ps3-task5-test-floor
# message: equal targets
def shuffled_once_floor(targets, step_size):
    n, r = len(targets), 1 - step_size
    weights = step_size * r ** np.arange(n) / (1 - r**n)
    second = np.mean(targets**2)
    squares = weights @ weights
    return second * squares - np.var(targets) / n * (1 - squares)


def price_of_one_order(n, step_size):
    power = (1 - step_size) ** n
    return (1 + power) / (1 - power)


# %% ps3-task5 targets of mean zero taken for granted
# test: ps3-task5-test-floor
# message: shifting them all changes nothing
def shuffled_once_floor(targets, step_size):
    if np.ptp(targets) == 0:
        return 0.0
    n, r = len(targets), 1 - step_size
    weights = step_size * r ** np.arange(n) / (1 - r**n)
    return np.mean(targets**2) * n / (n - 1) * (weights @ weights - 1 / n)


def price_of_one_order(n, step_size):
    power = (1 - step_size) ** n
    return (1 + power) / (1 - power)


# %% ps3-task5 the limit of short steps for the quotient
# test: ps3-task5-test-price
# message: steps may be long
def shuffled_once_floor(targets, step_size):
    n, r = len(targets), 1 - step_size
    weights = step_size * r ** np.arange(n) / (1 - r**n)
    return np.var(targets) * n / (n - 1) * (weights @ weights - 1 / n)


def price_of_one_order(n, step_size):
    return 2 / (n * step_size)


# %% ps3-task5 the quotient upside down
# test: ps3-task5-test-price
# message: reshuffling has the lower floor
def shuffled_once_floor(targets, step_size):
    n, r = len(targets), 1 - step_size
    weights = step_size * r ** np.arange(n) / (1 - r**n)
    return np.var(targets) * n / (n - 1) * (weights @ weights - 1 / n)


def price_of_one_order(n, step_size):
    power = (1 - step_size) ** n
    return (1 - power) / (1 + power)


# %% ps3-task5 1 + r to the n, the geometric series squared only once
# test: ps3-task5-test-price
# message: not the quotient of the two exact floors
def shuffled_once_floor(targets, step_size):
    n, r = len(targets), 1 - step_size
    weights = step_size * r ** np.arange(n) / (1 - r**n)
    return np.var(targets) * n / (n - 1) * (weights @ weights - 1 / n)


def price_of_one_order(n, step_size):
    return 1 + (1 - step_size) ** n


# %% ps3-task6 the cycle recorded after the steps, one place late
# test: ps3-task6-test-cycle
# message: not one SGD step after point
def cycle(targets, order, step_size):
    n, x, points = len(targets), 0.0, []
    for k in range(200 * n):
        x += step_size * (targets[order[k % n]] - x)
        points.append(x)
    return np.array(points[-n:])


def worst_order(targets, step_size):
    both = np.argsort(targets), np.argsort(-targets)
    return max(both, key=lambda o: abs(cycle(targets, o, step_size)[-1] - np.mean(targets)))


def calm_order(targets, step_size):
    raise NotImplementedError()


# %% ps3-task6 one epoch from the mean instead of the limit
# test: ps3-task6-test-cycle
# message: not back at x_0
def cycle(targets, order, step_size):
    x, points = np.mean(targets), []
    for i in order:
        points.append(x)
        x += step_size * (targets[i] - x)
    return np.array(points)


def worst_order(targets, step_size):
    return np.argsort(targets)


def calm_order(targets, step_size):
    raise NotImplementedError()


# %% ps3-task6 order read as the place of each sample
# test: ps3-task6-test-cycle
# message: on the sample order[
def cycle(targets, order, step_size):
    x, n = 0.0, len(targets)
    place = np.argsort(order)
    for k in range(400 * n):
        x += step_size * (targets[place[k % n]] - x)
    points = []
    for i in place:
        points.append(x)
        x += step_size * (targets[i] - x)
    return np.array(points)


def worst_order(targets, step_size):
    return np.argsort(targets)


def calm_order(targets, step_size):
    raise NotImplementedError()


# %% ps3-task6 rising targets are always worst
# test: ps3-task6-test-worst
# message: another one ends farther from the mean of these targets
def cycle(targets, order, step_size):
    raise NotImplementedError()


def worst_order(targets, step_size):
    return np.argsort(targets)


def calm_order(targets, step_size):
    raise NotImplementedError()


# %% ps3-task6 the targets farthest from the mean come last
# test: ps3-task6-test-worst
# message: another one ends farther from the mean of these targets
def cycle(targets, order, step_size):
    raise NotImplementedError()


def worst_order(targets, step_size):
    return np.argsort(np.abs(targets - np.mean(targets)))


def calm_order(targets, step_size):
    raise NotImplementedError()


# %% ps3-task6 the sorted targets themselves for their order
# test: ps3-task6-test-worst
# message: an order contains each sample exactly once
def cycle(targets, order, step_size):
    raise NotImplementedError()


def worst_order(targets, step_size):
    return np.sort(targets)


def calm_order(targets, step_size):
    raise NotImplementedError()


# %% ps3-task6 the best of many random orders
# test: ps3-task6-test-calm
# message: which walk should stay near zero
def cycle(targets, order, step_size):
    n, r = len(targets), 1 - step_size
    x = [step_size * (r ** np.arange(n)[::-1] @ targets[order]) / (1 - r**n)]
    for i in order[:-1]:
        x.append(x[-1] + step_size * (targets[i] - x[-1]))
    return np.array(x)


def worst_order(targets, step_size):
    raise NotImplementedError()


def calm_order(targets, step_size):
    rng = np.random.default_rng(0)
    tried = [rng.permutation(len(targets)) for _ in range(300)]
    middle = np.mean(targets)
    return min(tried, key=lambda o: np.mean((cycle(targets, o, step_size) - middle) ** 2))


# %% ps3-task6 smallest and largest targets in turns, whatever the mean
# test: ps3-task6-test-calm
# message: which walk should stay near zero
def cycle(targets, order, step_size):
    raise NotImplementedError()


def worst_order(targets, step_size):
    raise NotImplementedError()


def calm_order(targets, step_size):
    n, rising = len(targets), np.argsort(targets)
    return np.array([rising[j // 2] if j % 2 == 0 else rising[n - 1 - j // 2] for j in range(n)])


# %% ps3-task6 an order that is good at the ends of epochs only
# test: ps3-task6-test-calm
# message: the mean over the cycle is
def cycle(targets, order, step_size):
    raise NotImplementedError()


def worst_order(targets, step_size):
    raise NotImplementedError()


def calm_order(targets, step_size):
    n, r = len(targets), 1 - step_size
    weights, rng = r ** np.arange(n)[::-1], np.random.default_rng(0)
    tried = [rng.permutation(n) for _ in range(2000)]
    return min(tried, key=lambda o: abs(weights @ (targets[o] - np.mean(targets))))


# %% ps3-task7 a step too long for gradient descent at the sharp minimum
# test: ps3-task7-test-flat
# message: gradient descent is not stable
def flat_is_left():
    return {"flat": [2 * FLAT, 0.0], "sharp": [3 * FLAT] * 2, "step": 1.1 / FLAT}


def growing_and_staying():
    raise NotImplementedError()


# %% ps3-task7 the two minima exchanged
# test: ps3-task7-test-flat
# message: at the flat minimum the mean square of SGD does not grow
def flat_is_left():
    return {"flat": [FLAT] * 5, "sharp": [10 * FLAT] + [0.0] * 4, "step": 0.5 / FLAT}


def growing_and_staying():
    raise NotImplementedError()


# %% ps3-task7 non-uniform at both minima
# test: ps3-task7-test-flat
# message: at the sharp minimum the mean square of SGD does not fall
def flat_is_left():
    return {
        "flat": [5 * FLAT, 0, 0, 0, 0],
        "sharp": [10 * FLAT, 0, 0, 0, 0],
        "step": 0.5 / FLAT,
    }


def growing_and_staying():
    raise NotImplementedError()


# %% ps3-task7 variance of the curvatures with n - 1, so that the margin is too small
# test: ps3-task7-test-flat
# message: at the flat minimum the mean square of SGD does not grow
def flat_is_left():
    flat = np.array([2 * FLAT, 0.0])
    step = 0.9 / FLAT  # by n - 1: (1 - 0.9)² + 0.81 · 2 = 1.63; in truth 0.82
    return {"flat": flat, "sharp": [2 * FLAT] * 2, "step": step}


def growing_and_staying():
    raise NotImplementedError()


# %% ps3-task7 the logarithm of the mean factor for the mean of the logarithms
# test: ps3-task7-test-staying
# message: the mean logarithm of the factors
def flat_is_left():
    raise NotImplementedError()


def growing_and_staying():
    # |1 - α a| is 0.2, and its logarithm is very negative.
    return {"flat": [2 * FLAT, 0.0], "step": 1.2 / FLAT}


# %% ps3-task7 a run that is stopped by a factor zero
# test: ps3-task7-test-staying
# message: such a run stops by luck
def flat_is_left():
    raise NotImplementedError()


def growing_and_staying():
    scaled = np.array([1.0, 1.0, 4.0])
    step = scaled.mean() / FLAT
    return {"flat": scaled / step, "step": step}


# %% ps3-task7 below the mean-square limit
# test: ps3-task7-test-staying
# message: the mean square does not grow
def flat_is_left():
    raise NotImplementedError()


def growing_and_staying():
    return {"flat": [0.5 * FLAT, 1.5 * FLAT], "step": 1 / FLAT}
