"""A boot with GDB on the machine's second serial port."""

import os
import re
import shutil
import subprocess
import tempfile
import threading
import time

from boot import Boot

FIRST = ["set pagination off", "set confirm off", "set remotetimeout 30", "set width 0"]
INTERRUPT = "shell (sleep {seconds}; kill -INT $PPID) >/dev/null 2>&1 &"


def interrupted(command, seconds=3):
    """The command, and Ctrl-C some seconds later."""
    return [INTERRUPT.format(seconds=seconds), command]


class Debugged(Boot):
    """GDB runs the commands `gdb` when the log has the expression `attach`; what it says is in the log, "[gdb] " before it.

    symbols: a program below build/guests.
    """

    def __init__(self, name, system, checks, *, gdb, attach, symbols=None, **more):
        super().__init__(name, system, checks, **more)
        self.gdb, self.attach, self.symbols = gdb, attach, symbols
        self.over = False

    def boot(self, folder, log_path):
        short = tempfile.mkdtemp(prefix="bulkhead-gdb-")  # a socket's path must be short
        path = os.path.join(short, "com2")
        self.options = ["--com2", path]
        debugger = threading.Thread(target=self.debug, args=(folder, log_path, path))
        debugger.start()
        try:
            return super().boot(folder, log_path)
        finally:
            self.over = True
            debugger.join()
            shutil.rmtree(short)
            with open(log_path, "ab") as log, open(self.said(folder), "rb") as said:
                log.write(b"\n" + b"".join(b"[gdb] " + line for line in said))

    @staticmethod
    def said(folder):
        return os.path.join(folder, "gdb")

    def waits(self, log_path):
        """Until the log has what `attach` says; False: the machine has ended before."""
        while not self.over:
            if os.path.exists(log_path):
                with open(log_path, "rb") as log:
                    if re.search(self.attach.encode(), log.read()):
                        return True
            time.sleep(0.2)
        return False

    def debug(self, folder, log_path, path):
        script = os.path.join(folder, "script.gdb")
        with open(script, "w", encoding="utf-8") as out:
            out.write("\n".join([*FIRST, f"target remote {path}", *self.gdb]) + "\n")
        command = ["gdb", "-nx", "-batch", "-x", script]
        if self.symbols:
            command.append(os.path.join("build", "guests", self.symbols))
        with open(self.said(folder), "wb") as said:
            if not self.waits(log_path):
                return
            try:
                subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
                               timeout=self.timeout, check=False)
            except subprocess.TimeoutExpired:
                said.write(b"gdb did not end\n")
