"""Wrong answers to problem set 5, each a misconception with the message that it must meet."""


# %% ps5-task1 maximising the linear model
# test: ps5-task1-test
# message: is the linear model minimised?
def best_vertex(gradient, weights, radius):
    at = int(np.argmax(np.abs(gradient) / weights))
    vertex = np.zeros(len(gradient))
    vertex[at] = np.sign(gradient[at]) * radius / weights[at]
    return vertex


# %% ps5-task1 a vertex without the radius
# test: ps5-task1-test
# message: with weights 1 and radius 2 another point of the ball
def best_vertex(gradient, weights, radius):
    at = int(np.argmax(np.abs(gradient) / weights))
    vertex = np.zeros(len(gradient))
    vertex[at] = -np.sign(gradient[at]) / weights[at]
    return vertex


# %% ps5-task1 the largest slope whatever the weights
# test: ps5-task1-test
# message: with weights other than 1 another point of the set
def best_vertex(gradient, weights, radius):
    at = int(np.argmax(np.abs(gradient)))
    vertex = np.zeros(len(gradient))
    vertex[at] = -np.sign(gradient[at]) * radius / weights[at]
    return vertex


# %% ps5-task1 multiplying by the weights
# test: ps5-task1-test
# message: what is its weighted norm?
def best_vertex(gradient, weights, radius):
    at = int(np.argmax(np.abs(gradient) * weights))
    vertex = np.zeros(len(gradient))
    vertex[at] = -np.sign(gradient[at]) * radius * weights[at]
    return vertex


# %% ps5-task1 forgetting the sign of the slope
# test: ps5-task1-test
# message: <gradient, v> is not negative
def best_vertex(gradient, weights, radius):
    at = int(np.argmax(np.abs(gradient) / weights))
    vertex = np.zeros(len(gradient))
    vertex[at] = -radius / weights[at]
    return vertex


# %% ps5-task2 stepping without convex combination
# test: ps5-task2-test-run
# message: is it a convex combination
def certified_run(problem, constraint, start, steps):
    points, gaps, x = [], [], np.array(start, dtype=float)
    for t in range(steps + 1):
        gradient = problem.gradient(x)
        v = constraint.linear_minimizer(gradient)
        points.append(x)
        gaps.append(gradient @ (x - v))
        x = x + 2 / (t + 2) * v
    return np.array(points), np.array(gaps)


def bracket(problem, points, gaps):
    values = problem.value(points)
    return float(np.max(values - gaps)), float(np.min(values))


# %% ps5-task2 maximising the linear model
# test: ps5-task2-test-run
# message: where the linear model is larger than at the start
def certified_run(problem, constraint, start, steps):
    points, gaps, x = [], [], np.array(start, dtype=float)
    for t in range(steps + 1):
        gradient = problem.gradient(x)
        v = constraint.linear_minimizer(-gradient)
        points.append(x)
        gaps.append(abs(gradient @ (x - v)))
        x = x + 2 / (t + 2) * (v - x)
    return np.array(points), np.array(gaps)


def bracket(problem, points, gaps):
    values = problem.value(points)
    return float(np.max(values - gaps)), float(np.min(values))


# %% ps5-task2 steps counted from 1
# test: ps5-task2-test-run
# message: the step at t = 0 is 1
def certified_run(problem, constraint, start, steps):
    points, gaps, x = [], [], np.array(start, dtype=float)
    for t in range(1, steps + 2):
        gradient = problem.gradient(x)
        v = constraint.linear_minimizer(gradient)
        points.append(x)
        gaps.append(gradient @ (x - v))
        x = x + 2 / (t + 2) * (v - x)
    return np.array(points), np.array(gaps)


def bracket(problem, points, gaps):
    values = problem.value(points)
    return float(np.max(values - gaps)), float(np.min(values))


# %% ps5-task2 2/(t+1) for 2/(t+2), cut off at 1
# test: ps5-task2-test-run
# message: is not one of size 2/(t + 2)
def certified_run(problem, constraint, start, steps):
    points, gaps, x = [], [], np.array(start, dtype=float)
    for t in range(steps + 1):
        gradient = problem.gradient(x)
        v = constraint.linear_minimizer(gradient)
        points.append(x)
        gaps.append(gradient @ (x - v))
        x = x + min(1, 2 / (t + 1)) * (v - x)
    return np.array(points), np.array(gaps)


def bracket(problem, points, gaps):
    values = problem.value(points)
    return float(np.max(values - gaps)), float(np.min(values))


# %% ps5-task2 2/(t+1), with a first step beyond 1
# test: ps5-task2-test-run
# message: a point lies outside the set
def certified_run(problem, constraint, start, steps):
    points, gaps, x = [], [], np.array(start, dtype=float)
    for t in range(steps + 1):
        gradient = problem.gradient(x)
        v = constraint.linear_minimizer(gradient)
        points.append(x)
        gaps.append(gradient @ (x - v))
        x = x + 2 / (t + 1) * (v - x)
    return np.array(points), np.array(gaps)


def bracket(problem, points, gaps):
    values = problem.value(points)
    return float(np.max(values - gaps)), float(np.min(values))


# %% ps5-task2 the gap with the wrong sign
# test: ps5-task2-test-gaps
# message: a Frank–Wolfe gap is never negative
def certified_run(problem, constraint, start, steps):
    points, gaps, x = [], [], np.array(start, dtype=float)
    for t in range(steps + 1):
        gradient = problem.gradient(x)
        v = constraint.linear_minimizer(gradient)
        points.append(x)
        gaps.append(gradient @ (v - x))
        x = x + 2 / (t + 2) * (v - x)
    return np.array(points), np.array(gaps)


def bracket(problem, points, gaps):
    values = problem.value(points)
    return float(np.max(values - gaps)), float(np.min(values))


# %% ps5-task2 gaps one point late
# test: ps5-task2-test-gaps
# message: one place late
def certified_run(problem, constraint, start, steps):
    points, x = [np.array(start, dtype=float)], np.array(start, dtype=float)
    gaps = [1.0]
    for t in range(steps):
        gradient = problem.gradient(x)
        v = constraint.linear_minimizer(gradient)
        gaps.append(gradient @ (x - v))
        x = x + 2 / (t + 2) * (v - x)
        points.append(x)
    return np.array(points), np.array(gaps)


def bracket(problem, points, gaps):
    values = problem.value(points)
    return float(np.max(values - gaps)), float(np.min(values))


# %% ps5-task2 the gap times the step
# test: ps5-task2-test-gaps
# message: a gap differs from the largest decrease
def certified_run(problem, constraint, start, steps):
    points, gaps, x = [], [], np.array(start, dtype=float)
    for t in range(steps + 1):
        gradient = problem.gradient(x)
        v = constraint.linear_minimizer(gradient)
        points.append(x)
        gaps.append(2 / (t + 2) * (gradient @ (x - v)))
        x = x + 2 / (t + 2) * (v - x)
    return np.array(points), np.array(gaps)


def bracket(problem, points, gaps):
    values = problem.value(points)
    return float(np.max(values - gaps)), float(np.min(values))


# %% ps5-task2 the last point knows best
# test: ps5-task2-test-bracket
# message: a point with a smaller value than the upper end was seen
def certified_run(problem, constraint, start, steps):
    points, gaps, x = [], [], np.array(start, dtype=float)
    for t in range(steps + 1):
        gradient = problem.gradient(x)
        v = constraint.linear_minimizer(gradient)
        points.append(x)
        gaps.append(gradient @ (x - v))
        x = x + 2 / (t + 2) * (v - x)
    return np.array(points), np.array(gaps)


def bracket(problem, points, gaps):
    value = float(problem.value(points[-1]))
    return value - gaps[-1], value


# %% ps5-task2 the best value and the best gap of different points
# test: ps5-task2-test-bracket
# message: one of the points proves a higher lower end
def certified_run(problem, constraint, start, steps):
    points, gaps, x = [], [], np.array(start, dtype=float)
    for t in range(steps + 1):
        gradient = problem.gradient(x)
        v = constraint.linear_minimizer(gradient)
        points.append(x)
        gaps.append(gradient @ (x - v))
        x = x + 2 / (t + 2) * (v - x)
    return np.array(points), np.array(gaps)


def bracket(problem, points, gaps):
    values = problem.value(points)
    return float(values.min() - np.min(gaps)), float(values.min())


# %% ps5-task2 the gap added instead of subtracted
# test: ps5-task2-test-bracket
# message: proves that the minimum is at most f(x)
def certified_run(problem, constraint, start, steps):
    points, gaps, x = [], [], np.array(start, dtype=float)
    for t in range(steps + 1):
        gradient = problem.gradient(x)
        v = constraint.linear_minimizer(gradient)
        points.append(x)
        gaps.append(gradient @ (x - v))
        x = x + 2 / (t + 2) * (v - x)
    return np.array(points), np.array(gaps)


def bracket(problem, points, gaps):
    values = problem.value(points)
    return float(np.min(values)), float(np.min(values + gaps))


# %% ps5-task3 the factor 1/2 forgotten
# test: ps5-task3-test-constant
# message: the constant of thm-fw-convex should come out
def rate_constant(ell):
    return ell**2 / (ell - 1)


def steps_needed():
    return int(np.ceil(rate_constant(ELL) * SMOOTHNESS * DIAMETER**2 / TARGET - ELL))


# %% ps5-task3 the constant of the lecture for all steps
# test: ps5-task3-test-constant
# message: exceeds your bound at some t
def rate_constant(ell):
    return 2.0


def steps_needed():
    return int(np.ceil(rate_constant(ELL) * SMOOTHNESS * DIAMETER**2 / TARGET - ELL))


# %% ps5-task3 a proof that gives too much away
# test: ps5-task3-test-constant
# message: a smaller constant would do
def rate_constant(ell):
    return ell**2 / 2


def steps_needed():
    return int(np.ceil(rate_constant(ELL) * SMOOTHNESS * DIAMETER**2 / TARGET - ELL))


# %% ps5-task3 the denominator t instead of t + ell
# test: ps5-task3-test-steps
# message: the bound reaches TARGET with fewer steps
def rate_constant(ell):
    return ell**2 / (2 * (ell - 1))


def steps_needed():
    return int(np.ceil(rate_constant(ELL) * SMOOTHNESS * DIAMETER**2 / TARGET))


# %% ps5-task3 the diameter not squared
# test: ps5-task3-test-steps
# message: the bound is still above TARGET
def rate_constant(ell):
    return ell**2 / (2 * (ell - 1))


def steps_needed():
    return max(1, int(np.ceil(rate_constant(ELL) * SMOOTHNESS * DIAMETER / TARGET - ELL)))


# %% ps5-task4 a function that is not convex
# test: ps5-task4-test
# message: the function is not convex
def growing_gap():
    point = SIDE * np.array([0.6, 0.1, 0.3])
    hessian = np.diag([1.0, -2.0, 0.5])
    return {"hessian": hessian, "linear": np.array([1.0, 0.0, 0.0]), "point": point}


# %% ps5-task4 the simplex of sum 1
# test: ps5-task4-test
# message: the point is not in the simplex of this class
def growing_gap():
    near = 1 / (2.5 * GROWTH)
    point = np.array([1 - near, 0.0, near])
    gradient = near * np.array([0.0, 1e-6, 1.0])
    hessian = np.diag([1.0, 0.0, 0.0])
    return {"hessian": hessian, "linear": hessian @ point - gradient, "point": point}


# %% ps5-task4 a full step instead of a short one
# test: ps5-task4-test
# message: the gap falls in this short step
def growing_gap():
    # The full step to the third vertex raises the gap more than fivefold.
    point = SIDE * np.array([0.5, 0.3, 0.2])
    return {"hessian": np.eye(3), "linear": np.zeros(3), "point": point}


# %% ps5-task4 near the vertex, but not near enough
# test: ps5-task4-test
# message: only, which is less than GROWTH
def growing_gap():
    point = SIDE * np.array([0.8, 0.0, 0.2])
    gradient = 0.2 * SIDE * np.array([0.0, 1e-6, 1.0])
    hessian = np.diag([1.0, 0.0, 0.0])
    return {"hessian": hessian, "linear": hessian @ point - gradient, "point": point}


# %% ps5-task5 as many samples a step as steps
# test: ps5-task5-test
# message: another batch size makes the bound smaller
def plan(smoothness, diameter, noise, excess, budget):
    batch = int(np.sqrt(budget))
    T = budget // batch
    step = min(1.0, np.sqrt(2 * excess / (smoothness * T)) / diameter)
    bound = excess / (step * T) + diameter * noise / np.sqrt(batch)
    return batch, step, bound + smoothness * diameter**2 * step / 2


# %% ps5-task5 a step beyond 1
# test: ps5-task5-test
# message: the step must be at most 1
def plan(smoothness, diameter, noise, excess, budget):
    batch = max(1, round(noise * np.sqrt(budget / (2 * smoothness * excess))))
    T = budget // batch
    step = np.sqrt(2 * excess / (smoothness * T)) / diameter
    bound = excess / (step * T) + diameter * noise / np.sqrt(batch)
    return batch, step, bound + smoothness * diameter**2 * step / 2


# %% ps5-task5 the factor 2 of the best step forgotten
# test: ps5-task5-test
# message: with the same batch another step
def plan(smoothness, diameter, noise, excess, budget):
    batch = max(1, round(noise * np.sqrt(budget / (2 * smoothness * excess))))
    T = budget // batch
    step = min(1.0, np.sqrt(excess / (smoothness * T)) / diameter)
    bound = excess / (step * T) + diameter * noise / np.sqrt(batch)
    return batch, step, bound + smoothness * diameter**2 * step / 2


# %% ps5-task5 counting samples as steps
# test: ps5-task5-test
# message: the number of steps that they leave
def plan(smoothness, diameter, noise, excess, budget):
    batch = max(1, round(noise * np.sqrt(budget / (2 * smoothness * excess))))
    step = min(1.0, np.sqrt(2 * excess / (smoothness * budget)) / diameter)
    bound = excess / (step * budget) + diameter * noise / np.sqrt(batch)
    return batch, step, bound + smoothness * diameter**2 * step / 2


# %% ps5-task5 noise over b instead of over its root
# test: ps5-task5-test
# message: is not that of the theorem
def plan(smoothness, diameter, noise, excess, budget):
    batch = max(1, round(noise * np.sqrt(budget / (2 * smoothness * excess))))
    T = budget // batch
    step = min(1.0, np.sqrt(2 * excess / (smoothness * T)) / diameter)
    bound = excess / (step * T) + diameter * noise / batch
    return batch, step, bound + smoothness * diameter**2 * step / 2


# %% ps5-task6 the mean over the batch
# test: ps5-task6-test-estimates
# message: belong to the mean as well
def table_run(problem, constraint, start, batches):
    table = np.zeros((problem.n_samples, len(start)))
    points, estimates = [np.array(start, dtype=float)], []
    for t, batch in enumerate(batches):
        x = points[-1]
        change = problem.component_gradients(x)[batch] - table[batch]
        estimates.append(table.mean(axis=0) + change.sum(axis=0) / len(batch))
        table[batch] += change
        v = constraint.linear_minimizer(estimates[-1])
        points.append(x + 2 / (t + 2) * (v - x))
    return np.array(points), np.array(estimates)


# %% ps5-task6 entries used before they are renewed
# test: ps5-task6-test-estimates
# message: are the entries of the batch renewed before they are used?
def table_run(problem, constraint, start, batches):
    table = np.zeros((problem.n_samples, len(start)))
    points, estimates = [np.array(start, dtype=float)], []
    for t, batch in enumerate(batches):
        x = points[-1]
        estimates.append(table.mean(axis=0))
        table[batch] = problem.component_gradients(x)[batch]
        v = constraint.linear_minimizer(estimates[-1])
        points.append(x + 2 / (t + 2) * (v - x))
    return np.array(points), np.array(estimates)


# %% ps5-task6 a table filled at the start
# test: ps5-task6-test-estimates
# message: a table that holds the gradients of the batch and zeros
def table_run(problem, constraint, start, batches):
    table = problem.component_gradients(np.array(start, dtype=float)).copy()
    points, estimates = [np.array(start, dtype=float)], []
    for t, batch in enumerate(batches):
        x = points[-1]
        table[batch] = problem.component_gradients(x)[batch]
        estimates.append(table.mean(axis=0))
        v = constraint.linear_minimizer(estimates[-1])
        points.append(x + 2 / (t + 2) * (v - x))
    return np.array(points), np.array(estimates)


# %% ps5-task6 new gradients added to old ones
# test: ps5-task6-test-estimates
# message: at the point where that sample was drawn last
def table_run(problem, constraint, start, batches):
    table = np.zeros((problem.n_samples, len(start)))
    points, estimates = [np.array(start, dtype=float)], []
    for t, batch in enumerate(batches):
        x = points[-1]
        table[batch] += problem.component_gradients(x)[batch]
        estimates.append(table.mean(axis=0))
        v = constraint.linear_minimizer(estimates[-1])
        points.append(x + 2 / (t + 2) * (v - x))
    return np.array(points), np.array(estimates)


# %% ps5-task6 a step against the estimate of the step before
# test: ps5-task6-test-points
# message: is not one of size 2/(t + 2) towards the vertex
def table_run(problem, constraint, start, batches):
    table = np.zeros((problem.n_samples, len(start)))
    points, estimates = [np.array(start, dtype=float)], []
    for t, batch in enumerate(batches):
        x = points[-1]
        table[batch] = problem.component_gradients(x)[batch]
        estimates.append(table.mean(axis=0))
        v = constraint.linear_minimizer(estimates[max(0, t - 1)])
        points.append(x + 2 / (t + 2) * (v - x))
    return np.array(points), np.array(estimates)


# %% ps5-task6 steps counted from 1
# test: ps5-task6-test-points
# message: is not one of size 2/(t + 2) towards the vertex
def table_run(problem, constraint, start, batches):
    table = np.zeros((problem.n_samples, len(start)))
    points, estimates = [np.array(start, dtype=float)], []
    for t, batch in enumerate(batches, start=1):
        x = points[-1]
        table[batch] = problem.component_gradients(x)[batch]
        estimates.append(table.mean(axis=0))
        v = constraint.linear_minimizer(estimates[-1])
        points.append(x + 2 / (t + 2) * (v - x))
    return np.array(points), np.array(estimates)


# %% ps5-task7 the weight of the past and of the news swapped
# test: ps5-task7-test-estimates
# message: with all weights 1 nothing old should be left
def corrected_estimates(problem, path, batches, weights):
    def mean_gradient(x, batch):
        return problem.component_gradients(x)[batch].mean(axis=0)

    estimates = [mean_gradient(path[0], batches[0])]
    for t in range(1, len(path)):
        old = estimates[-1] - mean_gradient(path[t - 1], batches[t])
        estimates.append(mean_gradient(path[t], batches[t]) + weights[t] * old)
    return np.array(estimates)


def error_floor(weight, noise, move):
    kept = (1 - weight) ** 2
    return 2 * (weight**2 * noise**2 + kept * move**2) / (1 - kept)


def best_weight(noise, move):
    return 2 / (1 + np.sqrt(1 + 4 * (noise / move) ** 2))


def exponents():
    return 1.0, 2 / 3, 1 / 3


# %% ps5-task7 a plain running mean
# test: ps5-task7-test-estimates
# message: is the old part corrected
def corrected_estimates(problem, path, batches, weights):
    def mean_gradient(x, batch):
        return problem.component_gradients(x)[batch].mean(axis=0)

    estimates = [mean_gradient(path[0], batches[0])]
    for t in range(1, len(path)):
        new = mean_gradient(path[t], batches[t])
        estimates.append((1 - weights[t]) * estimates[-1] + weights[t] * new)
    return np.array(estimates)


def error_floor(weight, noise, move):
    kept = (1 - weight) ** 2
    return 2 * (weight**2 * noise**2 + kept * move**2) / (1 - kept)


def best_weight(noise, move):
    return 2 / (1 + np.sqrt(1 + 4 * (noise / move) ** 2))


def exponents():
    return 1.0, 2 / 3, 1 / 3


# %% ps5-task7 the weight of the step before
# test: ps5-task7-test-estimates
# message: should be the plain running mean
def corrected_estimates(problem, path, batches, weights):
    def mean_gradient(x, batch):
        return problem.component_gradients(x)[batch].mean(axis=0)

    estimates = [mean_gradient(path[0], batches[0])]
    for t in range(1, len(path)):
        old = estimates[-1] - mean_gradient(path[t - 1], batches[t])
        estimates.append(mean_gradient(path[t], batches[t]) + (1 - weights[t - 1]) * old)
    return np.array(estimates)


def error_floor(weight, noise, move):
    kept = (1 - weight) ** 2
    return 2 * (weight**2 * noise**2 + kept * move**2) / (1 - kept)


def best_weight(noise, move):
    return 2 / (1 + np.sqrt(1 + 4 * (noise / move) ** 2))


def exponents():
    return 1.0, 2 / 3, 1 / 3


# %% ps5-task7 corrected by the exact change of the gradient
# test: ps5-task7-test-estimates
# message: by the change of the gradient of one and the same batch
def corrected_estimates(problem, path, batches, weights):
    def mean_gradient(x, batch):
        return problem.component_gradients(x)[batch].mean(axis=0)

    estimates = [mean_gradient(path[0], batches[0])]
    for t in range(1, len(path)):
        change = problem.gradient(path[t]) - problem.gradient(path[t - 1])
        new = mean_gradient(path[t], batches[t])
        estimates.append((1 - weights[t]) * (estimates[-1] + change) + weights[t] * new)
    return np.array(estimates)


def error_floor(weight, noise, move):
    kept = (1 - weight) ** 2
    return 2 * (weight**2 * noise**2 + kept * move**2) / (1 - kept)


def best_weight(noise, move):
    return 2 / (1 + np.sqrt(1 + 4 * (noise / move) ** 2))


def exponents():
    return 1.0, 2 / 3, 1 / 3


# %% ps5-task7 the old batch at the old point
# test: ps5-task7-test-estimates
# message: should be the plain running mean
def corrected_estimates(problem, path, batches, weights):
    def mean_gradient(x, batch):
        return problem.component_gradients(x)[batch].mean(axis=0)

    estimates = [mean_gradient(path[0], batches[0])]
    for t in range(1, len(path)):
        old = estimates[-1] - mean_gradient(path[t - 1], batches[t - 1])
        estimates.append(mean_gradient(path[t], batches[t]) + (1 - weights[t]) * old)
    return np.array(estimates)


def error_floor(weight, noise, move):
    kept = (1 - weight) ** 2
    return 2 * (weight**2 * noise**2 + kept * move**2) / (1 - kept)


def best_weight(noise, move):
    return 2 / (1 + np.sqrt(1 + 4 * (noise / move) ** 2))


def exponents():
    return 1.0, 2 / 3, 1 / 3


# %% ps5-task7 the error shrinks by 1 - rho, as for a plain running mean
# test: ps5-task7-test-floor
# message: by what factor does the square of the last error shrink
def corrected_estimates(problem, path, batches, weights):
    def mean_gradient(x, batch):
        return problem.component_gradients(x)[batch].mean(axis=0)

    estimates = [mean_gradient(path[0], batches[0])]
    for t in range(1, len(path)):
        old = estimates[-1] - mean_gradient(path[t - 1], batches[t])
        estimates.append(mean_gradient(path[t], batches[t]) + (1 - weights[t]) * old)
    return np.array(estimates)


def error_floor(weight, noise, move):
    return 2 * (weight**2 * noise**2 + (1 - weight) ** 2 * move**2) / weight


def best_weight(noise, move):
    return 2 / (1 + np.sqrt(1 + 4 * (noise / move) ** 2))


def exponents():
    return 1.0, 2 / 3, 1 / 3


# %% ps5-task7 the factor 2 for the first part of the noise only
# test: ps5-task7-test-floor
# message: some term has lost a factor
def corrected_estimates(problem, path, batches, weights):
    def mean_gradient(x, batch):
        return problem.component_gradients(x)[batch].mean(axis=0)

    estimates = [mean_gradient(path[0], batches[0])]
    for t in range(1, len(path)):
        old = estimates[-1] - mean_gradient(path[t - 1], batches[t])
        estimates.append(mean_gradient(path[t], batches[t]) + (1 - weights[t]) * old)
    return np.array(estimates)


def error_floor(weight, noise, move):
    kept = (1 - weight) ** 2
    return (2 * weight**2 * noise**2 + kept * move**2) / (1 - kept)


def best_weight(noise, move):
    return 2 / (1 + np.sqrt(1 + 4 * (noise / move) ** 2))


def exponents():
    return 1.0, 2 / 3, 1 / 3


# %% ps5-task7 the best weight for small moves only
# test: ps5-task7-test-floor
# message: also for large moves
def corrected_estimates(problem, path, batches, weights):
    def mean_gradient(x, batch):
        return problem.component_gradients(x)[batch].mean(axis=0)

    estimates = [mean_gradient(path[0], batches[0])]
    for t in range(1, len(path)):
        old = estimates[-1] - mean_gradient(path[t - 1], batches[t])
        estimates.append(mean_gradient(path[t], batches[t]) + (1 - weights[t]) * old)
    return np.array(estimates)


def error_floor(weight, noise, move):
    kept = (1 - weight) ** 2
    return 2 * (weight**2 * noise**2 + kept * move**2) / (1 - kept)


def best_weight(noise, move):
    return move / noise


def exponents():
    return 1.0, 2 / 3, 1 / 3


# %% ps5-task7 the best weight of a plain running mean
# test: ps5-task7-test-floor
# message: another weight makes the limit smaller
def corrected_estimates(problem, path, batches, weights):
    def mean_gradient(x, batch):
        return problem.component_gradients(x)[batch].mean(axis=0)

    estimates = [mean_gradient(path[0], batches[0])]
    for t in range(1, len(path)):
        old = estimates[-1] - mean_gradient(path[t - 1], batches[t])
        estimates.append(mean_gradient(path[t], batches[t]) + (1 - weights[t]) * old)
    return np.array(estimates)


def error_floor(weight, noise, move):
    kept = (1 - weight) ** 2
    return 2 * (weight**2 * noise**2 + kept * move**2) / (1 - kept)


def best_weight(noise, move):
    return min(1.0, (2 * move**2 / noise**2) ** (1 / 3))


def exponents():
    return 1.0, 2 / 3, 1 / 3


# %% ps5-task7 the square of the error taken for the error
# test: ps5-task7-test-exponents
# message: c and d do not belong to this a
def corrected_estimates(problem, path, batches, weights):
    def mean_gradient(x, batch):
        return problem.component_gradients(x)[batch].mean(axis=0)

    estimates = [mean_gradient(path[0], batches[0])]
    for t in range(1, len(path)):
        old = estimates[-1] - mean_gradient(path[t - 1], batches[t])
        estimates.append(mean_gradient(path[t], batches[t]) + (1 - weights[t]) * old)
    return np.array(estimates)


def error_floor(weight, noise, move):
    kept = (1 - weight) ** 2
    return 2 * (weight**2 * noise**2 + kept * move**2) / (1 - kept)


def best_weight(noise, move):
    return 2 / (1 + np.sqrt(1 + 4 * (noise / move) ** 2))


def exponents():
    return 1.0, 1 / 2, 1 / 2


# %% ps5-task7 the exponents of a plain running mean
# test: ps5-task7-test-exponents
# message: a is not the power with which the error floor falls
def corrected_estimates(problem, path, batches, weights):
    def mean_gradient(x, batch):
        return problem.component_gradients(x)[batch].mean(axis=0)

    estimates = [mean_gradient(path[0], batches[0])]
    for t in range(1, len(path)):
        old = estimates[-1] - mean_gradient(path[t - 1], batches[t])
        estimates.append(mean_gradient(path[t], batches[t]) + (1 - weights[t]) * old)
    return np.array(estimates)


def error_floor(weight, noise, move):
    kept = (1 - weight) ** 2
    return 2 * (weight**2 * noise**2 + kept * move**2) / (1 - kept)


def best_weight(noise, move):
    return 2 / (1 + np.sqrt(1 + 4 * (noise / move) ** 2))


def exponents():
    return 2 / 3, 3 / 4, 1 / 4


# %% ps5-task7 steps as for exact gradients
# test: ps5-task7-test-exponents
# message: another c lets the bound fall faster
def corrected_estimates(problem, path, batches, weights):
    def mean_gradient(x, batch):
        return problem.component_gradients(x)[batch].mean(axis=0)

    estimates = [mean_gradient(path[0], batches[0])]
    for t in range(1, len(path)):
        old = estimates[-1] - mean_gradient(path[t - 1], batches[t])
        estimates.append(mean_gradient(path[t], batches[t]) + (1 - weights[t]) * old)
    return np.array(estimates)


def error_floor(weight, noise, move):
    kept = (1 - weight) ** 2
    return 2 * (weight**2 * noise**2 + kept * move**2) / (1 - kept)


def best_weight(noise, move):
    return 2 / (1 + np.sqrt(1 + 4 * (noise / move) ** 2))


def exponents():
    return 1.0, 1 / 2, 1 / 4
