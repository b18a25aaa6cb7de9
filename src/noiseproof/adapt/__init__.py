"""Training that knows its labels may be wrong: fine-tuning, and example weights learned from clean ones.

The loops are those of `noiseproof.training` and `noiseproof.heads.fit`.
"""
