"""Correct solutions of problem set 4 in another style; every one must get full marks."""


# %% ps4-task1 one matrix exponential
def decayed_flow(features, targets, decay, t, start):
    n, p = features.shape
    generator = np.zeros((p + 1, p + 1))
    generator[:p, :p] = -features.T @ features / n - decay * np.eye(p)
    generator[:p, p] = features.T @ targets / n
    return (expm(t * generator) @ np.append(start, 1.0))[:p]


# %% ps4-task2 the factor as a matrix, column by column
def euler_step(features, targets, beta, step_size, batch_size, replacement, time_step, normals):
    n = len(targets)
    gradients = np.array([x * (x @ beta - y) for x, y in zip(features, targets, strict=True)])
    mean = gradients.mean(axis=0)
    c = 1 / batch_size if replacement else (n / batch_size - 1) / (n - 1)
    increment = np.zeros(len(beta))
    for gradient, normal in zip(gradients, normals, strict=True):
        increment -= np.sqrt(step_size * c / n) * (gradient - mean) * normal
    return beta - time_step * mean + np.sqrt(time_step) * increment


# %% ps4-task3 three variances, and bisection
def averaged_variance(s, tau, T):
    # s ∫X = √τ W_T - X_T, and X_T has the covariance √τ (1 - e^{-sT})/s with W_T.
    end = tau * (1 - np.exp(-2 * s * T)) / (2 * s)
    mixed = tau * (1 - np.exp(-s * T)) / s
    return (tau * T + end - 2 * mixed) / (s * T) ** 2


def averaging_time():
    low, high = 3 / RATE, 1e5 / RATE
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        if averaged_variance(RATE, 2 * RATE, middle) > SHARE:
            low = middle
        else:
            high = middle
    return high


# %% ps4-task4 correlated columns are not needed, other scales do as well
def tied_residuals():
    features, residuals = [], []
    for _ in range(2):
        features += [[3.0, 0.0]]
    residuals += [2.0, -2.0]
    for sign in (1, -1):
        for _ in range(9):
            features += [[0.0, 0.5]]
            residuals += [0.2 * sign]
    features = np.array(features)
    return {
        "features": features.tolist(),
        "targets": [x @ SLOPES + r for x, r in zip(features, residuals, strict=True)],
    }


# %% ps4-task5 a fine grid, refined
def coordinate_range(a):
    x = np.geomspace(1e-9, 1e9, 4001)
    for _ in range(4):
        quotient = -np.expm1(-x) * (1 + a / x)
        best = int(quotient.argmax())
        low, high = x[max(best - 1, 0)], x[min(best + 1, 4000)]
        x = np.geomspace(low, high, 4001)
    return [min(1.0, a), max(quotient.max(), a)]


def best_calibration():
    low, high = 0.5, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        m, M = coordinate_range(middle)
        low, high = (middle, high) if 1 - m > M - 1 else (low, middle)
    return low, 1 - low


# %% ps4-task6 other forms of the same, and a search
def best_tuning(s, theta, sigma, n):
    variance = sigma**2 / (n * s)
    left = variance / (theta**2 + variance)  # what the filter holds back
    return -np.log(left) / s, s * left / (1 - left)


def shrinking_wins():
    scan = np.geomspace(1e-3, 1e4, 1500)[:, None] / SLOW
    best = None
    for fast in (3.0, 5.0, 10.0):
        s = SLOW * np.array([1.0] + [fast] * 6)
        for power in np.geomspace(0.2, 10, 20):
            theta = np.array([np.sqrt(power * LEVEL / SLOW)] + [0.0] * 6)
            risks = [
                ((1 - f) ** 2 @ theta**2 + f**2 @ (LEVEL / s)).min()
                for f in (1 - np.exp(-scan * s), s / (s + 1 / scan))
            ]
            if best is None or risks[0] / risks[1] > best[0]:
                best = risks[0] / risks[1], s.tolist(), theta.tolist()
    return {"eigenvalues": best[1], "signal": best[2]}


# %% ps4-task7 logarithm of a matrix and a linear system
from scipy.linalg import logm


def matching_drift(hessian, step_size):
    step = np.eye(len(hessian)) - step_size * hessian
    return -np.real(logm(step)) / step_size


def matching_diffusion(hessian, noise_covariance, step_size):
    # Q = A S + S A, where S is what the covariance tends to: S = (I - ηH) S (I - ηH) + η² C.
    p, step = len(hessian), np.eye(len(hessian)) - step_size * hessian
    system = np.eye(p * p) - np.kron(step, step)
    still = np.linalg.solve(system, step_size**2 * np.ravel(noise_covariance)).reshape(p, p)
    drift = matching_drift(hessian, step_size)
    return drift @ still + still @ drift


def no_process():
    turn = np.linalg.qr(np.arange(9.0).reshape(3, 3) ** 2 + np.eye(3))[0]
    spectrum = np.array([TOP, 0.3 * TOP, 0.01 * TOP])
    along = turn @ np.ones(3)
    return {
        "hessian": (turn * spectrum) @ turn.T,
        "noise_covariance": np.outer(along, along),
    }
