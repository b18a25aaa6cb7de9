"""DeFT in two phases: prompts select the labels that are right, an encoder adapts to those."""
