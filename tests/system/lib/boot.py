"""One boot of a machine with a system description, and the checks on what it printed."""

import contextlib
import os
import re
import subprocess

import volume
import web

TREE = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../.."))
RUN = os.path.join(TREE, "tools", "run")
GRACE = 60  # seconds beyond its own time-out that tools/run gets
TERMINAL = re.compile(r"\x1b\[[0-9;=?]*[A-Za-z]")  # what is meant for a terminal
# For Bochs with AMD-V, which takes a guest's triple fault for its own end: it shall report it, and its debugger, which
# that brings up, shall go on.
GO_ON = ["-rc", os.path.join(TREE, "tests/system/go-on.rc"), "panic: action=fatal, cpu0=report, cpu1=report"]
DELIVERY = ["--cpu", "corei7_skylake_x"]  # of Bochs: with virtual-interrupt delivery and its defect (tests/README.md)
DIED = r"the emulator ended with signal (6|11)"  # an assertion of its own, or an invalid access


class Failed(Exception):
    """A check's expectation was not met; holds the reason."""


class Log:
    """What the machine printed, without terminal codes and carriage returns."""

    def __init__(self, text, disks=()):
        self.disks = list(disks)
        self.text = TERMINAL.sub("", text).replace("\r", "")

    def find(self, pattern):
        return re.search(pattern, self.text, re.M)

    def all(self, pattern, end=None, start=0):
        """What the pattern, or its group, matches between two offsets."""
        return re.findall(pattern, self.text[start:end], re.M)

    def need(self, *patterns):
        """Each pattern must be there, each behind the one before."""
        at = 0
        for pattern in patterns:
            match = re.compile(pattern, re.M).search(self.text, at)
            if not match:
                where = "behind the one before" if at else "in the log"
                raise Failed(f"{pattern!r} is not {where}")
            at = match.end()

    def said(self, prefix):
        """The lines with the prefix, without it. One that another's line interrupts is shown again, whole: it counts once."""
        found, cut = [], False
        for line in self.text.splitlines():
            mine = re.match(prefix, line)
            if mine:
                text = line[mine.end():]
                if cut and found and text.startswith(found[-1]):
                    found.pop()
                found.append(text)
            cut = not mine
        return found

    def refuse(self, pattern):
        match = self.find(pattern)
        if match:
            raise Failed(f"{match.group(0)!r} is in the log")


def spelled(name):
    """The name of a case that a guest ran, in one word, without what it adds to a failure."""
    return re.sub(r"[^\w.]+", "-", name.split(":")[0]).strip("-.")


def reason_of(done):
    """Why tools/run failed, in a line: its own, with what an emulator that died said of it, or the first that it printed."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    own = [line for line in lines if line.startswith("run:")]
    reason = (own or lines or [f"status {done.returncode}"])[0]
    if re.search(DIED, reason):
        others = [line for line in lines if line not in own and "warning:" not in line]
        reason += ": " + next((line for line in others if re.search(r"error|assert", line, re.I)), (others or ["no word"])[-1])
    return reason


class Check:
    """A named test on a log: patterns that must be there in this order, or a function of the log."""

    def __init__(self, name, *patterns, lacks=None, call=None):
        self.name, self.patterns, self.lacks, self.call = name, patterns, lacks, call

    def run(self, log):
        log.need(*self.patterns)
        if self.lacks:
            log.refuse(self.lacks)
        if self.call:
            self.call(log)


class Boot:
    """A machine to start, what to type on it, when it is over, and what it must have printed.

    system: description below tests/system, or a path from the top of the tree.
    steps: (expression, text to type) pairs; until: the expression that ends it, else it must switch
    itself off. edit: called with the Volume of its image before the start. counted: expression before
    "PASS name" and "FAIL name" lines, each of which is then a test of its own; whole: their sum must
    come too; known: those that must fail here, for a defect of the emulator. disks: (kind, function)
    pairs for disks of tools/run: the function makes the image at a path; a check finds the paths in
    the log's `disks` afterwards. files: what a web server on the build host has, as web.serving
    wants it; PORT in what is typed stands for its port. by_hand: only if all of its name is given. resets: its end is a
    reset of the machine.
    """

    def __init__(self, name, system, checks, *, platform="qemu-svm", cpus=2, memory=1024,
                 steps=(), until=None, timeout=120, edit=None, counted=None, whole=True,
                 known=(), panics=False, options=(), machine=(), disks=(), files=None, by_hand=False, resets=False):
        self.name, self.checks, self.platform = name, list(checks), platform
        self.system = os.path.join(TREE, system if "/" in system else f"tests/system/{system}")
        self.cpus, self.memory, self.steps, self.until = cpus, memory, list(steps), until
        self.timeout, self.edit = timeout, edit
        self.counted, self.whole, self.known, self.panics = counted, whole, known, panics
        self.options, self.machine, self.disks = list(options), list(machine), list(disks)
        self.files, self.port, self.by_hand, self.resets = files or {}, 0, by_hand, resets
        # QEMU with a thread for each CPU ends some boots so (tests/README.md); in others it is what must come.
        wanted = any("triple fault" in pattern for check in self.checks for pattern in check.patterns)
        self.broken = DIED
        if platform == "qemu-svm" and cpus > 1 and not wanted:
            self.broken += r"|triple fault"

    def run(self, folder):
        """Boots and checks; returns [(name of the test, reason of its failure or None)]."""
        folder = os.path.join(folder, self.name)
        os.makedirs(folder, exist_ok=True)
        log_path = os.path.join(folder, "log")
        disks = [os.path.join(folder, f"disk{number}") for number in range(len(self.disks))]
        results = self.run_once(folder, log_path, disks)
        reasons = [reason for _, reason in results if reason]
        if reasons and os.path.exists(log_path):
            with open(log_path, encoding="utf-8", errors="replace") as text:
                said = "\n".join([*reasons, text.read()])
            if re.search(self.broken, said):
                print(f"{self.name} is booted again, for the emulator may have broken it: {reasons[0]}", flush=True)
                os.replace(log_path, f"{log_path}.first")
                results = self.run_once(folder, log_path, disks)
        return results

    def run_once(self, folder, log_path, disks):
        try:
            return self.run_with(folder, log_path, disks)
        finally:
            for path in disks:
                if os.path.exists(path):
                    os.unlink(path)

    def run_with(self, folder, log_path, disks):
        for path, (_, make) in zip(disks, self.disks):
            make(path)
        try:
            with web.serving(self.files) if self.files else contextlib.nullcontext(0) as self.port:
                said = self.boot(folder, log_path)
        except (Failed, volume.Broken) as failure:
            return [(f"{self.name}.{check}", str(failure)) for check in ("end", *self.names())]
        with open(log_path, "rb") as text:
            log = Log(text.read().decode("utf-8", "replace"), disks)
        results = [(f"{self.name}.end", said)]
        for check in self.checks:
            results.append((f"{self.name}.{check.name}", self.verdict(check, log)))
        if not self.panics:
            check = Check("no-panic", lacks=r"PANIC:.*")
            results.append((f"{self.name}.{check.name}", self.verdict(check, log)))
        return results + (self.cases(log) if self.counted else [])

    def names(self):
        return [check.name for check in self.checks]

    @staticmethod
    def verdict(check, log):
        try:
            check.run(log)
        except Failed as failure:
            return str(failure)
        return None

    def cases(self, log):
        """The tests that a program or guest ran itself, and that it came to its end."""
        said = [re.fullmatch(r"(PASS|FAIL) (.+)", line) for line in log.said(self.counted)]
        found = [line.groups() for line in said if line]
        results = [(f"{self.name}.{spelled(name)}", self.case(verdict == "PASS", name)) for verdict, name in found]
        if not self.whole:
            return results
        total = log.find(rf"^{self.counted}\w+: (\d+) passed, (\d+) failed$")
        if not total:
            last = f"; the last is {found[-1][1]!r}" if found else ""
            reason = f"its sum is missing{last}"
        elif sum(map(int, total.groups())) != len(found):
            reason = f"{total.group(0)!r}, but {len(found)} lines"
        else:
            reason = None if found else "no cases at all"
        return [*results, (f"{self.name}.sum", reason)]

    def case(self, passed, name):
        """Why a case's end is not as wanted, or None."""
        if spelled(name) in self.known:
            return "it passes, but is known to fail here" if passed else None
        return None if passed else name

    def command(self, folder, log_path):
        system = ["--image", self.image(folder)] if self.edit else [self.system]
        command = [RUN, *system, "--platform", self.platform, "--cpus", str(self.cpus),
                   "--memory", str(self.memory), "--timeout", str(self.timeout), "--log", log_path,
                   "--emulator-log", os.path.join(folder, "emulator"), *self.options]
        for number, (kind, _) in enumerate(self.disks):
            command += ["--disk", f"{os.path.join(folder, f'disk{number}')},{kind}"]
        for wanted, answer in self.steps:
            command += ["--send", f"{wanted}=>{answer.replace('PORT', str(self.port))}"]
        if self.until:
            command += ["--until", self.until]
        return command + (["--", *self.machine] if self.machine else [])

    def image(self, folder):
        """An image of the description, changed by self.edit."""
        path = os.path.join(folder, "disk.img")
        done = subprocess.run([os.path.join(TREE, "tools", "image"), self.system, path],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failed(done.stderr.strip())
        self.edit(volume.Volume(path))
        return path

    def boot(self, folder, log_path):
        """Runs the machine; returns why its end was not as wanted, or None."""
        command = self.command(folder, log_path)
        with open(log_path, "wb"):
            pass
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True, timeout=self.timeout + GRACE,
                                  check=False)
        except subprocess.TimeoutExpired:
            return "tools/run did not end"
        finally:
            if self.edit and os.path.exists(os.path.join(folder, "disk.img")):
                os.unlink(os.path.join(folder, "disk.img"))
        said = None if done.returncode == 0 else reason_of(done)
        if self.resets:
            return None if said and "the machine reset itself" in said else f"no reset: {said}"
        return said
