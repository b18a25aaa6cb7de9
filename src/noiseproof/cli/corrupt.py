"""`noiseproof corrupt`: wrong labels or captions, kept so that others can train on them and check them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noiseproof.config.corrupt import CorruptConfig

CONFIG = "noiseproof.config.corrupt:CorruptConfig"
EPILOG = """Examples:

noiseproof corrupt photos/ --noise symmetric:0.2 --out noise/

noiseproof corrupt train.parquet --noise asymmetric:cifar10:0.4 --out noise/

noiseproof corrupt train.parquet --noise real:worker --label label --out noise/

noiseproof corrupt shards/ --noise captions:0.1 --out noisy-shards/
"""


def corrupt(config: CorruptConfig) -> dict[str, Any]:
    """Make labels or captions wrong under control, and record what was changed."""
    import rich

    from noiseproof.cli.guard import command_line, say
    from noiseproof.pipelines.corrupt import corrupt as run_corruption
    from noiseproof.pipelines.corrupt import noise_tables
    from noiseproof.report.renderers import to_terminal

    done = run_corruption(config, command=command_line(), say=say)
    for table in noise_tables(done):
        rich.print(to_terminal(table))
    print(f"Noise manifest {done.sha256[:16]} is in {config.out}")
    if done.files:
        print(f"{len(done.files)} file{'s' if len(done.files) > 1 else ''} with the new captions beside it")
    rate = done.noisy.realised_rate
    return {"folder": done.folder, "sha256": done.sha256, "realised_rate": rate, "files": done.files}
