"""Metrics of heads and detectors, and the protocol that gives them intervals.

`metrics.py` is for class probabilities, `detection.py` for detectors if the true labels are known,
`protocol.py` over evaluation sets and seeds with intervals, `results.py` for `results.jsonl`,
`class_groups.py` for sets with other classes.
"""
