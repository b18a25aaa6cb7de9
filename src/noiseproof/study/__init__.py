"""A grid of heads over encoders, data sets and noise, with tables and figures of what came out."""
