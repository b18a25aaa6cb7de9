"""Parts of fine-tuning on labels that may be wrong: initial encoder, what learns, loss, selection, WiSE-FT.

`pipelines.finetune` joins them; the loop is `training.loop`.
"""
