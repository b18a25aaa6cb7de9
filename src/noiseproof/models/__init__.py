"""A head together with its encoders: what classifies new examples, and leaves the house.

`saved_model.py` has `SavedModel`, `predictions.py` the table it gives, `prediction_files.py` that table on
disk, `onnx_model.py` one ONNX file, `hub_folder.py` a folder for the Hugging Face hub.
"""
