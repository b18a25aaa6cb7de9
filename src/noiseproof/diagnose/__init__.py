"""Diagnose encoders and heads from features: spectra, maps, curvature, a verdict on noisy pre-training.

`spectrum.py` has the singular values (SVE, LSVR), `signature.py` their uncertainty by bootstrap, `verdict.py`
the comparison with encoders of known noise, `maps.py` points in the plane, `curvature.py` Hessian
eigenvalues.
"""
