"""Images in, batches out: data sets, augmentations and the tf.data pipeline built from them."""
