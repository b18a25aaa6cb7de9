"""Losses and regularisers as pure functions of arrays, with their equations.

`losses.py` is the table of losses and how to add one; `robust.py`, `bi_tempered.py` and `early_learning.py`
have the functions, `batch.py` what a training loop calls. `regularizers.py` is for NMTune, `dual_prompts.py`
for DeFT.
"""
