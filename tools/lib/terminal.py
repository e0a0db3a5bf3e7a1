"""The operator's terminal: raw while the machine runs, and always put back."""

import os
import sys
import termios
import tty

PREFIX = 0x01  # Ctrl-A, as in QEMU


def ours(stream):
    """Whether this is a terminal that this process may use: not one in whose background it runs."""
    if not stream or not stream.isatty():
        return False
    try:
        return os.tcgetpgrp(stream.fileno()) == os.getpgrp()
    except OSError:  # a terminal, but not the one that controls this process
        return True


class Terminal:
    """Standard input, when it is a terminal; a context manager that restores it."""

    def __init__(self):
        self.descriptor = sys.stdin.fileno() if ours(sys.stdin) else None
        self.saved, self.prefixed, self.quit = None, False, False

    def __enter__(self):
        if self.descriptor is not None:
            self.saved = termios.tcgetattr(self.descriptor)
            tty.setraw(self.descriptor)
        return self

    def __exit__(self, *_):
        if self.saved is not None:
            termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self.saved)

    def read(self):
        """The keys for the machine; sets `quit` at Ctrl-A x. Ctrl-A twice is one Ctrl-A."""
        keys = bytearray()
        for byte in os.read(self.descriptor, 1024):
            if not self.prefixed and byte == PREFIX:
                self.prefixed = True
                continue
            if self.prefixed and byte in b"xX":
                self.quit = True
            else:
                keys.append(byte)
            self.prefixed = False
        return bytes(keys)
