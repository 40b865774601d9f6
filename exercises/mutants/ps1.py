"""Wrong solutions of problem set 1, each a misconception with the test that must reject it."""


# %% ps1-task1 sums over the batch instead of averaging
# test: ps1-task1-test
# message: a batch that holds one sample three times must have the gradient of that sample
def batch_gradient(features, targets, penalty, x, indices):
    rows = features[indices]
    return rows.T @ (rows @ x - targets[indices]) + penalty * x


# %% ps1-task1 divides by the number of samples, not of the batch
# test: ps1-task1-test
# message: however many samples the data set holds
def batch_gradient(features, targets, penalty, x, indices):
    rows = features[indices]
    return rows.T @ (rows @ x - targets[indices]) / len(targets) + penalty * x


# %% ps1-task1 forgets the factor one half in the loss
# test: ps1-task1-test
# message: this is not the slope of f_1
def batch_gradient(features, targets, penalty, x, indices):
    rows = features[indices]
    return 2 * rows.T @ (rows @ x - targets[indices]) / len(indices) + penalty * x


# %% ps1-task1 counts every index once
# test: ps1-task1-test
# message: counts as often as it occurs
def batch_gradient(features, targets, penalty, x, indices):
    once = sorted(set(indices))
    rows = features[once]
    return rows.T @ (rows @ x - targets[once]) / len(once) + penalty * x


# %% ps1-task1 divides the penalty by the batch size
# test: ps1-task1-test
# message: its share in a mean is the same for every B
def batch_gradient(features, targets, penalty, x, indices):
    rows = features[indices]
    return (rows.T @ (rows @ x - targets[indices]) + penalty * x) / len(indices)


# %% ps1-task1 leaves the penalty out
# test: ps1-task1-test
# message: with a penalty, a batch of one has not the slope
def batch_gradient(features, targets, penalty, x, indices):
    rows = features[indices]
    return rows.T @ (rows @ x - targets[indices]) / len(indices)


# %% ps1-task2 the minimiser of least norm from every start
# test: ps1-task2-test
# message: the part of the start that no step can change has changed
def limit(features, targets, scales, start):
    return np.linalg.pinv(features) @ targets


def resting_point():
    return limit(FEATURES_2, TARGETS_2, SCALES_2, START_2)


# %% ps1-task2 adds the whole start to the solution of least norm
# test: ps1-task2-test
# message: from a start that is not the origin the point returned is no minimiser
def limit(features, targets, scales, start):
    return start + np.linalg.pinv(features) @ targets


def resting_point():
    return limit(FEATURES_2, TARGETS_2, SCALES_2, START_2)


# %% ps1-task2 ignores the scales: nearest in the Euclidean norm
# test: ps1-task2-test
# message: each step is D times a gradient
def limit(features, targets, scales, start):
    return start + np.linalg.pinv(features) @ (targets - features @ start)


def resting_point():
    return limit(FEATURES_2, TARGETS_2, SCALES_2, START_2)


# %% ps1-task2 weights by D where its inverse belongs
# test: ps1-task2-test
# message: each step is D times a gradient
def limit(features, targets, scales, start):
    root = 1 / np.sqrt(scales)
    return start + root * (np.linalg.pinv(features * root) @ (targets - features @ start))


def resting_point():
    return limit(FEATURES_2, TARGETS_2, SCALES_2, START_2)


# %% ps1-task2 iterates, and takes a point on the way for the limit
# test: ps1-task2-test
# message: what is returned is not a minimiser of f
def limit(features, targets, scales, start):
    x = np.array(start, float)
    step = 1 / (scales.max() * np.linalg.norm(features, 2) ** 2)
    for _ in range(1000):
        x -= step * scales * (features.T @ (features @ x - targets))
    return x


def resting_point():
    return limit(FEATURES_2, TARGETS_2, SCALES_2, START_2)


# %% ps1-task2 takes its own class for granted and starts from the origin
# test: ps1-task2-test-class
# message: the method ends at another minimiser
def limit(features, targets, scales, start):
    root = np.sqrt(scales)
    return start + root * (np.linalg.pinv(features * root) @ (targets - features @ start))


def resting_point():
    return limit(FEATURES_2, TARGETS_2, SCALES_2, np.zeros(4))


# %% ps1-task3 harmonic steps, whose sum is infinite
# test: ps1-task3-test
# message: the steps do not die out fast enough
def stalling_steps(curvature, start, limit, count):
    return 1 / (curvature * (np.arange(count) + 2))


def total_length(curvature, start, limit):
    return (1 - limit / start) / curvature, math.log(start / limit) / curvature


# %% ps1-task3 a constant step chosen for the number of steps
# test: ps1-task3-test
# message: it must be one sequence
def stalling_steps(curvature, start, limit, count):
    return np.full(count, (1 - (limit / start) ** (0.99 / count)) / curvature)


def total_length(curvature, start, limit):
    return (1 - limit / start) / curvature, math.log(start / limit) / curvature


# %% ps1-task3 goes to the point at once and then rests
# test: ps1-task3-test
# message: every step must be positive
def stalling_steps(curvature, start, limit, count):
    steps = np.zeros(count)
    steps[:5] = np.array([0.5, 0.2, 0.1, 0.1, 0.05]) * (1 - limit / start) / curvature
    if count <= 5:
        steps += 0.01 / curvature
    return steps


def total_length(curvature, start, limit):
    return (1 - limit / start) / curvature, math.log(start / limit) / curvature


# %% ps1-task3 geometric steps that add up to the distance instead of multiplying to the ratio
# test: ps1-task3-test
# message: do not come as near to the limit
def stalling_steps(curvature, start, limit, count):
    return np.maximum((1 - limit / start) / curvature * 0.5 ** np.arange(1, count + 1), 1e-30)


def total_length(curvature, start, limit):
    return (1 - limit / start) / curvature, math.log(start / limit) / curvature


# %% ps1-task3 forgets the curvature
# test: ps1-task3-test-total
# message: whose sum is smaller than your infimum
def stalling_steps(curvature, start, limit, count):
    k = np.arange(count + 1)
    x = limit + (start - limit) / (k + 1)
    return (x[:-1] - x[1:]) / x[:-1] / curvature


def total_length(curvature, start, limit):
    return 1 - limit / start, 100 * math.log(start / limit)


# %% ps1-task3 measures the way, not the steps
# test: ps1-task3-test-total
# message: whose sum is smaller than your infimum
def stalling_steps(curvature, start, limit, count):
    k = np.arange(count + 1)
    x = limit + (start - limit) / (k + 1)
    return (x[:-1] - x[1:]) / x[:-1] / curvature


def total_length(curvature, start, limit):
    return start - limit, start - limit + math.log(start / limit) / curvature


# %% ps1-task3 divides by the slope at the end, not along the way
# test: ps1-task3-test-total
# message: your supremum is too large
def stalling_steps(curvature, start, limit, count):
    k = np.arange(count + 1)
    x = limit + (start - limit) / (k + 1)
    return (x[:-1] - x[1:]) / x[:-1] / curvature


def total_length(curvature, start, limit):
    return (1 - limit / start) / curvature, (start / limit - 1) / curvature


# %% ps1-task3 bounds the sum by the longest step times one
# test: ps1-task3-test-total
# message: whose sum is larger than your supremum
def stalling_steps(curvature, start, limit, count):
    k = np.arange(count + 1)
    x = limit + (start - limit) / (k + 1)
    return (x[:-1] - x[1:]) / x[:-1] / curvature


def total_length(curvature, start, limit):
    return (1 - limit / start) / curvature, (1 - limit / start) / curvature * 1.001


# %% ps1-task4 accepts as soon as f falls
# test: ps1-task4-test
# message: that f falls is not enough
def searched_descent(problem, start, steps, first_trial):
    x, trial = start, first_trial
    accepted, trials = [], []
    for _ in range(steps):
        gradient, count = problem.gradient(x), 1
        while problem.value(x - trial * gradient) > problem.value(x):
            trial, count = trial / 2, count + 1
        x = x - trial * gradient
        accepted.append(trial)
        trials.append(count)
        trial = 2 * trial
    return np.array(accepted), np.array(trials)


def most_trials(steps, first_trial, smoothness):
    return 2 * steps - 1 + math.log2(2 * smoothness * first_trial)


# %% ps1-task4 asks for the decrease of the tangent, c = 1, which a convex function never gives
# test: ps1-task4-test
# message: the first trial 0.8 satisfies the condition
def searched_descent(problem, start, steps, first_trial):
    x, trial = start, first_trial
    accepted, trials = [], []
    for _ in range(steps):
        value, gradient, count = problem.value(x), problem.gradient(x), 1
        while problem.value(x - trial * gradient) > value - trial * gradient @ gradient:
            trial, count = trial / 2, count + 1
        x = x - trial * gradient
        accepted.append(trial)
        trials.append(count)
        trial = 2 * trial
    return np.array(accepted), np.array(trials)


def most_trials(steps, first_trial, smoothness):
    return 2 * steps - 1 + math.log2(2 * smoothness * first_trial)


# %% ps1-task4 begins every step with the same first trial
# test: ps1-task4-test
# message: a step begins with twice the step size accepted before
def searched_descent(problem, start, steps, first_trial):
    x = start
    accepted, trials = [], []
    for _ in range(steps):
        trial = first_trial
        value, gradient, count = problem.value(x), problem.gradient(x), 1
        while problem.value(x - trial * gradient) > value - 0.5 * trial * gradient @ gradient:
            trial, count = trial / 2, count + 1
        x = x - trial * gradient
        accepted.append(trial)
        trials.append(count)
    return np.array(accepted), np.array(trials)


def most_trials(steps, first_trial, smoothness):
    return 2 * steps - 1 + math.log2(2 * smoothness * first_trial)


# %% ps1-task4 never lets the step size grow again
# test: ps1-task4-test
# message: a step begins with twice the step size accepted before
def searched_descent(problem, start, steps, first_trial):
    x, trial = start, first_trial
    accepted, trials = [], []
    for _ in range(steps):
        value, gradient, count = problem.value(x), problem.gradient(x), 1
        while problem.value(x - trial * gradient) > value - 0.5 * trial * gradient @ gradient:
            trial, count = trial / 2, count + 1
        x = x - trial * gradient
        accepted.append(trial)
        trials.append(count)
    return np.array(accepted), np.array(trials)


def most_trials(steps, first_trial, smoothness):
    return 2 * steps - 1 + math.log2(2 * smoothness * first_trial)


# %% ps1-task4 counts rejections instead of trials
# test: ps1-task4-test
# message: every step has at least one trial
def searched_descent(problem, start, steps, first_trial):
    x, trial = start, first_trial
    accepted, trials = [], []
    for _ in range(steps):
        value, gradient, count = problem.value(x), problem.gradient(x), 0
        while problem.value(x - trial * gradient) > value - 0.5 * trial * gradient @ gradient:
            trial, count = trial / 2, count + 1
        x = x - trial * gradient
        accepted.append(trial)
        trials.append(count)
        trial = 2 * trial
    return np.array(accepted), np.array(trials)


def most_trials(steps, first_trial, smoothness):
    return 2 * steps - 1 + math.log2(2 * smoothness * first_trial)


# %% ps1-task4 one index too many: every step pays two trials
# test: ps1-task4-test-most
# message: it is not the best
def searched_descent(problem, start, steps, first_trial):
    raise NotImplementedError


def most_trials(steps, first_trial, smoothness):
    return 2 * steps + math.log2(2 * smoothness * first_trial)


# %% ps1-task4 takes the shortest step for 1/L
# test: ps1-task4-test-most
# message: the bound is too small: on a parabola more trials are taken
def searched_descent(problem, start, steps, first_trial):
    raise NotImplementedError


def most_trials(steps, first_trial, smoothness):
    return max(2 * steps, 2 * steps - 1 + math.log2(smoothness * first_trial))


# %% ps1-task4 lets every step pay for the first trial, as without memory
# test: ps1-task4-test-most
# message: it is not the best
def searched_descent(problem, start, steps, first_trial):
    raise NotImplementedError


def most_trials(steps, first_trial, smoothness):
    return steps * (2 + math.log2(2 * smoothness * first_trial))


# %% ps1-task5 the best constant step, taken twice
# test: ps1-task5-test-two
# message: no better than the best constant step taken twice
def two_steps(mu, L):
    return 2 / (L + mu), 2 / (L + mu)


def cycle(mu, L, length):
    return np.full(length, 2 / (L + mu))


def worst_factor(mu, L, length):
    return ((L - mu) / (L + mu)) ** length


# %% ps1-task5 the inverses of both ends of the spectrum
# test: ps1-task5-test-two
# message: no better than the best constant step taken twice
def two_steps(mu, L):
    return 1 / mu, 1 / L


def cycle(mu, L, length):
    return 1 / np.linspace(mu, L, length)


def worst_factor(mu, L, length):
    return (1 - mu / L) ** length


# %% ps1-task5 stops at 2/L because no step may be longer
# test: ps1-task5-test-two
# message: do not stop at 2/L
def two_steps(mu, L):
    longer = min(1 / ((L + mu) / 2 - (L - mu) / 2 * 0.6), 2 / L)
    return longer, 1 / ((L + mu) / 2 + (L - mu) / 2 * 0.6)


def cycle(mu, L, length):
    return np.minimum(2 / L, 1 / np.linspace(mu, L, length + 2)[1:-1])


def worst_factor(mu, L, length):
    return ((L - mu) / (L + mu)) ** length / 2


# %% ps1-task5 equally spaced zeros
# test: ps1-task5-test-cycle
# message: there is a better cycle of length
def two_steps(mu, L):
    centre, radius = (L + mu) / 2, (L - mu) / 2
    return 1 / (centre - radius / math.sqrt(2)), 1 / (centre + radius / math.sqrt(2))


def cycle(mu, L, length):
    nodes = (2 * np.arange(length) + 1) / length - 1
    return 1 / ((L + mu) / 2 + (L - mu) / 2 * nodes)


def worst_factor(mu, L, length):
    return 1 / math.cosh(length * math.acosh((L + mu) / (L - mu)))


# %% ps1-task5 the same step over and over
# test: ps1-task5-test-cycle
# message: is no better than the best constant step taken
def two_steps(mu, L):
    centre, radius = (L + mu) / 2, (L - mu) / 2
    return 1 / (centre - radius / math.sqrt(2)), 1 / (centre + radius / math.sqrt(2))


def cycle(mu, L, length):
    return np.full(length, 2 / (L + mu))


def worst_factor(mu, L, length):
    return 1 / math.cosh(length * math.acosh((L + mu) / (L - mu)))


# %% ps1-task5 the step 1/L where 2/(L + mu) is best
# test: ps1-task5-test-cycle
# message: a cycle of length 1 is the best constant step
def two_steps(mu, L):
    centre, radius = (L + mu) / 2, (L - mu) / 2
    return 1 / (centre - radius / math.sqrt(2)), 1 / (centre + radius / math.sqrt(2))


def cycle(mu, L, length):
    return (
        1 / (L * np.sin((np.arange(length) + 1) / (length + 1) * np.pi / 2))[::-1]
        if (length > 1)
        else np.array([1 / L])
    )


def worst_factor(mu, L, length):
    return 1 / math.cosh(length * math.acosh((L + mu) / (L - mu)))


# %% ps1-task5 factors of single steps are multiplied
# test: ps1-task5-test-factor
# message: the steps work together
def two_steps(mu, L):
    centre, radius = (L + mu) / 2, (L - mu) / 2
    return 1 / (centre - radius / math.sqrt(2)), 1 / (centre + radius / math.sqrt(2))


def cycle(mu, L, length):
    angles = (2 * np.arange(1, length + 1) - 1) / (2 * length) * np.pi
    return 1 / ((L + mu) / 2 + (L - mu) / 2 * np.cos(angles))


def worst_factor(mu, L, length):
    return ((L - mu) / (L + mu)) ** length


# %% ps1-task5 forgets the factor two in the asymptotic form
# test: ps1-task5-test-factor
# message: for a single step the worst factor is that of the step
def two_steps(mu, L):
    centre, radius = (L + mu) / 2, (L - mu) / 2
    return 1 / (centre - radius / math.sqrt(2)), 1 / (centre + radius / math.sqrt(2))


def cycle(mu, L, length):
    angles = (2 * np.arange(1, length + 1) - 1) / (2 * length) * np.pi
    return 1 / ((L + mu) / 2 + (L - mu) / 2 * np.cos(angles))


def worst_factor(mu, L, length):
    root = math.sqrt(L / mu)
    return ((root - 1) / (root + 1)) ** length


# %% ps1-task6 swaps the two claims
# test: ps1-task6-test-up
# message: (a) asks for a step that lowers f in expectation
def expected_descent_mostly_up():
    return [-POINT_6] * (N_6 - 1) + [POINT_6 * (N_6 - 1)], 0.9


def expected_ascent_mostly_down():
    return [2 * POINT_6] * (N_6 - 1) + [-2 * POINT_6 * (N_6 - 1)], 0.1 / N_6


# %% ps1-task6 half of the samples lead uphill, half downhill
# test: ps1-task6-test-up
# message: (a) asks that all samples but one lead uphill
def expected_descent_mostly_up():
    half = N_6 // 2
    return [2 * POINT_6] * half + [-2 * POINT_6] * (N_6 - half), 0.01


def expected_ascent_mostly_down():
    half = N_6 // 2
    return [2 * POINT_6] * half + [-2 * POINT_6] * (N_6 - half), 1.0


# %% ps1-task6 stands at the minimiser, where every sample leads uphill
# test: ps1-task6-test-up
# message: at the minimiser no step lowers f
def expected_descent_mostly_up():
    return [POINT_6] * N_6, 0.1


def expected_ascent_mostly_down():
    return [POINT_6] * N_6, 0.1


# %% ps1-task6 every sample overshoots a minimiser that all share
# test: ps1-task6-test-down
# message: (b) asks that all samples but one lead downhill
def expected_descent_mostly_up():
    return [2 * POINT_6] * (N_6 - 1) + [-2 * POINT_6 * (N_6 - 1)], 0.1 / N_6


def expected_ascent_mostly_down():
    return [0.0] * N_6, 2.5


# %% ps1-task6 the step is too short to raise the expectation
# test: ps1-task6-test-down
# message: (b) asks for a step that raises f in expectation
def expected_descent_mostly_up():
    return [2 * POINT_6] * (N_6 - 1) + [-2 * POINT_6 * (N_6 - 1)], 0.1 / N_6


def expected_ascent_mostly_down():
    return [-POINT_6] * (N_6 - 1) + [POINT_6 * (N_6 - 1)], 0.001


# %% ps1-task6 one target too many
# test: ps1-task6-test-down
# message: a list of N_6 targets is wanted
def expected_descent_mostly_up():
    return [2 * POINT_6] * N_6 + [-2 * POINT_6 * N_6], 0.1 / N_6


def expected_ascent_mostly_down():
    return [-POINT_6] * N_6 + [POINT_6 * N_6], 0.9


# %% ps1-task7 measures the spread around the overall mean
# test: ps1-task7-test
# message: nothing random is left
def stratified_variance(vectors, groups):
    centre, total = vectors.mean(axis=0), 0.0
    for group in np.unique(groups):
        members = vectors[groups == group]
        share = len(members) / len(vectors)
        total += share**2 * ((members - centre) ** 2).sum(axis=1).mean()
    return total


def noisy_groups():
    return [0.0, 1.0] + [0.5] * (N_7 - 2), [0] * (N_7 - GROUPS_7 + 1) + list(range(1, GROUPS_7))


# %% ps1-task7 divides by one less, as for a sample from a population
# test: ps1-task7-test
# message: a mean over all n samples
def stratified_variance(vectors, groups):
    total = 0.0
    for group in np.unique(groups):
        members = vectors[groups == group]
        if len(members) > 1:
            total += (len(members) / len(vectors)) ** 2 * members.var(axis=0, ddof=1).sum()
    return total


def noisy_groups():
    return [0.0, 1.0] + [0.5] * (N_7 - 2), [0] * (N_7 - GROUPS_7 + 1) + list(range(1, GROUPS_7))


# %% ps1-task7 weights variances like means, without the square
# test: ps1-task7-test
# message: its variance half that of one
def stratified_variance(vectors, groups):
    total = 0.0
    for group in np.unique(groups):
        members = vectors[groups == group]
        total += len(members) / len(vectors) * members.var(axis=0).sum()
    return total


def noisy_groups():
    return [0.0, 1.0] + [0.5] * (N_7 - 2), [0] * (N_7 - GROUPS_7 + 1) + list(range(1, GROUPS_7))


# %% ps1-task7 all groups count alike
# test: ps1-task7-test
# message: which factor does a group of n_j samples get
def stratified_variance(vectors, groups):
    labels = np.unique(groups)
    return sum(vectors[groups == group].var(axis=0).sum() for group in labels) / len(labels) ** 2


def noisy_groups():
    return [0.0, 1.0] + [0.5] * (N_7 - 2), [0] * (N_7 - GROUPS_7 + 1) + list(range(1, GROUPS_7))


# %% ps1-task7 groups as equal as possible, ordered by value
# test: ps1-task7-test-example
# message: not noisier than the batch with replacement
def stratified_variance(vectors, groups):
    raise NotImplementedError


def noisy_groups():
    return list(range(N_7)), sorted(i % GROUPS_7 for i in range(N_7))


# %% ps1-task7 one large group, but the others differ from it
# test: ps1-task7-test-example
# message: noisier, but by less than RATIO_7
def stratified_variance(vectors, groups):
    raise NotImplementedError


def noisy_groups():
    large = N_7 - GROUPS_7 + 1
    values = [(-1.0) ** i for i in range(large)] + [1.6] * (GROUPS_7 - 1)
    return values, [0] * large + list(range(1, GROUPS_7))


# %% ps1-task7 leaves groups empty
# test: ps1-task7-test-example
# message: every group from 0 to GROUPS_7 - 1 must occur
def stratified_variance(vectors, groups):
    raise NotImplementedError


def noisy_groups():
    return list(range(N_7)), [0] * N_7


# %% ps1-task4 shortens a trial that is short enough: halves once more before accepting
# test: ps1-task4-test
# message: a trial was rejected that satisfies the condition
def searched_descent(problem, start, steps, first_trial):
    x, trial = start, first_trial
    accepted, trials = [], []
    for _ in range(steps):
        value, gradient, count = problem.value(x), problem.gradient(x), 1
        while problem.value(x - trial * gradient) > value - 0.5 * trial * gradient @ gradient:
            trial, count = trial / 2, count + 1
        if count > 1:
            trial, count = trial / 2, count + 1
        x = x - trial * gradient
        accepted.append(trial)
        trials.append(count)
        trial = 2 * trial
    return np.array(accepted), np.array(trials)


def most_trials(steps, first_trial, smoothness):
    return 2 * steps - 1 + math.log2(2 * smoothness * first_trial)
