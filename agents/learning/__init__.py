"""Learning: a batch's rows as tensors, the optimizer's steps on them, one or several processes."""
