"""Any image file -> the RGB picture a person would see."""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from functools import cache

import numpy as np
from PIL import ExifTags, Image, ImageOps

from noiseproof.core.errors import BadData
from noiseproof.core.limits import IMAGE_PIXELS, above, limit

# What Pillow raises for broken files, depending on the format and on where the damage is.
PILLOW_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, RuntimeError, struct.error,
    MemoryError, OverflowError, zlib.error, KeyError, AttributeError, AssertionError,
)  # fmt: skip


def decode_image(content: bytes) -> Image.Image:
    """Decode an encoded image (JPEG, PNG, ...) to RGB; see `to_rgb`.

    Raises:
        BadData: the bytes are no image, a damaged one, or one with more pixels than `limits.IMAGE_PIXELS`.
    """
    if not content:
        raise BadData("the image is empty (0 bytes)")
    most = limit(IMAGE_PIXELS)
    _silence_pillow()
    if Image.MAX_IMAGE_PIXELS is not None and most > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = most  # the user's own wish; else Pillow would refuse
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > most:
                raise _too_large(f"{image.width} x {image.height} pixels")
            return to_rgb(image)
    except BadData:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(
            found[0] if (found := re.search(r"\d+ pixels", str(error))) else "its pixels"
        ) from error
    except Image.UnidentifiedImageError as error:
        raise BadData(f"{len(content)} bytes that are no image of a known format") from error
    except PILLOW_ERRORS as error:
        raise BadData(f"the image is damaged ({error})") from error


@cache
def _silence_pillow() -> None:
    """Once: Pillow warns of images that are refused below anyway.

    For the whole process: `warnings.catch_warnings` around each image is not safe in threads.
    """
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def _too_large(size: str) -> BadData:
    return BadData(above(size, IMAGE_PIXELS))


def to_rgb(image: Image.Image) -> Image.Image:
    """The image as it is meant to be seen, mode RGB.

    The EXIF orientation is applied; transparency lies on white; 16-bit and float grey are scaled to 8
    bits, where Pillow's own conversion would clip them.

    Raises:
        BadData: grey values outside the range of their mode.
    """
    if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        return _deep_grey(image).convert("RGB")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        white.alpha_composite(picture)
        return white.convert("RGB")
    return image.convert("RGB")


def _deep_grey(image: Image.Image) -> Image.Image:
    """More than 8 bits -> 8. Mode I is how older Pillows open 16-bit PNG, so it is read as 16 bits."""
    values = np.asarray(image, dtype=np.float64)
    white = 1.0 if image.mode == "F" else 65535.0
    if not ((values >= 0) & (values <= white)).all():  # false for NaN too
        raise BadData(
            f"grey values from {values.min():g} to {values.max():g} in mode {image.mode}; "
            f"allowed: 0 to {white:g}"
        )
    return Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))
