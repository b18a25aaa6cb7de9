"""The whole of DeFT: what it is told, what is opened before any work, its two phases and their flow."""
