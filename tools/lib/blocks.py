"""Whose instructions were executed between two marks: reads what tests/bench/count.c has written."""

import struct

BEGIN, END = 1, 2  # tests/bench/mark.h
LOADED, EXECUTABLE = 1, 1


def code_of(path):
    """[(first address, bytes)] of an ELF file's executable segments."""
    elf = open(path, "rb").read()
    offset, = struct.unpack_from("<Q", elf, 32)
    size, count = struct.unpack_from("<HH", elf, 54)
    headers = [struct.unpack_from("<IIQQQQQQ", elf, offset + i * size) for i in range(count)]
    return [(address, elf[at:at + stored]) for kind, flags, at, address, _, stored, *_ in headers
            if kind == LOADED and flags & EXECUTABLE]


class Owners:
    """Programs by their code: all are linked at one address, so a block is whose code has its bytes at its place."""

    def __init__(self, programs):
        """programs: {owner: path of an ELF file}."""
        self.code = [(owner, first, code) for owner, path in programs.items() for first, code in code_of(path)]
        self.known = {}

    def look_up(self, address, code):
        for owner, first, own in self.code:
            if first <= address < first + len(own) and own.startswith(code, address - first):
                return owner
        return None

    def owner(self, address, code):
        """None: nobody's, so code of a guest."""
        key = address, code
        if key not in self.known:
            self.known[key] = self.look_up(*key)
        return self.known[key]


def windows(path):
    """[(operations, [(address, code, instructions)])]: what was executed from each beginning to the first end behind it."""
    found, kind, blocks = [], None, None
    with open(path) as lines:
        for line in lines:
            words = line.split()
            if words[0] == "mark":
                before, kind, blocks = kind, int(words[1]), []
                if (before, kind) == (BEGIN, END):
                    found.append((int(words[2]), blocks))
            else:
                blocks.append((int(words[0], 16), bytes.fromhex(words[2]), int(words[1])))
    return found
