import base64
import hashlib
import os
import shutil
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

import checked_types

checked_types.install()
BLANK_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGP4DwABAQEAsTj2FgAAAABJRU5ErkJggg=="
)
# Thousands of small files that are synced and removed again: a quarter of the time where a disk holds them.
MEMORY = Path("/dev/shm")
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 8 << 30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
# Before anything imports a hub library: a test that reaches for a hub fails at once instead of waiting.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.hookimpl(tryfirst=True)  # before `-m "not slow"` selects
def pytest_collection_modifyitems(items):
    seen = set()
    for item in items:
        if item.get_closest_marker("slow_but_first"):
            test = item.nodeid.partition("[")[0]
            if test in seen:
                item.add_marker("slow")
            seen.add(test)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Threads only get in each other's way on a few rows."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session", autouse=True)
def _exported_once():
    """The graph of a large encoder, of the same weights and shapes, is made once a session: 1.3 s each."""
    from noiseproof.features import engines

    made, original = {}, engines.onnx_graph

    def graph(module, examples, **options):
        state = module.state_dict()
        if sum(value.numel() for value in state.values()) < 1_000_000:
            return original(module, examples, **options)
        shapes = [(value.shape, value.dtype) for value in examples]
        digest = hashlib.sha256(repr((module, options, shapes)).encode())
        for name, value in state.items():
            digest.update(name.encode() + value.cpu().numpy().tobytes())
        if digest.digest() not in made:
            made[digest.digest()] = original(module, examples, **options)
        return made[digest.digest()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "onnx_graph", graph)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; tests that need it are skipped where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("NOISEPROOF_SHARED_DATA") or beside)
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; name their folder with NOISEPROOF_SHARED_DATA")
    return folder


@pytest.fixture(scope="module", autouse=True)
def _no_drawing(request):
    """Figures are made; only modules marked `draws` draw them, which takes half a second each."""
    with pytest.MonkeyPatch.context() as patch:
        if request.node.get_closest_marker("draws") is None:
            from matplotlib.figure import Figure

            patch.setattr(Figure, "savefig", _blank)
        yield


def _blank(figure, out, *, format, **options):
    texts = "".join(f"<text>{escape(text)}</text>" for text in _texts(figure))
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="1pt" height="1pt" viewBox="0 0 1 1">{texts}</svg>'
    out.write(svg if format == "svg" else BLANK_PNG)


def _texts(figure):
    """Every text but the labels of ticks; these would be made only to be read here."""
    legends = [*figure.legends, *(axis.get_legend() for axis in figure.axes if axis.get_legend())]
    artists = [
        *figure.texts,
        *(text for axis in figure.axes for text in (*axis.texts, axis.xaxis.label, axis.yaxis.label)),
        *(text for legend in legends for text in (*legend.get_texts(), legend.get_title())),
    ]
    titles = [axis.get_title(loc) for axis in figure.axes for loc in ("left", "center", "right")]
    return [*titles, *(artist.get_text() for artist in artists)]
