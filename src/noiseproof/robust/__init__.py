"""Heads trained on wrong labels by a scheme of their own: co-teaching, DivideMix, Meta-Weight-Net."""
