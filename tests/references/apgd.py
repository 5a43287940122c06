"""APGD in float64, one example at a time, as a plain loop; and a small network to attack."""

import numpy as np

from tests.references import dlr


class Network:
    """logits = b + W tanh(V (x - 1/2) + a): enough curvature to make an ascent oscillate."""

    def __init__(self, seed=0, pixels=12, hidden=16, classes=5, slope=3.0):
        generator = np.random.default_rng(seed)
        self.inner = generator.normal(size=(hidden, pixels)) * slope
        self.inner_bias = generator.normal(size=hidden)
        self.outer = generator.normal(size=(classes, hidden))
        self.outer_bias = generator.normal(size=classes) * 0.3

    def logits(self, x):
        return self.outer_bias + self.outer @ np.tanh(self._inside(x))

    def input_gradient(self, x, logit_gradient):
        """Gradient at x of anything whose gradient at the logits is given."""
        hidden = (self.outer.T @ logit_gradient) * (1 - np.tanh(self._inside(x)) ** 2)
        return self.inner.T @ hidden

    def _inside(self, x):
        return self.inner @ (x - 0.5) + self.inner_bias


def cross_entropy(z, label):
    """Loss and gradient [K] of logits z [K]."""
    share = np.exp(z - z.max())
    share /= share.sum()
    gradient = share.copy()
    gradient[label] -= 1.0
    return -np.log(share[label]), gradient


OBJECTIVES = {"ce": cross_entropy, "dlr": dlr.dlr, "targeted_dlr": dlr.targeted_dlr}


def look(network, objective, point, label, *target):
    """Loss, input gradient and whether misclassified, at one image.

    The loss is rounded: near its maximum two orders of summation would differ in their last bits,
    and these would decide which of two iterates is the better one.
    """
    z = network.logits(point)
    loss, gradient = OBJECTIVES[objective](z, label, *target)
    return round(loss, 8), network.input_gradient(point, gradient), np.argmax(z) != label


def apgd(network, x, start, norm, epsilon, steps, objective, label, *target):
    """Runs APGD on one image x [D] from `start`.

    Returns:
        A dict with, per step, the step size it used and the best loss after it, the losses, which
        of the two rules halved at each checkpoint, the final step size, the smallest gradient met
        (by its largest entry), and the image returned: the last misclassified one, else the best.
    """

    def project(point):
        delta = point - x
        if norm == "linf":
            return np.clip(np.clip(point, x - epsilon, x + epsilon), 0, 1)
        length = np.linalg.norm(delta)
        return np.clip(x + delta / (length + 1e-12) * min(epsilon, length), 0, 1)

    point = project(start)
    loss, gradient, fooled = look(network, objective, point, label, *target)
    returned = point if fooled else None
    best, best_gradient, best_loss = point, gradient, loss
    earlier, size = point, 2 * epsilon
    losses = np.zeros(steps)
    window, since_check = max(int(0.22 * steps), 1), 0
    halved_before, best_before = True, best_loss
    trace = {"step_sizes": [], "best_losses": [], "rules": []}
    smallest_gradient = np.inf
    for i in range(steps):
        trace["step_sizes"].append(size)
        smallest_gradient = min(smallest_gradient, np.abs(gradient).max())
        if norm == "linf":
            direction = np.sign(gradient)
        else:
            direction = gradient / (np.linalg.norm(gradient) + 1e-12)
        a = 0.75 if i > 0 else 1.0
        end = project(point + size * direction)
        following = project(point + a * (end - point) + (1 - a) * (point - earlier))
        earlier, point = point, following
        losses[i], gradient, fooled = look(network, objective, point, label, *target)
        if fooled:
            returned = point
        if losses[i] > best_loss:
            best, best_gradient, best_loss = point, gradient, losses[i]
        trace["best_losses"].append(best_loss)
        since_check += 1
        if since_check == window:
            # At i = 0 the former loss is the array's last entry, still zero.
            rises = sum(losses[i - j] > losses[i - j - 1] for j in range(window))
            oscillates = rises <= 0.75 * window
            unchanged = not halved_before and best_before >= best_loss
            trace["rules"].append((oscillates, unchanged))
            halved_before, best_before = oscillates or unchanged, best_loss
            if halved_before:
                size /= 2
                point, gradient = best, best_gradient
            since_check = 0
            window = max(window - max(int(0.03 * steps), 1), max(int(0.06 * steps), 1))
    image = best if returned is None else returned
    return trace | {
        "losses": losses,
        "last_step_size": size,
        "smallest_gradient": smallest_gradient,
        "image": image,
    }
