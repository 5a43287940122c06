"""Supervised contrastive loss with hardness weights, in blocks of columns.

For a row i with embedding z_i, A(i) all other columns and P(i) those of A(i) with i's label,

    w_ip = |P(i)| exp(-beta z_i.z_p) / sum_{q in P(i)} exp(-beta z_i.z_q)   (no gradient)
    l_i  = -1/|P(i)| sum_{p in P(i)} w_ip log(exp(z_i.z_p/tau) / sum_{a in A(i)} exp(z_i.z_a/tau))

beta = 0 is L_out of Khosla et al. 2020, "Supervised Contrastive Learning"; beta > 0 weighs the
least similar positives most: the hardness weighting of ANCHOR (arXiv 2510.27599), whose exact
weights we did not have: these are ours, with mean 1 over P(i).

As the weights average to 1, l_i = logsumexp_{a in A(i)} s_ia - sum_p (w_ip / |P(i)|) s_ip with
s = z.z / tau. Both terms accumulate over blocks of columns and the gradient recomputes each block,
so that memory holds rows x block similarities, however many columns there are.
"""

import dataclasses

import tensorflow as tf

from anchor_tf.errors import UserError
from anchor_tf.losses import hardest_positives
from anchor_tf.losses.blocks import BELOW_ALL, LOWEST, length_of, log_of, shares
from anchor_tf.losses.labelled_pairs import LabelledPairs


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
    check_arguments(temperature, positives)
    pairs = LabelledPairs.of(embeddings, labels, columns, column_labels, row_offset, block_size)
    return _Contrast(pairs, temperature, beta, positives).loss()


def check_arguments(temperature: float, positives: int | None) -> None:
    """Refuses what `supervised_contrastive` cannot compute.

    Raises:
        UserError: temperature not above 0, or positives below 1.
    """
    if temperature <= 0 or (positives is not None and positives < 1):
        raise UserError("temperature must be above 0 and positives at least 1")


@dataclasses.dataclass(frozen=True)
class _Contrast:
    """The loss of given pairs: its sums over the columns, and its gradient, block by block."""

    pairs: LabelledPairs
    temperature: float
    beta: float
    positives: int | None

    @property
    def hardness(self) -> float:
        """What a logit, z.z / temperature, is multiplied by in the weights' exponent."""
        return -self.beta * self.temperature

    def loss(self) -> tf.Tensor:
        """Loss [N] of the rows."""

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

        return blocked(self.pairs.rows, self.pairs.columns)

    def _look(self, rows, block, first):
        """A block's logits, others and whose label is the row's, each [N, size]."""
        others, same = self.pairs.masks(first)
        return tf.matmul(rows / self.temperature, block, transpose_b=True), others, same

    def _sums(self, rows, columns):
        """Per row: log sum over others, log sum of hardness, weighted mean positive logit."""
        zero = tf.zeros([length_of(rows)])
        none = zero + BELOW_ALL

        def visit(first, others_peak, others_sum, hardness_peak, hardness_sum, pulled):
            logits, others, same = self._look(rows, self.pairs.blocks.part(columns, first), first)
            parts, others_peak, faded = shares(tf.where(others, logits, LOWEST), others_peak)
            others_sum = others_sum * faded + tf.reduce_sum(parts, 1)
            hardness = tf.where(others & same, self.hardness * logits, LOWEST)
            parts, hardness_peak, faded = shares(hardness, hardness_peak)
            hardness_sum = hardness_sum * faded + tf.reduce_sum(parts, 1)
            pulled = pulled * faded + tf.reduce_sum(parts * logits, 1)
            return others_peak, others_sum, hardness_peak, hardness_sum, pulled

        state = self.pairs.blocks.fold(visit, (none, zero, none, zero, zero))
        others_peak, others_sum, hardness_peak, hardness_sum, pulled = state
        return (
            log_of(others_sum, others_peak),
            log_of(hardness_sum, hardness_peak),
            tf.math.divide_no_nan(pulled, hardness_sum),
            None,
        )

    def _hardest_sums(self, rows, columns):
        """The same over the hardest positives only, with their shares and columns [N, K]."""
        shape = [length_of(rows), self.positives]
        zero = tf.zeros([length_of(rows)])

        def visit(first, others_peak, others_sum, negated, places):
            logits, others, same = self._look(rows, self.pairs.blocks.part(columns, first), first)
            parts, others_peak, faded = shares(tf.where(others, logits, LOWEST), others_peak)
            others_sum = others_sum * faded + tf.reduce_sum(parts, 1)
            merged = hardest_positives.merged(logits, others & same, first, negated, places)
            return others_peak, others_sum, *merged

        state = (zero + BELOW_ALL, zero, tf.fill(shape, LOWEST), tf.zeros(shape, tf.int32))
        others_peak, others_sum, negated, places = self.pairs.blocks.fold(visit, state)
        others_sum = log_of(others_sum, others_peak)
        kept = negated > LOWEST / 2
        negated = tf.where(kept, negated, 0.0)
        hardness = tf.where(kept, -self.hardness * negated, LOWEST)
        hardness_sum = tf.reduce_logsumexp(hardness, axis=1)
        share = tf.where(kept, tf.exp(hardness - hardness_sum[:, tf.newaxis]), 0.0)
        return others_sum, hardness_sum, -tf.reduce_sum(share * negated, 1), (share, places)

    def _gradient(self, rows, columns, scale, others_sum, hardness_sum, hardest):
        """Gradients of rows and columns; `scale` [N] is the upstream gradient / temperature."""

        def by_similarity(first, block):
            logits, others, same = self._look(rows, block, first)
            pushed = tf.exp(logits - others_sum[:, tf.newaxis])
            if hardest is None:
                share = tf.exp(self.hardness * logits - hardness_sum[:, tf.newaxis])
                share = tf.where(same, share, 0.0)
            else:
                share = hardest_positives.spread(*hardest, first, self.pairs.blocks.size)
            return tf.where(others, pushed - share, 0.0)

        return self.pairs.blocks.gradients(rows, columns, scale, by_similarity)
