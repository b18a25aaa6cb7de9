"""Find wrong labels from arrays alone; imports nothing about images, files or encoders.

`find_issues.py` is the entry (`find_label_issues`), `detectors.py` the table of detectors and how to add one,
`evidence.py` the checked inputs, `detector_result.py` what every detector returns. The detectors are in
`ridge.py` (leave-one-out), `confident_learning.py`, `neighbours.py`, `dynamics_detectors.py` (losses and
margins while a head learns), `zero_shot.py`, `prompts.py` (DeFT) and `fusion.py`. `transition_estimate.py`
estimates the transition matrix of the noise.
"""
