"""What tools/bench boots: system descriptions and bare kernels in QEMU with -icount, whose time counts instructions."""

import json
import os
import re
import selectors
import socket
import subprocess
import sys
import threading
import time

TREE = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", ".."))
BUILD = os.path.join(TREE, "build")
BENCH = os.path.join(TREE, "tests", "bench")
DETERMINISTIC = ["-rtc", "base=2024-01-01T00:00:00,clock=vm", "-seed", "1"]
POKE_SECONDS = 0.005


def fail(text):
    print(f"bench: {text}", file=sys.stderr)


class Poker(threading.Thread):
    """Stops a machine for a moment, again and again, so that its other CPUs have their turn.

    With -icount QEMU runs a CPU until the next timer is due, and then has no time left for the others, so a CPU that spins
    without PAUSE for another one spins for ever, as Linux does when it starts its processors. (As a guest it has exits.)
    """

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.path = os.path.join(folder, "poke.socket")
        self.end = threading.Event()

    def options(self):
        """QEMU's, for the machine."""
        return ["-qmp", f"unix:{self.path},server=on,wait=off"]

    def run(self):
        try:
            with socket.socket(socket.AF_UNIX) as one:
                one.connect(self.path)
                with one.makefile("rw") as talk:
                    self.poke(talk)
        except (OSError, ValueError):
            pass  # the machine has ended

    def poke(self, talk):
        def order(name):
            talk.write(json.dumps({"execute": name}) + "\n")
            talk.flush()
            while True:
                answer = json.loads(talk.readline())
                if "return" in answer or "error" in answer:
                    return

        talk.readline()
        order("qmp_capabilities")
        while not self.end.wait(POKE_SECONDS):
            order("stop")
            order("cont")

    def stop(self):
        self.end.set()
        self.join()
        if os.path.exists(self.path):
            os.unlink(self.path)


def boot(folder, name, cpus, until, *, steps=(), shift=0, timeout=540, options=()):
    """Boots tests/bench/NAME.dts and returns what it printed; None if it did not get to `until`.

    steps: those of tools/run's --send. shift: an instruction is 2^shift cycles. options: more of tools/run, at its end.
    """
    log = os.path.join(folder, name + ".log")
    command = [os.path.join(TREE, "tools", "run"), os.path.join(BENCH, name + ".dts"), "--files", folder,
               "--cpus", str(cpus), "--icount", "--icount-shift", str(shift), "--timeout", str(timeout),
               "--until", until, "--log", log]
    for step in steps:
        command += ["--send", step]
    command += options
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)
    text = open(log, errors="replace").read() if os.path.exists(log) else ""
    if result.returncode:
        fail(f"{name}: did not get to its end; the last it printed was: {text[-300:]!r}")
        return None
    return text


def bare_linux(folder, cpus, initrd, append, until, *, steps=(), shift=0, timeout=300):
    """The same for the guests' kernel straight in the emulator. steps: (expression, what to type)."""
    log = os.path.join(folder, "bare.log")
    command = ["qemu-system-x86_64", "-nodefaults", "-machine", "pc", "-accel", "tcg", "-cpu", "EPYC",
               "-smp", str(cpus), "-m", "256", "-display", "none", "-no-reboot", "-serial", "stdio",
               "-icount", f"shift={shift},sleep=off", *DETERMINISTIC,
               "-kernel", os.path.join(BUILD, "guests", "vmlinuz"), "-initrd", initrd, "-append", append]
    poker = Poker(folder) if cpus > 1 else None
    if poker:
        command += poker.options()
    with open(log, "wb") as out:
        machine = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if poker:
            time.sleep(1)  # for its socket
            poker.start()
        try:
            text = talk_to(machine, out, list(steps), re.compile(until), time.monotonic() + timeout)
        finally:
            if poker:
                poker.end.set()
            machine.kill()
            machine.wait()
            if poker:
                poker.stop()
    if text is None:
        fail(f"the bare Linux with {cpus} CPUs did not get to its end; see: {open(log, errors='replace').read()[-300:]!r}")
    return text


def talk_to(machine, out, steps, until, end):
    """Types what the steps say until the expression is there; None if it does not come."""
    text, since = "", 0
    with selectors.DefaultSelector() as wait:
        wait.register(machine.stdout, selectors.EVENT_READ)
        while time.monotonic() < end:
            if not wait.select(1):
                continue
            got = os.read(machine.stdout.fileno(), 4096)
            if not got:
                break
            out.write(got)
            text += got.decode("utf-8", "replace")
            while steps and (match := re.compile(steps[0][0]).search(text, since)):
                since = match.end()
                machine.stdin.write(steps.pop(0)[1].encode())
                machine.stdin.flush()
            if not steps and until.search(text, since):
                return text
    return None


def newc(files):
    """A newc archive of executable files {path: content}."""
    def entry(path, mode, content):
        fields = [0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path) + 1, 0]
        head = ("070701" + "".join(f"{f:08x}" for f in fields) + path + "\0").encode()
        head += b"\0" * (-len(head) % 4)
        return head + content + b"\0" * (-len(content) % 4)
    return b"".join(entry(path, 0o100755, data) for path, data in files.items()) + entry("TRAILER!!!", 0, b"")


def make_initrd(folder):
    """The demonstration's RAM disk with the programs of tests/bench added: archives may follow one another."""
    program = os.path.join(folder, "tsc")
    subprocess.run(["gcc", "-nostdlib", "-static", "-o", program, os.path.join(BENCH, "tsc.S")], check=True)
    subprocess.run(["gcc", "-O2", "-nostdlib", "-static", "-ffreestanding", "-fno-stack-protector", "-no-pie", "-fno-pic",
                    "-I", TREE, "-o", program + "-io", os.path.join(BENCH, "io.c")], check=True)
    path = os.path.join(folder, "bench.cpio")
    files = {"bin/tsc": open(program, "rb").read(), "bin/io": open(program + "-io", "rb").read()}
    for name in ("work", "devices", "drivers"):
        files["bin/" + name] = open(os.path.join(BENCH, name + ".sh"), "rb").read()
    with open(path, "wb") as f:
        first = open(os.path.join(BUILD, "guests", "a.cpio"), "rb").read()
        f.write(first + b"\0" * (-len(first) % 4))
        f.write(newc(files))
    return path


def make_counter(folder):
    """QEMU's plugin that counts instructions by the code that they lie in: tests/bench/count.c."""
    path = os.path.join(folder, "count.so")
    subprocess.run(["gcc", "-O2", "-std=gnu17", "-shared", "-fPIC", "-fvisibility=hidden", "-I", TREE, "-o", path,
                    os.path.join(BENCH, "count.c")], check=True)
    return path
