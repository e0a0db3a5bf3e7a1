"""The client of a VNC server (RFC 6143), as Bochs has it: without a password, its picture in 8-bit pixels, its keyboard."""

import socket
import struct
import time

import keys

RAW = 0
SIZE_CHANGED = -223
FORMAT = struct.Struct(">BBBBHHHBBB3x")  # RFC 6143, 7.4
BGR233 = (8, 8, 0, 1, 7, 7, 3, 0, 3, 6)  # 8 bits: red in the lowest 3, then 3 green, 2 blue
RECTANGLE = struct.Struct(">HHHHi")
COLOURS = [bytes((one >> shift & most) * 255 // most for one in range(256))
           for shift, most in ((0, 7), (3, 7), (6, 3))]
# X11's keysyms of the keys that are no characters
KEYSYMS = {"backspace": 0xFF08, "tab": 0xFF09, "ret": 0xFF0D, "esc": 0xFF1B, "home": 0xFF50, "left": 0xFF51, "up": 0xFF52,
           "right": 0xFF53, "down": 0xFF54, "pgup": 0xFF55, "pgdn": 0xFF56, "end": 0xFF57, "insert": 0xFF63,
           "num_lock": 0xFF7F, "shift": 0xFFE1, "ctrl": 0xFFE3, "caps_lock": 0xFFE5, "alt": 0xFFE9, "delete": 0xFFFF,
           **{f"f{number}": 0xFFBD + number for number in range(1, 13)}}
CHARACTERS = {name: ord(one) for one, name in keys.PLAIN.items() if one.isprintable()}


class Refused(Exception):
    """The server does not speak as expected."""


class Screen:
    """A connection, and the picture as it comes in: one byte for each pixel."""

    def __init__(self, port, seconds=10):
        self.seconds = seconds
        self.socket = socket.create_connection(("127.0.0.1", port), seconds)
        self.width = self.height = self.known = 0
        self.pixels, self.data = bytearray(), b""
        try:
            self.greet()
        except (Refused, OSError):
            self.close()
            raise

    def fileno(self):
        return self.socket.fileno()

    def read(self, count):
        while len(self.data) < count:
            part = self.socket.recv(count - len(self.data))
            if not part:
                raise Refused("the screen's server closed the connection")
            self.data += part
        data, self.data = self.data[:count], self.data[count:]
        return data

    def unpack(self, form):
        return struct.unpack(form, self.read(struct.calcsize(form)))

    def resize(self, width, height):
        self.width, self.height, self.known = width, height, 0
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
        self.ask()

    def ask(self):
        """Asks for all of the picture; what changes later comes unasked."""
        self.socket.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, self.width, self.height))

    def take(self):
        """Takes what has come; False at the end. Called when there is something, for it waits."""
        try:
            data = self.socket.recv(1 << 20)
        except OSError:
            return False
        self.data += data
        at, length = 0, self.message(0)
        while length:
            at += length
            length = self.message(at)
        self.data = self.data[at:]
        return bool(data)

    def message(self, at):
        """Does what the message at this place says; returns its length, 0 if the rest of it has not come yet."""
        kind, end = self.data[at : at + 1], len(self.data)
        if kind == b"\2":  # bell
            return 1
        if kind == b"\3" and end >= at + 8:  # clipboard
            length = 8 + struct.unpack_from(">I", self.data, at + 4)[0]
            return length if end >= at + length else 0
        if kind == b"\0" and end >= at + 4:
            return self.update(at, end)
        if kind not in (b"", b"\0", b"\3"):
            raise Refused(f"message {kind[0]} from the screen's server")
        return 0

    def update(self, start, end):
        """A FramebufferUpdate: looks whether all of it is there before it changes the picture."""
        found, at = [], start + 4
        for _ in range(struct.unpack_from(">H", self.data, start + 2)[0]):
            if end < at + RECTANGLE.size:
                return 0
            x, y, width, height, encoding = RECTANGLE.unpack_from(self.data, at)
            if encoding not in (RAW, SIZE_CHANGED):
                raise Refused(f"encoding {encoding} from the screen's server")
            at += RECTANGLE.size
            found.append((x, y, width, height, encoding, at))
            at += width * height if encoding == RAW else 0
            if end < at:
                return 0
        for one in found:
            self.rectangle(*one)
        return at - start

    def rectangle(self, x, y, width, height, encoding, at):
        if encoding == SIZE_CHANGED:
            self.resize(width, height)
            self.ask()
            return
        self.known += width * height
        for row in range(min(height, self.height - y)):
            line = self.data[at + row * width : at + (row + 1) * width][: max(self.width - x, 0)]
            start = (y + row) * self.width + x
            self.pixels[start : start + len(line)] = line

    def picture(self, above=0, below=0):
        """Waits for a whole picture; returns width, height and RGB bytes, without so many rows of it."""
        end = time.monotonic() + self.seconds
        while self.known < self.width * self.height:
            if not self.take() or time.monotonic() > end:
                raise Refused("the screen's server shows none")
        shown = bytes(self.pixels[above * self.width : (self.height - below) * self.width])
        rgb = bytearray(3 * len(shown))
        for number, table in enumerate(COLOURS):
            rgb[number::3] = shown.translate(table)
        return self.width, self.height - above - below, bytes(rgb)

    def press(self, modifiers, key, hold):
        """Presses a key (keys.py) together with modifiers, and releases it after `hold` seconds."""
        codes = [symbol_of(one) for one in (*modifiers, key)]
        self.socket.sendall(b"".join(struct.pack(">BBxxI", 4, 1, one) for one in codes))
        time.sleep(hold)
        self.socket.sendall(b"".join(struct.pack(">BBxxI", 4, 0, one) for one in reversed(codes)))

    def close(self):
        self.socket.close()


def symbol_of(key):
    """The keysym of a key by its name."""
    return KEYSYMS.get(key) or CHARACTERS.get(key) or ord(key)
