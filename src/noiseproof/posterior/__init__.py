"""Out-of-sample scores from features, and probabilities of the true labels.

`leave_one_out.py` scores every example with a ridge head that never saw its label (`ridge_strength.py`
chooses the strength). `calibration.py` turns scores into probabilities under symmetric noise,
`true_labels.py` with a fitted transition matrix; `transition_gain.py` measures which of the two fits better.
`symmetric_noise.py` has the matrix of symmetric noise; `mixture.py` is for losses.
"""
