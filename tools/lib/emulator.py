"""What the emulators have in common: a child process, its serial port, its own messages."""

import collections
import ctypes
import os
import signal
import subprocess
import time

from line import Line

KEEP_LINES = 60
PR_SET_PDEATHSIG = 1
GRACE = 3.0  # seconds for an emulator to end when asked to


def die_with_parent():
    """In the child: be killed when the runner dies, however that happens."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Unusable(Exception):
    """The emulator cannot be started as asked."""


class Emulator:
    """One emulated machine.

    A subclass sets `command` in prepare(), and may set `sockets` (kept open in the child). With
    `line`, it sets line.port, the second serial port. After start(), `serial` is a non-blocking socket, or None if the machine has no serial port (options.console is "screen"), `messages` the emulator's own output, `ending` is
    None or, once the machine stopped by itself, (exit status, reason).
    """

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.command, self.sockets = [], []
        self.process = self.serial = self.messages = None
        self.ending = None
        self.last_lines = collections.deque(maxlen=KEEP_LINES)
        self.partial = b""
        self.message_log = None
        self.line = Line(options.com2) if options.com2 else None

    def prepare(self):
        raise NotImplementedError

    def connect(self):
        """Runs right after the start: gets the serial port."""

    def start(self):
        self.prepare()
        if self.options.emulator_log:
            self.message_log = open(self.options.emulator_log, "wb")
        settings = dict(os.environ, TMPDIR=self.folder)
        try:
            self.process = subprocess.Popen(
                self.command + self.options.extra_args, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=settings,
                pass_fds=[one.fileno() for one in self.sockets], preexec_fn=die_with_parent,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise Unusable(f"{self.command[0]} is not installed: see tools/setup") from error
        for one in self.sockets:
            one.close()
        self.messages = self.process.stdout
        os.set_blocking(self.messages.fileno(), False)
        self.connect()
        if self.serial:
            self.serial.setblocking(False)

    def sources(self):
        """Files to wait for besides the serial port: (file, what to call when it is readable)."""
        return [(self.messages, self.read_messages)]

    def read_messages(self):
        """Keeps the last lines that the emulator itself printed; False at their end."""
        try:
            data = os.read(self.messages.fileno(), 65536)
        except BlockingIOError:
            return True
        if self.message_log:
            self.message_log.write(data)
        *lines, self.partial = (self.partial + data).split(b"\n")
        for line in lines:
            self.last_lines.append(line)
            self.message(line)
        return bool(data)

    def message(self, line):
        """Looks at a line of the emulator's own output."""

    def ended(self):
        """Called when the process is gone: the machine's (exit status, reason)."""
        if self.ending:
            return self.ending
        code = self.process.returncode
        how = f"signal {-code}" if code < 0 else f"status {code}"
        return 1, f"the emulator ended with {how}"

    def picture(self):
        """The screen: width, height, and three bytes for each pixel from the top left on."""
        raise Unusable("no screen on this platform")

    def press(self, modifiers, key):
        """Presses and releases a key (keys.py) of the machine's keyboard."""
        raise Unusable("no keyboard on this platform")

    def stop(self):
        """Ends the process and waits for it; may be called at any time, and twice."""
        if self.process is not None:
            for number in (signal.SIGTERM, signal.SIGKILL):
                if self.process.poll() is not None:
                    break
                self.process.send_signal(number)
                self.wait(GRACE)
            self.process.wait()
        if self.message_log:
            self.message_log.close()
            self.message_log = None
        if self.line:
            self.line.close()
            self.line = None

    def wait(self, seconds):
        """Waits for the end of the process, reading its messages so that it doesn't block."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            self.read_messages()
            time.sleep(0.02)
