"""`noiseproof verdict`: was an encoder pre-trained on noisy labels?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noiseproof.config.verdict import VerdictConfig

CONFIG = "noiseproof.config.verdict:VerdictConfig"
EPILOG = """Examples:

noiseproof verdict cifar10/test.parquet --backbone timm:resnet8@mine.safetensors

noiseproof verdict photos/ --backbone timm:resnet18 --reference a=0 --reference b=0.1
--reference c=0.2 --reference d=0.3
"""


def verdict(config: VerdictConfig) -> dict[str, Any]:
    """Place an encoder among encoders of known pre-training noise, by the spectra of their features."""
    import rich

    from noiseproof.pipelines.verdict import judge, known_table, sentence
    from noiseproof.report.renderers import to_terminal

    result, known, unknown = judge(config)
    if unknown is not None:
        rich.print(to_terminal(known_table(known, config.backbone, unknown)))
    print(sentence(result))
    return result.to_json()
