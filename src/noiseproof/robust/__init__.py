"""Heads trained on wrong labels by schemes of their own.

The schemes are in `co_teaching.py`, `divide_mix.py` and `meta_weight_net.py`. To add one, subclass
`AbstractRobustHead` (`abstract_robust.py`). Meta-Weight-Net for whole networks is in `meta_loss.py`;
`weight_net.py` is the weight network, `meta_gradient.py` its exact gradient, `forward_mode.py` a kernel for
it, `meta_set.py` the clean examples.
"""
