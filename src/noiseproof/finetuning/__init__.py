"""The whole of a fine-tuning: what it is told, what is opened before any work, the flow and its card."""
