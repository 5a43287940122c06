"""What a training step exchanges with the other replicas; on one device nothing."""

import dataclasses
from typing import Any

import tensorflow as tf

# What collectives carry, and what the other types travel as.
_CARRIED = {tf.float16, tf.float32, tf.float64, tf.int32, tf.int64}
_TRAVELS_AS = {tf.bfloat16: tf.float32, tf.uint32: tf.int64, tf.uint64: tf.int64}


@dataclasses.dataclass(frozen=True)
class Share:
    """The rows of the global batch that this replica holds.

    Attributes:
        rows: how many, int32; None where all replicas are known to hold as many while tracing.
        mean_rows: their mean over the replicas, float32.
        first: index of the first one in the global batch, int32.
        whole: bool, whether every replica holds the whole global batch.
    """

    rows: tf.Tensor | None = None
    mean_rows: tf.Tensor | None = None
    first: tf.Tensor | None = None
    whole: tf.Tensor | None = None

    @property
    def equal(self) -> bool:
        """Whether all replicas are known to hold as many rows."""
        return self.rows is None

    def first_row(self, rows: tf.Tensor) -> tf.Tensor | int:
        """Index of this replica's first row in the global batch, of which it holds so many."""
        if not self.equal:
            return self.first
        context = _context()
        return 0 if context is None else _replica(context) * rows

    def mean(self, values: tf.Tensor) -> tf.Tensor:
        """This replica's part of the global mean of values [B]: the parts add up to the mean."""
        if self.equal:
            return tf.reduce_mean(values) / count()
        return tf.reduce_sum(values) / self.mean_rows / count()

    def counted(self, rows: tf.Tensor) -> tf.Tensor:
        """How many of its rows a replica counts: of the whole batch the first replica's alone."""
        if self.equal:
            return rows
        return tf.where(self.whole & (_replica(_context()) > 0), 0, rows)


EQUAL = Share()


def count() -> int:
    """How many replicas train together."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def dealt(data: Any) -> tuple[Any, Share]:
    """A step's data on this replica, and its share of the global batch.

    Where a replica would get no row, as it may in an epoch's last batch, every replica gets the
    whole batch: statistics and losses are then those of one device. No layer has to compute on an
    empty tensor, which oneDNN's convolution gets wrong, nor to mask a row.

    Args:
        data: tensors [B, ...] or None in tuples and dictionaries.
    """
    context = _context()
    if context is None:
        return data, EQUAL
    first = next(tensor for tensor in tf.nest.flatten(data) if tensor is not None)
    if _alike(context, first.shape[0] if first.shape.rank else None):
        return data, EQUAL
    rows = tf.shape(first)[0]
    counts = _everywhere(context, rows[tf.newaxis])
    whole = tf.reduce_any(counts == 0)
    lent = tf.where(whole, counts, 0)
    data = tf.nest.map_structure(lambda tensor: _completed(context, tensor, lent), data)
    total = tf.reduce_sum(counts)
    return data, Share(
        rows=tf.where(whole, total, rows),
        mean_rows=tf.cast(total, tf.float32) / tf.where(whole, 1.0, float(count())),
        first=tf.where(whole, 0, tf.reduce_sum(counts[: _replica(context)])),
        whole=whole,
    )


def gathered(
    tensors: list[tf.Tensor], share: Share = EQUAL
) -> tuple[list[tf.Tensor], tf.Tensor | int]:
    """Concatenates each tensor [N, ...] over the replicas, with gradients.

    Args:
        tensors: of equal N, a multiple of the rows that this replica holds.
        share: of the global batch.

    Returns:
        The tensors of the global batch, and the index of this replica's first row in them.
    """
    context = _context()
    if context is None:
        return tensors, 0
    rows = tf.shape(tensors[0])[0]
    if share.equal:
        return [_gather(context, tensor) for tensor in tensors], _replica(context) * rows
    counts = _everywhere(context, rows[tf.newaxis])
    before = tf.reduce_sum(counts[: _replica(context)])
    # Of the whole batch, which every replica holds, a replica takes its own copy.
    begin = tf.where(share.whole, before, 0)
    end = tf.where(share.whole, before + rows, tf.reduce_sum(counts))
    everywhere = [_everywhere(context, tensor)[begin:end] for tensor in tensors]
    columns = [
        tf.ensure_shape(result, [None, *tensor.shape[1:]])
        for result, tensor in zip(everywhere, tensors, strict=True)
    ]
    return columns, tf.where(share.whole, 0, before)


def summed(tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    """The sum over the replicas of each tensor."""
    return _reduced("SUM", tensors)


def averaged(tensors: list[tf.Tensor], share: Share = EQUAL) -> list[tf.Tensor]:
    """The mean over the replicas of each tensor, each weighing as much as it holds rows."""
    if not share.equal:
        weight = tf.cast(share.rows, tf.float32) / share.mean_rows
        tensors = [weight * tensor for tensor in tensors]
    return _reduced("MEAN", tensors)


def largest(tensor: tf.Tensor) -> tf.Tensor:
    """The largest over the replicas of each element."""
    context = _context()
    if context is None:
        return tensor
    everywhere = _everywhere(context, tensor[tf.newaxis])
    return tf.ensure_shape(tf.reduce_max(everywhere, axis=0), tensor.shape)


def _context():
    """The replica's context; None where there is one replica."""
    context = tf.distribute.get_replica_context()
    return None if context is None or context.num_replicas_in_sync == 1 else context


def _replica(context) -> tf.Tensor:
    return tf.cast(context.replica_id_in_sync_group, tf.int32)


def _alike(context, rows: int | None) -> bool:
    """Whether all replicas of this process hold so many rows, known while tracing."""
    if rows is None or tf.executing_eagerly():
        return False

    def compare(strategy, everywhere):
        return len(set(strategy.experimental_local_results(everywhere))) == 1

    return context.merge_call(compare, args=(rows,))


def _completed(context, tensor: tf.Tensor | None, lent: tf.Tensor) -> tf.Tensor | None:
    """A tensor [B, ...] with the other replicas' rows: all of them, or none, as `lent` says.

    Args:
        context: of the replica.
        tensor: [B, ...].
        lent: how many rows each replica lends, int32 [R]: all that it has, or 0.
    """
    if tensor is None:
        return None
    mine = lent[_replica(context)]
    # One more row each: collectives crash where all of them have nothing to send.
    padding = tf.zeros([1, *tensor.shape[1:]], tensor.dtype)
    sent = tf.concat([tensor[:mine], padding], axis=0)
    if tensor.dtype not in _CARRIED:
        sent = tf.cast(sent, _TRAVELS_AS.get(tensor.dtype, tf.int32))
    received = tf.cast(_everywhere(context, sent), tensor.dtype)
    ends = tf.cumsum(lent + 1) - 1
    kept = tf.reduce_all(tf.range(tf.shape(received)[0])[:, tf.newaxis] != ends, axis=1)
    rows = tf.concat([tf.boolean_mask(received, kept), tensor[mine:]], axis=0)
    return tf.ensure_shape(rows, [None, *tensor.shape[1:]])


def _gather(context, tensor: tf.Tensor) -> tf.Tensor:
    """One tensor of all replicas; its shape, which the gather forgets, lets the loss use blocks."""
    result = _everywhere(context, tensor)
    rows = tensor.shape[0] and tensor.shape[0] * context.num_replicas_in_sync
    return tf.ensure_shape(result, [rows, *tensor.shape[1:]])


def _everywhere(context, tensor: tf.Tensor) -> tf.Tensor:
    """A tensor of all replicas, one behind the other."""
    # What comes straight from a worker's pipeline has no device, by which a gather goes.
    return context.all_gather(tf.identity(tensor), axis=0)


def _reduced(operation: str, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
    context = _context()
    if not tensors or context is None:
        return tensors
    return context.all_reduce(operation, tensors)
