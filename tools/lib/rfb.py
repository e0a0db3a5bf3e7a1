"""Takes one picture from a VNC server (RFC 6143), as Bochs has it: without a password."""

import socket
import struct

RAW = 0
SIZE_CHANGED = -223
FORMAT = struct.Struct(">BBBBHHHBBB3x")  # RFC 6143, 7.4
BGR233 = (8, 8, 0, 1, 7, 7, 3, 0, 3, 6)  # 8 bits: red in the lowest 3, then 3 green, 2 blue


class Refused(Exception):
    """The server does not speak as expected."""


class Screen:
    """A connection, and the picture as it comes in: one byte for each pixel."""

    def __init__(self, port, seconds=10):
        self.socket = socket.create_connection(("127.0.0.1", port), seconds)
        self.width = self.height = 0
        self.pixels = bytearray()

    def read(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise Refused("the screen's server closed the connection")
            data += part
        return data

    def unpack(self, form):
        return struct.unpack(form, self.read(struct.calcsize(form)))

    def resize(self, width, height):
        self.width, self.height = width, height
        self.pixels = bytearray(width * height)

    def greet(self):
        """Shakes hands in version 3.3 and asks for 8-bit pixels, raw."""
        if not self.read(12).startswith(b"RFB 003."):
            raise Refused("not a VNC server")
        self.socket.sendall(b"RFB 003.003\n")
        if self.unpack(">I")[0] != 1:
            raise Refused("the screen's server wants a password")
        self.socket.sendall(b"\x01")
        self.resize(*self.unpack(">HH"))
        self.read(FORMAT.size)
        self.read(self.unpack(">I")[0])
        self.socket.sendall(struct.pack(">B3x", 0) + FORMAT.pack(*BGR233))
        self.socket.sendall(struct.pack(">BxHii", 2, 2, RAW, SIZE_CHANGED))

    def picture(self):
        """Waits for a whole picture; returns width, height and RGB bytes."""
        self.greet()
        known = 0
        self.ask()
        while known < self.width * self.height:
            kind = self.unpack(">B")[0]
            if kind == 2:  # bell
                continue
            if kind == 3:  # clipboard
                self.read(self.unpack(">3xI")[0])
                continue
            if kind != 0:
                raise Refused(f"message {kind} from the screen's server")
            for _ in range(self.unpack(">xH")[0]):
                known += self.rectangle()
        return self.width, self.height, self.colours()

    def ask(self):
        self.socket.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, self.width, self.height))

    def rectangle(self):
        """Takes one rectangle; returns how many pixels it brought."""
        x, y, width, height, encoding = self.unpack(">HHHHi")
        if encoding == SIZE_CHANGED:
            self.resize(width, height)
            self.ask()
            return 0
        if encoding != RAW:
            raise Refused(f"encoding {encoding} from the screen's server")
        data = self.read(width * height)
        for row in range(min(height, self.height - y)):
            start = (y + row) * self.width + x
            line = data[row * width : (row + 1) * width][: self.width - x]
            self.pixels[start : start + len(line)] = line
        return width * height

    def colours(self):
        table = [
            bytes(((one & 7) * 255 // 7, (one >> 3 & 7) * 255 // 7, (one >> 6) * 255 // 3))
            for one in range(256)
        ]
        return b"".join(table[one] for one in self.pixels)

    def close(self):
        self.socket.close()
