"""Writes PNG files (ISO/IEC 15948), with nothing but zlib."""

import re
import struct
import zlib


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def write(path, width, height, pixels):
    """Writes `pixels`, three bytes each from the top left on."""
    row = width * 3
    lines = b"".join(b"\0" + pixels[at : at + row] for at in range(0, row * height, row))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    with open(path, "wb") as out:
        out.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head))
        out.write(chunk(b"IDAT", zlib.compress(lines, 6)) + chunk(b"IEND", b""))


def read_ppm(source):
    """(width, height, pixels) of a binary PPM (P6, 8 bits)."""
    with open(source, "rb") as dump:
        data = dump.read()
    head = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", data)
    if not head:
        raise ValueError(f"{source} is not a binary PPM")
    return int(head.group(1)), int(head.group(2)), data[head.end() :]
