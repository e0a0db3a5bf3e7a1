"""Reads the text on a screen that is drawn in the project's own font (boot/font.c)."""

import difflib
import os
import re

FONT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../boot/font.c")
WIDTH, HEIGHT = 8, 16
SCALES = range(1, 9)
FIRST = 0x20
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
KNOWN = 0.8  # of the cells that are not empty, for a screen to be one of text


def glyphs():
    """Pixels of a character, a byte for each of 16 rows: the character; underlined ones too."""
    found = {}
    with open(FONT, encoding="ascii") as text:
        rows = re.findall(r"^\t\{((?:0x[0-9a-f]{2}(?:, )?){8})\}", text.read(), re.M)
    for code, row in enumerate(rows, FIRST):
        shape = bytes(int(one, 16) for one in row.split(", ") for _ in range(2))
        found[shape] = chr(code)
        found.setdefault(shape[:-1] + b"\xff", chr(code))
    return found


class Reader:
    """Finds characters in pictures, whatever their two colours are."""

    def __init__(self):
        self.glyphs = glyphs()
        self.cells = {}  # pixels of a cell: its character
        self.scale = None

    def lines(self, width, height, pixels):
        """The text of a picture (three bytes a pixel), a string for each row; [] if it is no text."""
        scales = SCALES if self.scale is None else [self.scale, *SCALES]
        for scale in scales:
            found = self.at_scale(width, height, pixels, scale)
            text = [one for line in found for one in line if one != " "]
            if text and sum(one != UNKNOWN for one in text) >= KNOWN * len(text):
                self.scale = scale
                return ["".join(line).rstrip() for line in found]
        return []

    def at_scale(self, width, height, pixels, scale):
        step, pitch = WIDTH * scale * 3, width * 3
        found = []
        for top in range(0, height - HEIGHT * scale + 1, HEIGHT * scale):
            rows = [pixels[(top + y * scale) * pitch :][:pitch] for y in range(HEIGHT)]
            found.append([self.character(b"".join(row[at : at + step] for row in rows), scale)
                          for at in range(0, pitch - step + 1, step)])
        return found

    def character(self, cell, scale):
        one = self.cells.get(cell)
        if one is None:
            one = self.cells[cell] = self.look_up(cell, scale)
        return one

    def look_up(self, cell, scale):
        first = cell[:3]
        colours = {cell[at : at + 3] for at in range(0, len(cell), 3)}
        if len(colours) != 2:
            return " " if len(colours) == 1 else UNKNOWN
        shape = bytearray()
        for row in range(HEIGHT):
            bits = 0
            for column in range(WIDTH):
                at = (row * WIDTH + column) * scale * 3
                bits = bits << 1 | (cell[at : at + 3] != first)
            shape.append(bits)
        inverse = bytes(byte ^ 0xFF for byte in shape)
        return self.glyphs.get(bytes(shape)) or self.glyphs.get(inverse) or UNKNOWN


class Watcher:
    """Turns what stands on a screen from time to time into a text: lines that are new or have changed."""

    def __init__(self):
        self.reader, self.last = Reader(), []

    def look(self, width, height, pixels):
        """The new text; lines that scroll by between two looks are not seen."""
        lines = self.reader.lines(width, height, pixels)
        match = difflib.SequenceMatcher(None, self.last, lines, autojunk=False)
        new = [line for kind, _, _, start, end in match.get_opcodes() if kind in ("insert", "replace")
               for line in lines[start:end] if line]
        if lines:
            self.last = lines
        return "".join(f"{line}\n" for line in new).encode()
