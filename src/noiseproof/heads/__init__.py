"""Classifiers on features, scikit-learn style."""
