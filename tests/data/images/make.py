"""Makes the fixtures beside this file, with Pillow 13 and NumPy: python3 make.py"""
import io
import os

import numpy as np
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__)) + "/"


def png_bytes(image, **options):
    out = io.BytesIO()
    image.save(out, **options)
    return out.getvalue()


def write(name, data):
    with open(HERE + name, "wb") as file:
        file.write(data)


# 24 x 16: red, green over blue, white.
quarters = np.zeros((16, 24, 3), np.uint8)
quarters[:8, :12] = (220, 20, 20)
quarters[:8, 12:] = (20, 200, 30)
quarters[8:, :12] = (20, 30, 210)
quarters[8:, 12:] = (240, 240, 240)
quarters = Image.fromarray(quarters)
quarters.save(HERE + "baseline.jpg", quality=90, subsampling=0)
quarters.save(HERE + "progressive.jpg", quality=90, subsampling=0, progressive=True)
exif = Image.Exif()
exif[0x112] = 6
quarters.save(HERE + "orientation6.jpg", quality=90, subsampling=0, exif=exif)
quarters.convert("CMYK").save(HERE + "cmyk.jpg", quality=90, subsampling=0)
quarters.convert("L").save(HERE + "gray.jpg", quality=90)
quarters.save(HERE + "lossy.webp", quality=90)
write("png_named.jpg", png_bytes(quarters, format="PNG", optimize=True))

# Cut short, and a header that claims 30,000 x 30,000.
baseline = open(HERE + "baseline.jpg", "rb").read()
write("truncated.jpg", baseline[:-60])
frame = baseline.index(b"\xff\xc0")
write("bomb.jpg", baseline[: frame + 5] + b"\x75\x30\x75\x30" + baseline[frame + 9 :])

# Resampled pixels of a 40 x 30 pattern.
y, x, c = np.mgrid[0:30, 0:40, 0:3]
pattern = Image.fromarray(((x * x * 3 + y * 37 + c * 53 + x * y) % 256).astype(np.uint8))
part = pattern.crop((3, 2, 28, 23))
write("golden_bilinear_8.bin", part.resize((8, 8), Image.BILINEAR).tobytes())
write("golden_bicubic_8.bin", part.resize((8, 8), Image.BICUBIC).tobytes())
part = pattern.crop((5, 6, 12, 12))
write("golden_enlarged_12.bin", part.resize((12, 12), Image.BILINEAR).tobytes())
whole = pattern.resize((24, 18), Image.BILINEAR)
write("golden_evaluation_16.bin", whole.crop((4, 1, 20, 17)).tobytes())
