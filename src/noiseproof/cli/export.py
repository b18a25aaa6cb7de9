"""`noiseproof export`: a finished model as one ONNX file, or as a folder for the Hugging Face hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from noiseproof.core.plurals import counted

if TYPE_CHECKING:
    from noiseproof.config.export import ExportConfig

CONFIG = "noiseproof.config.export:ExportConfig"
EPILOG = """Examples:

noiseproof export runs/photos --onnx model.onnx

noiseproof export runs/photos --hub my-model/

noiseproof export issues/photos/cleaned-relabel --hub my-data/
"""


def export(config: ExportConfig) -> dict[str, Any]:
    """Write encoder, head and class names as one ONNX file, or as a folder for the Hugging Face hub."""
    from noiseproof.pipelines.export import export as run_export

    result = run_export(config)
    for note in result.notes:
        print(f"Note: {note}")
    if result.check is not None:
        print(
            f"Compared with PyTorch on {counted(result.check.num_examples, 'example')}: results differ by at "
            f"most {result.check.difference:.1e}"
        )
        print(f"Inputs: {', '.join(result.check.input_names)}")
        print(f"ONNX: {result.onnx}")
    if result.hub is not None:
        kind = "" if result.hub_kind == "model" else " --repo-type dataset"
        print(f"Hub folder: {result.hub}; upload it with: hf upload USER/NAME {result.hub}{kind}")
    difference = None if result.check is None else result.check.difference
    return {"onnx": result.onnx, "hub": result.hub, "difference": difference, "notes": result.notes}
