"""A guest that works while its VMM is killed again and again by `restart-vmm`; used by cases/restart.py and tests/soak."""

import re

from boot import Boot, Check, Failed

KEY = r"\x1d"  # Ctrl-]
TEXT = "abcdefghijklmnopqrstuvwxyz.0123456789.ABCDEFGHIJKLMNOPQRSTUVWXYZ"
RESTARTED = "its VMM is restarted by the operator"


class Workload:
    """What the guest NAME of `system` does meanwhile.

    begin: steps up to the moment at which it works, each as in Boot. progress: an expression that it prints now and
    then. end: steps that make it come to its end and print "end-42", with the keyboard at its console. check: a function
    of the log, or None.
    """

    def __init__(self, name, system, begin, progress, end, check, **settings):
        self.name, self.system, self.begin, self.progress = name, system, begin, progress
        self.end, self.check, self.settings = end, check, settings


def boot(name, kills, workload, before=(), checks=(), timeout=0, **settings):
    """A boot with that many kills: every third waits for progress, the others come as soon as they can.

    before: steps at the guest's prompt, after the work.
    """
    steps = [*workload.begin, (workload.progress, KEY + "o"), ("operator's prompt", rf"restart-vmm {workload.name}\n")]
    for kill in range(1, kills):
        steps.append((RESTARTED if kill % 3 else rf"(?s){RESTARTED}.*{workload.progress}",
                      rf"restart-vmm {workload.name}\n"))
    steps.append((rf"(?s){RESTARTED}.*{workload.progress}", KEY + "1"))
    steps.append(("typing goes to", workload.end))
    steps.extend(before)

    def count(log):
        found = len(log.all(rf"{re.escape(workload.name)}: {RESTARTED}$"))
        if found != kills:
            raise Failed(f"{found} restarts, {kills} were asked for")

    return Boot(name, workload.system, [
        Check("kills", call=count),
        Check("result", call=workload.check),
        Check("well", lacks=r"Kernel panic|BUG:|Oops|Call Trace|soft lockup|nobody cared|I/O error"),
        *checks,
    ], steps=steps, timeout=timeout or 120 + 2 * kills, **{**workload.settings, **settings})


# Lines with a number; in each round what was written to the disk is read back, and the FPU computes in the background.
SHELL = (
    r"dmesg -n 1; stty -echo; dd if=/dev/urandom of=/tmp/p bs=64k count=4 2>/dev/null; a=$(sha256sum </tmp/p); "
    r"f() { awk 'BEGIN { for (i = 1; i < 3000; i++) s += 1 / i; print s * s }'; }; w=$(f); "
    r"(until [ -e /tmp/stop ]; do [ $(f) = $w ] || echo bad-fpu; done) & "
    r"(i=0; until [ -e /tmp/stop ]; do "
    r"dd if=/tmp/p of=/dev/vda bs=64k seek=$((i % 60 * 4)) oflag=direct 2>/dev/null; "
    r"b=$(dd if=/dev/vda bs=64k skip=$((i % 60 * 4)) count=4 iflag=direct 2>/dev/null | sha256sum); "
    rf"[ \"$a\" = \"$b\" ] && echo line-$i {TEXT} || echo bad-$i; i=$((i+1)); done; echo last-$i) & "
    r"read x; touch /tmp/stop; wait; stty echo; echo end-$((40+2))\n")


def lines(log):
    """Every line of the shell's once, whole and in order."""
    found = [line for line in log.said(r"\[linux\] ") if re.match(r"(line|bad|last)-\S+( \S+)?$", line)]
    wanted = [f"line-{number} {TEXT}" for number in range(len(found) - 1)] + [f"last-{len(found) - 1}"]
    for have, want in zip(found, wanted):
        if have != want:
            raise Failed(f"{have!r} is there for {want!r}")
    if len(found) < 3:
        raise Failed("too few lines")


# A program is compiled, linked and run, again and again, on four processors, beside a clock that says how it goes on.
COMPILE = (
    r"dmesg -n 1; stty -echo; (i=0; until [ -e /tmp/stop ]; do compile-test; i=$((i+1)); done; echo last-$i) & "
    rf"(i=0; until [ -e /tmp/stop ]; do echo tick-$i {TEXT}; i=$((i+1)); sleep 1; done) & "
    r"read x; touch /tmp/stop; wait; stty echo; echo end-$((40+2))\n")


def compiled(log):
    """Each compilation passed and gave the same program, and each line of the clock is there once and in order."""
    text = log.said(r"\[linux\] ")
    results = [line for line in text if re.match(r"compile-test: ", line)]
    programs = {line.split()[2] for line in results if re.fullmatch(r"compile-test: PASS \w{16}, \d+ passed, 0 failed", line)}
    ticks = [line for line in text if re.match(r"tick-\S+( \S+)?$", line)]
    if not results or len(programs) != 1 or any(" PASS " not in line for line in results):
        raise Failed(f"the compilations said {results}")
    for number, line in enumerate(ticks):
        if line != f"tick-{number} {TEXT}":
            raise Failed(f"{line!r} is there for tick {number}")


WORKLOADS = {
    "compile": Workload("linux", "guests/systems/smp.dts", [(r"\[linux\] .*/ # ", COMPILE)], r"\[linux\] tick-\d+ ", r"\n",
                        compiled, cpus=4),
    "shell": Workload("linux", "restart.dts", [(r"\[linux\] / # ", SHELL)], r"\[linux\] line-\d+ ", r"\n", lines),
}
