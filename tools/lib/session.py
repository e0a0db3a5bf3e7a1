"""Runs an emulated machine: serial port or screen to standard output, keys and script the other way."""

import os
import selectors
import sys
import time

import keys
from emulator import Unusable
from screentext import Watcher

CHUNK = 16  # bytes of a 16550's FIFO
PACE = 0.02  # seconds between chunks
PANIC_GRACE = 1.0  # seconds to show what follows "PANIC:"
DRAIN = 0.3  # seconds to read what is left when the machine has ended
TICK = 0.1
LOOK = 0.5  # seconds between looks at the screen
KEY_PACE = 0.04  # seconds between keys


class Session:
    """One run of a started emulator; run() returns (exit status, reason)."""

    def __init__(self, emulator, script, terminal, log, timeout):
        self.emulator, self.script, self.terminal = emulator, script, terminal
        self.log = log
        self.deadline = time.monotonic() + timeout if timeout else None
        self.timeout = timeout
        self.queue, self.next_chunk = b"", 0.0
        self.panic_end = None
        self.watcher = None if emulator.serial else Watcher()
        self.next_look = 0.0
        self.selector = selectors.DefaultSelector()

    def run(self):
        if self.emulator.serial:
            self.watch(self.emulator.serial, self.read_serial)
        for source, call in self.emulator.sources():
            self.watch(source, call)
        if self.emulator.line:
            self.emulator.line.join(self)
        if self.terminal.descriptor is not None:
            self.watch(self.terminal.descriptor, self.read_keys)
        try:
            while True:
                result = self.result()
                if result:
                    return result
                self.turn(TICK)
        finally:
            self.selector.close()

    def watch(self, source, call):
        self.selector.register(source, selectors.EVENT_READ, call)

    def turn(self, longest):
        """Waits for something to read, and types what is due."""
        wait = longest
        if self.queue:
            wait = min(wait, max(0.0, self.next_chunk - time.monotonic()))
        for key, _ in self.selector.select(wait):
            if not key.data():
                self.selector.unregister(key.fileobj)
        self.type()
        self.look()
        if self.emulator.line:
            self.emulator.line.flush()

    def type(self):
        now = time.monotonic()
        if not self.queue or now < self.next_chunk:
            return
        if self.watcher:
            self.press()
            return
        try:
            sent = self.emulator.serial.send(self.queue[:CHUNK])
        except BlockingIOError:
            sent = 0
        except ConnectionError:
            sent = len(self.queue)
        self.queue, self.next_chunk = self.queue[sent:], now + PACE

    def press(self):
        """Presses the next key; a named one is several bytes."""
        named = keys.NAMED.match(self.queue)
        length = named.end() if named else 1
        for modifiers, key in keys.keys_of(self.queue[:length]):
            self.emulator.press(modifiers, key)
        self.queue, self.next_chunk = self.queue[length:], time.monotonic() + KEY_PACE

    def look(self):
        """Looks at the screen, when it is time."""
        if not self.watcher or time.monotonic() < self.next_look or self.emulator.ending:
            return
        try:
            self.take(self.watcher.look(*self.emulator.picture()))
        except (Unusable, OSError, ValueError):
            pass  # there is none yet, or no more
        self.next_look = time.monotonic() + LOOK

    def take(self, data):
        """What the machine said."""
        show(data)
        if self.log:
            self.log.write(data)
            self.log.flush()
        self.queue += self.script.feed(data)

    def read_serial(self):
        try:
            data = self.emulator.serial.recv(65536)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        if data:
            self.take(data)
        return bool(data)

    def read_keys(self):
        self.queue += self.terminal.read()
        return True

    def result(self):
        """(exit status, reason) once the run is over, else None."""
        now = time.monotonic()
        if self.script.met:
            return 0, "the text waited for appeared"
        if self.terminal.quit:
            waiting = self.script.waiting_for()
            return (1 if waiting else 0), "ended from the keyboard"
        if self.script.panicked:
            self.panic_end = self.panic_end or now + PANIC_GRACE
            if now > self.panic_end:
                return 1, "the machine panicked"
        gone = self.emulator.process.poll() is not None
        if gone or self.emulator.ending:
            return self.finish()
        if self.deadline and now > self.deadline:
            waiting = self.script.waiting_for()
            wanted = f" while waiting for {waiting!r}" if waiting else ""
            return 1, f"time-out after {self.timeout:g} s{wanted}"
        return None

    def finish(self):
        """The machine has ended: takes what it still had to say."""
        end = time.monotonic() + DRAIN
        while time.monotonic() < end and self.selector.get_map():
            self.turn(0.05)
        status, reason = self.emulator.ended()
        if self.script.met:
            return 0, "the text waited for appeared"
        if self.script.panicked:
            return 1, "the machine panicked"
        waiting = self.script.waiting_for()
        if status == 0 and waiting:
            return 1, f"{reason} before {waiting!r} appeared"
        return status, reason


def show(data):
    """Writes all of `data` to standard output."""
    out = sys.stdout.fileno()
    while data:
        data = data[os.write(out, data) :]
