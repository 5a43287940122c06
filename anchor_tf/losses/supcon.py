"""Supervised contrastive loss with hardness weights, in blocks of columns.

For a row i with embedding z_i, A(i) all other columns and P(i) those of A(i) with i's label,

    w_ip = |P(i)| exp(-beta z_i.z_p) / sum_{q in P(i)} exp(-beta z_i.z_q)   (no gradient)
    l_i  = -1/|P(i)| sum_{p in P(i)} w_ip log(exp(z_i.z_p/tau) / sum_{a in A(i)} exp(z_i.z_a/tau))

beta = 0 is L_out of Khosla et al. 2020, "Supervised Contrastive Learning"; beta > 0 weighs the
least similar positives most: the hardness weighting of ANCHOR (arXiv 2510.27599), whose exact
weights are not published in what we have; these are ours, with mean 1 over P(i).

As the weights average to 1, l_i = logsumexp_{a in A(i)} s_ia - sum_p (w_ip / |P(i)|) s_ip with
s = z.z / tau. Both terms accumulate over blocks of columns and the gradient recomputes each block,
so that memory holds rows x block similarities, however many columns there are.
"""

import dataclasses

import tensorflow as tf

from anchor_tf.errors import UserError

_LOWEST = -1e30  # stands for log 0; finite, as inf - inf is not a number
_BLOCK_ELEMENTS = 2**23


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
    count = _length(columns)
    if tf.is_tensor(count) or tf.is_tensor(_length(rows)):
        block_size = count  # lengths known only at run time: a single block
    elif block_size is None:
        block_size = min(count, max(256, _BLOCK_ELEMENTS // _length(rows)))
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
    temperature: float
    beta: float
    positives: int | None

    def loss(self, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        """Loss [N] of rows [N, D] against the padded columns."""

        @tf.custom_gradient
        def blocked(rows, columns):
            sums = self._hardest_sums if self.positives else self._sums
            others_sum, hardness_sum, pulled, hardest = sums(rows, columns)
            has_positive = hardness_sum > _LOWEST / 2
            loss = tf.where(has_positive, others_sum - pulled / self.temperature, 0.0)

            def gradient(upstream):
                scale = tf.where(has_positive, upstream / self.temperature, 0.0)
                return self._gradient(rows, columns, scale, others_sum, hardness_sum, hardest)

            return loss, gradient

        return blocked(rows, columns)

    def _block(self, rows, columns, first):
        """The `size` columns from `first`, their similarities, which are others, and positives."""
        block = tf.slice(columns, [first, 0], [self.size, columns.shape[1]])
        labels = tf.slice(self.column_labels, [first], [self.size])
        column = first + tf.range(self.size)
        row = tf.range(_length(self.row_labels)) + self.row_offset
        others = (row[:, tf.newaxis] != column) & (column < self.count)
        positive = others & (self.row_labels[:, tf.newaxis] == labels)
        return block, tf.matmul(rows, block, transpose_b=True), others, positive

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
        """Per row: log sum over others, log sum of hardness, weighted mean positive similarity."""
        none = tf.fill([_length(rows)], _LOWEST)

        def visit(first, others_sum, hardness_sum, pulled):
            _, similarity, others, positive = self._block(rows, columns, first)
            logits = tf.where(others, similarity / self.temperature, _LOWEST)
            hardness = tf.where(positive, -self.beta * similarity, _LOWEST)
            total = _log_add(hardness_sum, hardness)
            share = tf.where(positive, tf.exp(hardness - total[:, tf.newaxis]), 0.0)
            pulled = pulled * tf.exp(hardness_sum - total) + tf.reduce_sum(share * similarity, 1)
            return _log_add(others_sum, logits), total, pulled

        return (*self._fold(visit, (none, none, tf.zeros_like(none))), None)

    def _hardest_sums(self, rows, columns):
        """The same over the hardest positives only, with their shares and columns [N, K]."""
        shape = [_length(rows), self.positives]

        def visit(first, others_sum, negated, places):
            _, similarity, others, positive = self._block(rows, columns, first)
            logits = tf.where(others, similarity / self.temperature, _LOWEST)
            merged = _merge_hardest(similarity, positive, first, negated, places)
            return _log_add(others_sum, logits), *merged

        none = tf.fill([_length(rows)], _LOWEST)
        state = (none, tf.fill(shape, _LOWEST), tf.zeros(shape, tf.int32))
        others_sum, negated, places = self._fold(visit, state)
        kept = negated > _LOWEST / 2
        negated = tf.where(kept, negated, 0.0)
        hardness = tf.where(kept, self.beta * negated, _LOWEST)
        hardness_sum = tf.reduce_logsumexp(hardness, axis=1)
        share = tf.where(kept, tf.exp(hardness - hardness_sum[:, tf.newaxis]), 0.0)
        return others_sum, hardness_sum, -tf.reduce_sum(share * negated, 1), (share, places)

    def _gradient(self, rows, columns, scale, others_sum, hardness_sum, hardest):
        """Gradients of rows and columns; `scale` [N] is the upstream gradient / temperature."""

        def visit(first, row_gradient, column_gradient):
            block, similarity, others, positive = self._block(rows, columns, first)
            logits = similarity / self.temperature
            pushed = tf.where(others, tf.exp(logits - others_sum[:, tf.newaxis]), 0.0)
            if hardest is None:
                share = tf.exp(-self.beta * similarity - hardness_sum[:, tf.newaxis])
                share = tf.where(positive, share, 0.0)
            else:
                share = _spread(*hardest, first, self.size)
            by_similarity = scale[:, tf.newaxis] * (pushed - share)
            block_gradient = tf.matmul(by_similarity, rows, transpose_a=True)
            return (
                row_gradient + tf.matmul(by_similarity, block),
                column_gradient.write(first // self.size, block_gradient),
            )

        width = columns.shape[1]
        known = None if tf.is_tensor(self.size) else self.size
        stack = tf.TensorArray(
            tf.float32, _length(columns) // self.size, element_shape=[known, width]
        )
        row_gradient, stack = self._fold(visit, (tf.zeros_like(rows), stack))
        return row_gradient, tf.reshape(stack.stack(), [_length(columns), width])


def _log_add(log_sum: tf.Tensor, logs: tf.Tensor) -> tf.Tensor:
    """log(exp(log_sum) + sum_j exp(logs_j)): [N] and [N, size] -> [N]."""
    together = tf.concat([log_sum[:, tf.newaxis], tf.reduce_logsumexp(logs, 1, keepdims=True)], 1)
    return tf.reduce_logsumexp(together, axis=1)


def _merge_hardest(similarity, positive, first, negated, places):
    """Merges a block into the hardest positives so far: minus their similarity, their columns."""
    block_places = tf.broadcast_to(first + tf.range(_length(similarity, 1)), tf.shape(similarity))
    candidates = tf.concat([negated, tf.where(positive, -similarity, _LOWEST)], axis=1)
    negated, order = tf.math.top_k(candidates, k=negated.shape[1])
    return negated, tf.gather(tf.concat([places, block_places], axis=1), order, batch_dims=1)


def _spread(share, places, first, size):
    """Spreads the shares [N, K] of the hardest positives over a block: [N, size]."""
    places = places - first
    inside = (places >= 0) & (places < size)
    rows = tf.broadcast_to(tf.range(_length(share))[:, tf.newaxis], tf.shape(places))
    indices = tf.stack([rows, tf.where(inside, places, 0)], axis=-1)
    return tf.scatter_nd(indices, tf.where(inside, share, 0.0), [_length(share), size])


def _length(tensor: tf.Tensor, axis: int = 0) -> int | tf.Tensor:
    """The size of an axis: a number where it is known while tracing."""
    known = tensor.shape[axis]
    return tf.shape(tensor)[axis] if known is None else known
