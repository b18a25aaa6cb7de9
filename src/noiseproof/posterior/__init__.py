"""What features say about true labels: out-of-sample scores, and probabilities made of them."""
