"""Supervised contrastive loss with hardness weights, in blocks of columns.

For a row i with embedding z_i, A(i) all other columns and P(i) those of A(i) with i's label,

    w_ip = |P(i)| exp(-beta z_i.z_p) / sum_{q in P(i)} exp(-beta z_i.z_q)   (no gradient)
    l_i  = -1/|P(i)| sum_{p in P(i)} w_ip log(exp(z_i.z_p/tau) / sum_{a in A(i)} exp(z_i.z_a/tau))

beta = 0 is L_out of Khosla et al. 2020, "Supervised Contrastive Learning"; beta > 0 weighs the
least similar positives most: the hardness weighting of ANCHOR (arXiv 2510.27599), whose exact
weights were not before us: these are ours, with mean 1 over P(i).

As the weights average to 1, l_i = logsumexp_{a in A(i)} s_ia - sum_p (w_ip / |P(i)|) s_ip with
s = z.z / tau. Both terms accumulate over blocks of columns and the gradient recomputes each block,
so that memory holds rows x block similarities, however many columns there are.
"""

import dataclasses

import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.losses import hardest_positives
from anchor_tf.losses.blocks import LOWEST, default_size, length_of

_BELOW_ALL = -1e20  # below every real value, so far above LOWEST that exp of the difference is 0


def supervised_contrastive(
    embeddings: tf.Tensor,
    labels: tf.Tensor,
    *,
    temperature: float = 0.1,
    beta: float = 0.0,
    positives: int | None = None,
    columns: tf.Tensor | None = None,
    column_labels: tf.Tensor | None = None,
    row_offset: int | tf.Tensor = 0,
    block_size: int | None = None,
) -> tf.Tensor:
    """Loss of each row.

    Args:
        embeddings: rows z, [N, D], of unit length; the views of an image are separate rows.
        labels: integers [N].
        temperature: tau, above 0.
        beta: hardness; 0 weighs all positives alike.
        positives: keep only this many of P(i), the least similar ones (of equals the first
            columns); A(i) is unchanged. All by default.
        columns: what the rows are contrasted with, [M, D]: the embeddings gathered from all
            replicas, of which the rows are columns row_offset ... row_offset + N - 1. The
            embeddings themselves by default.
        column_labels: integers [M].
        row_offset: column of the first row.
        block_size: columns a block; by default as many as make a block of 2**23 similarities.

    Returns:
        float32 [N]; 0, with zero gradient, for a row without positives.

    Raises:
        UserError: temperature not above 0, or positives below 1.
    """
    if temperature <= 0 or (positives is not None and positives < 1):
        raise UserError("temperature must be above 0 and positives at least 1")
    rows = tf.cast(embeddings, tf.float32)
    if columns is None:
        columns, column_labels = rows, labels
    count = length_of(columns)
    if tf.is_tensor(count) or tf.is_tensor(length_of(rows)):
        block_size = count  # lengths known only at run time: a single block
    elif block_size is None:
        block_size = default_size(count, length_of(rows))
    else:
        block_size = min(count, block_size)
    padding = -count % block_size
    columns = tf.pad(tf.cast(columns, tf.float32), [[0, padding], [0, 0]])
    column_labels = tf.pad(tf.cast(column_labels, tf.int32), [[0, padding]])
    contrast = _Contrast(
        row_labels=tf.cast(labels, tf.int32),
        column_labels=column_labels,
        row_offset=row_offset,
        count=count,
        size=block_size,
        single=block_size is count,
        padded=tf.is_tensor(padding) or padding > 0,
        temperature=temperature,
        beta=beta,
        positives=positives,
    )
    return contrast.loss(rows, columns)


@dataclasses.dataclass(frozen=True)
class _Contrast:
    """The loss for given labels: its sums over the columns, and its gradient, block by block."""

    row_labels: tf.Tensor
    column_labels: tf.Tensor  # padded to a multiple of size
    row_offset: int | tf.Tensor
    count: int
    size: int
    single: bool
    padded: bool
    temperature: float
    beta: float
    positives: int | None

    @property
    def hardness(self) -> float:
        """What a logit, z.z / temperature, is multiplied by in the weights' exponent."""
        return -self.beta * self.temperature

    def loss(self, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        """Loss [N] of rows [N, D] against the padded columns."""

        @tf.custom_gradient
        def blocked(rows, columns):
            sums = self._hardest_sums if self.positives else self._sums
            others_sum, hardness_sum, pulled, hardest = sums(rows, columns)
            has_positive = hardness_sum > LOWEST / 2
            loss = tf.where(has_positive, others_sum - pulled, 0.0)

            def gradient(upstream):
                scale = tf.where(has_positive, upstream / self.temperature, 0.0)
                return self._gradient(rows, columns, scale, others_sum, hardness_sum, hardest)

            return loss, gradient

        return blocked(rows, columns)

    def _block(self, rows, columns, first):
        """The `size` columns from `first`, their logits, others and whose label is the row's."""
        block = tf.slice(columns, [first, 0], [self.size, columns.shape[1]])
        labels = tf.slice(self.column_labels, [first], [self.size])
        column = first + tf.range(self.size)
        row = tf.range(length_of(self.row_labels)) + self.row_offset
        others = row[:, tf.newaxis] != column
        if self.padded:
            others &= column < self.count
        same = self.row_labels[:, tf.newaxis] == labels
        logits = tf.matmul(rows / self.temperature, block, transpose_b=True)
        return block, logits, others, same

    def _fold(self, function, state):
        """Folds `function(first, *state) -> state` over the first columns of the blocks."""
        if self.single:
            return function(0, *state)
        return tf.while_loop(
            lambda first, *_: first < self.count,
            lambda first, *state: (first + self.size, *function(first, *state)),
            (tf.constant(0), *state),
            parallel_iterations=1,
        )[1:]

    def _sums(self, rows, columns):
        """Per row: log sum over others, log sum of hardness, weighted mean positive logit."""
        zero = tf.zeros([length_of(rows)])
        none = zero + _BELOW_ALL

        def visit(first, others_peak, others_sum, hardness_peak, hardness_sum, pulled):
            _, logits, others, same = self._block(rows, columns, first)
            shares, others_peak, faded = _shares(tf.where(others, logits, LOWEST), others_peak)
            others_sum = others_sum * faded + tf.reduce_sum(shares, 1)
            hardness = tf.where(others & same, self.hardness * logits, LOWEST)
            shares, hardness_peak, faded = _shares(hardness, hardness_peak)
            hardness_sum = hardness_sum * faded + tf.reduce_sum(shares, 1)
            pulled = pulled * faded + tf.reduce_sum(shares * logits, 1)
            return others_peak, others_sum, hardness_peak, hardness_sum, pulled

        state = self._fold(visit, (none, zero, none, zero, zero))
        others_peak, others_sum, hardness_peak, hardness_sum, pulled = state
        return (
            _log(others_sum, others_peak),
            _log(hardness_sum, hardness_peak),
            tf.math.divide_no_nan(pulled, hardness_sum),
            None,
        )

    def _hardest_sums(self, rows, columns):
        """The same over the hardest positives only, with their shares and columns [N, K]."""
        shape = [length_of(rows), self.positives]

        zero = tf.zeros([length_of(rows)])

        def visit(first, others_peak, others_sum, negated, places):
            _, logits, others, same = self._block(rows, columns, first)
            shares, others_peak, faded = _shares(tf.where(others, logits, LOWEST), others_peak)
            others_sum = others_sum * faded + tf.reduce_sum(shares, 1)
            merged = hardest_positives.merged(logits, others & same, first, negated, places)
            return others_peak, others_sum, *merged

        state = (zero + _BELOW_ALL, zero, tf.fill(shape, LOWEST), tf.zeros(shape, tf.int32))
        others_peak, others_sum, negated, places = self._fold(visit, state)
        others_sum = _log(others_sum, others_peak)
        kept = negated > LOWEST / 2
        negated = tf.where(kept, negated, 0.0)
        hardness = tf.where(kept, -self.hardness * negated, LOWEST)
        hardness_sum = tf.reduce_logsumexp(hardness, axis=1)
        share = tf.where(kept, tf.exp(hardness - hardness_sum[:, tf.newaxis]), 0.0)
        return others_sum, hardness_sum, -tf.reduce_sum(share * negated, 1), (share, places)

    def _gradient(self, rows, columns, scale, others_sum, hardness_sum, hardest):
        """Gradients of rows and columns; `scale` [N] is the upstream gradient / temperature."""

        def visit(first, row_gradient, column_gradient):
            block, logits, others, same = self._block(rows, columns, first)
            pushed = tf.exp(logits - others_sum[:, tf.newaxis])
            if hardest is None:
                share = tf.exp(self.hardness * logits - hardness_sum[:, tf.newaxis])
                share = tf.where(same, share, 0.0)
            else:
                share = hardest_positives.spread(*hardest, first, self.size)
            by_logit = tf.where(others, pushed - share, 0.0)
            block_gradient = tf.matmul(by_logit, scaled_rows, transpose_a=True)
            return (
                row_gradient + scale[:, tf.newaxis] * tf.matmul(by_logit, block),
                column_gradient.write(first // self.size, block_gradient),
            )

        scaled_rows = scale[:, tf.newaxis] * rows
        width = columns.shape[1]
        known = None if tf.is_tensor(self.size) else self.size
        stack = tf.TensorArray(
            tf.float32, length_of(columns) // self.size, element_shape=[known, width]
        )
        row_gradient, stack = self._fold(visit, (tf.zeros_like(rows), stack))
        return row_gradient, tf.reshape(stack.stack(), [length_of(columns), width])


def _shares(logs: tf.Tensor, peak: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """A block's exponentials relative to the largest so far, that, and what former ones fade by."""
    higher = tf.maximum(peak, tf.reduce_max(logs, axis=1))
    return tf.exp(logs - higher[:, tf.newaxis]), higher, tf.exp(peak - higher)


def _log(total: tf.Tensor, peak: tf.Tensor) -> tf.Tensor:
    """log(total) + peak, `LOWEST` where the total is 0."""
    return tf.where(total > 0.0, tf.math.log(tf.maximum(total, 1e-30)) + peak, LOWEST)
