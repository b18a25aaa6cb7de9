import io

import numpy as np
import pytest
from PIL import Image

from noiseproof.core.errors import BadData
from noiseproof.data.images import decode_image, to_rgb


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixel(content: bytes, x: int = 0, y: int = 0) -> tuple[int, ...]:
    image = decode_image(content)
    assert image.mode == "RGB"
    return image.getpixel((x, y))


def test_grey_becomes_three_equal_channels():
    assert pixel(encoded(Image.new("L", (3, 2), 77))) == (77, 77, 77)


def test_black_and_white_keeps_both():
    image = Image.new("1", (2, 1))
    image.putpixel((1, 0), 1)
    content = encoded(image)
    assert [pixel(content, x) for x in (0, 1)] == [(0, 0, 0), (255, 255, 255)]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize(("deep", "expected"), [(0, 0), (256, 1), (32896, 128), (65535, 255)])
def test_sixteen_bit_grey_is_scaled_not_clipped(kind, deep, expected):
    image = Image.fromarray(np.full((2, 3), deep, np.uint16))
    assert pixel(encoded(image, kind)) == (expected,) * 3


def test_float_grey_is_scaled():
    image = Image.fromarray(np.array([[0.0, 0.2, 1.0]], np.float32))
    content = encoded(image, "TIFF")
    assert [pixel(content, x)[0] for x in range(3)] == [0, 51, 255]


@pytest.mark.parametrize("values", [[[0.0, 1.5]], [[-0.1, 0.5]], [[np.nan, 0.5]]])
def test_grey_outside_the_range_is_refused(values):
    image = Image.fromarray(np.array(values, np.float32))
    with pytest.raises(BadData, match="in mode F; allowed: 0 to 1"):
        to_rgb(image)


def test_thirty_two_bit_integers_beyond_sixteen_bits_are_refused():
    with pytest.raises(BadData, match="grey values from 0 to 70000 in mode I; allowed: 0 to 65535"):
        to_rgb(Image.fromarray(np.array([[0, 70000]], np.int32)))


def test_transparent_grey_lies_on_white():
    assert pixel(encoded(Image.new("LA", (2, 2), (100, 0)))) == (255, 255, 255)
    assert pixel(encoded(Image.new("LA", (2, 2), (100, 255)))) == (100, 100, 100)


@pytest.mark.parametrize(
    ("alpha", "expected"), [(0, (255, 255, 255)), (255, (200, 0, 0)), (51, (244, 204, 204))]
)
def test_transparent_colour_lies_on_white(alpha, expected):
    # 51 / 255 = 0.2: 0.2 * 200 + 0.8 * 255 = 244 and 0.8 * 255 = 204
    assert pixel(encoded(Image.new("RGBA", (2, 2), (200, 0, 0, alpha)))) == expected


def palette_image() -> Image.Image:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    return image


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_palette_is_looked_up(kind):
    content = encoded(palette_image(), kind)
    assert [pixel(content, x) for x in (0, 1)] == [(10, 20, 30), (200, 100, 50)]


@pytest.mark.parametrize("transparency", [1, b"\xff\x00"])
def test_transparent_palette_entry_lies_on_white(transparency):
    content = encoded(palette_image(), transparency=transparency)
    assert [pixel(content, x) for x in (0, 1)] == [(10, 20, 30), (255, 255, 255)]


def test_a_colour_named_transparent_lies_on_white():
    content = encoded(Image.new("RGB", (2, 2), (1, 2, 3)), transparency=(1, 2, 3))
    assert pixel(content) == (255, 255, 255)


def test_cmyk_jpeg_has_the_right_colours():
    content = encoded(Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "JPEG", quality=95)
    assert pixel(content, 8, 8) == pytest.approx((0, 255, 255), abs=4)  # pure cyan ink


# Where the red corner, stored top left, must be seen: (x, y) in a 4 x 2 picture, or 2 x 4 when turned.
CORNERS = {1: (0, 0), 2: (3, 0), 3: (3, 1), 4: (0, 1), 5: (0, 0), 6: (1, 0), 7: (1, 3), 8: (0, 3)}


@pytest.mark.parametrize(("orientation", "corner"), CORNERS.items())
def test_exif_orientation_is_applied(orientation, corner):
    image = Image.new("RGB", (4, 2), "white")
    image.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = decode_image(encoded(image, exif=exif))
    assert upright.size == ((4, 2) if orientation < 5 else (2, 4))
    assert upright.getpixel(corner) == (255, 0, 0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "BMP"])
def test_a_truncated_file_is_refused(kind):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    content = encoded(Image.fromarray(noise), kind)
    with pytest.raises(BadData, match=r"the image is damaged|no image of a known format"):
        decode_image(content[: len(content) // 2])


def test_a_decoder_that_gives_up_is_a_damaged_image(monkeypatch):
    def open_broken(file):
        raise RuntimeError("Failed to decode frame 0")  # what Pillow's AVIF decoder does

    monkeypatch.setattr(Image, "open", open_broken)
    with pytest.raises(BadData, match=r"the image is damaged \(Failed to decode frame 0\)"):
        decode_image(b"avif")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", r"empty \(0 bytes\)"), (b"<html>not found</html>", "22 bytes that are no image")],
)
def test_what_is_no_image_is_refused(content, said):
    with pytest.raises(BadData, match=said):
        decode_image(content)
