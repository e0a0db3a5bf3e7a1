"""Guests that try what they must not, and end by a triple fault, a jump to nowhere, a reset, a halt or never, beside a Linux
guest that must not notice."""

import re

from boot import GO_ON, Boot, Check, Failed

KEY = r"\x1d"  # Ctrl-]

# Of what the guest has on its disk, past its page cache.
SUM = r"echo disk-$(dd if=/dev/vda bs=64k count=8 iflag=direct 2>n | sha256sum); "

STEPS = [
    (r"\[undisturbed\] .*/ # ", r"dd if=bin/busybox of=/dev/vda bs=64k count=8 oflag=direct 2>n; " + SUM +
     r"echo first-$((40+1))\n"),
    (r"first-41", KEY + "o"),
    (r"bulkhead> ", r"stop halting\n"),
    (r"halting is stopped by the operator", r"start again\n"),
    (r"(?s)(again: its guest reset itself.*){3}", r"stop again\n"),
    (r"again is stopped by the operator", r"start devices\n"),
    (r"\[devices\] devices: ", r"start several\n"),
    (r"\[several\] smp: ", ""),
]
# A loop with interrupts off, of a higher priority than Linux.
LOOP = [
    (r"", r"start looping\n"),
    (r"\[looping\] hostile: ", r"stats looping\n"),
    (r"process pool: ", KEY + "1"),
    (r"typing goes to undisturbed", r"echo third-$((40+3))\n"),
    (r"third-43", KEY + "o"),
    (r"operator's prompt", r"stop looping\n"),
    (r"looping is stopped by the operator", ""),
]
FAULTS = [
    (r"", r"start triple\n"),
    (r"triple: its VMM gave the guest up", r"start nowhere\n"),
    (r"nowhere: its VMM gave the guest up", r"start triple\n"),
    (r"triple: its VMM gave the guest up", ""),
]
OFF = [
    (r"", r"list\n"),
    (r"MiB of memory are free", KEY + "1"),
    (r"typing goes to undisturbed", SUM + r"echo second-$((40+2)); dmesg | grep -cE 'BUG|Oops|stall'\n"),
    (r"second-42", r"poweroff\n"),
]
STAYS_ON = [
    (r"the machine stays on, because \w+ failed", KEY + "o"),
    (r"operator's prompt", r"poweroff\n"),
    (r"the operator powers the machine off", ""),
]


def kept(log):
    """What the guest wrote to its disk is what it read of it, before and after the others' tries."""
    sums = log.all(r"^\[undisturbed\] disk-([0-9a-f]{64}) +-$")
    if len(sums) != 2 or sums[0] != sums[1]:
        raise Failed(f"sums of its disk: {sums}")


CHECKS = [
    Check("hello", r"^\[hello\] hello from a small guest: one two$", r"root\] hello: its guest switched itself off"),
    Check("sector", r"^\[sector\] sector: the timer ticks$", r"^\[sector\] sector: PASS$",
          r"root\] sector: its guest switched itself off"),
    Check("halting", r"^\[halting\] hello from a small guest: halt$", r"root\] halting is stopped"),
    Check("reset", r"^\[again\] hello from a small guest: reset", r"root\] again: its guest reset itself",
          r"^\[again\] hello from a small guest: reset"),
    Check("guest", r"^\[undisturbed\] Hello from guest a", r"^\[undisturbed\] first-41",
          r"^\[undisturbed\] second-42\n(.*\n)*?\[undisturbed\] 0$"),
    Check("disk", call=kept),
    Check("devices", r"^\[devices\] PASS device 1041$", r"^\[devices\] PASS device 1042$", r"^\[devices\] PASS device 1044$",
          r"^\[devices\] devices: 3 passed, 0 failed"),
    Check("events", r"^\[events\] events: [1-9]\d* passed, 0 failed", lacks=r"^\[events\] FAIL"),
    Check("several", r"^\[several\] smp: [1-9]\d* passed, 0 failed", lacks=r"^\[several\] FAIL"),
    Check("states", r"^undisturbed +partition +running", r"^hello +partition +off", r"^sector +partition +off",
          r"^again +partition +stopped", r"^halting +partition +stopped", r"^tries +partition +off"),
]
LOOP_CHECKS = [
    Check("looping", r"^\[looping\] hostile: \d+ passed", r"^\[undisturbed\] third-43", r"root\] looping is stopped"),
]
FAULT_CHECKS = [
    Check("triple", r"root\] triple: vcpu 0 stopped: triple fault", r"root\] triple:   code at rip: 0f 0b ",
          r"root\] triple: its VMM gave the guest up"),
    Check("nowhere", r"root\] nowhere: vcpu 0 stopped: ", r"root\] nowhere:   rip 00000000d0000000",
          r"root\] nowhere: its VMM gave the guest up"),
    Check("failed", r"^triple +partition +failed", r"^nowhere +partition +failed"),
]


def boot(platform, steps, more, timeout, **options):
    return Boot(f"hostile-{platform}", "hostile.dts", CHECKS + more, platform=platform, steps=steps,
                counted=r"\[tries\] ", timeout=timeout, **options)


def root_rests(log):
    """While a guest resets itself without end, a program of a low priority on root's CPU has most of it."""
    waits = [match.start() for match in re.finditer(r"started anew in \d+ ms", log.text)]
    ran = [(match.start(), int(match.group(1))) for match in re.finditer(r"^thread 0: .* run time (\d+) us", log.text, re.M)]
    if len(waits) < 2 or len(ran) < 2:
        raise Failed("no statistics while the guest waits")
    times = [float(log.all(r"^\[ *(\d+\.\d+) \d root\]", at)[-1]) for at, _ in (ran[0], ran[-1])]
    share = (ran[-1][1] - ran[0][1]) / 1e6 / (times[1] - times[0])
    if share < 0.5:
        raise Failed(f"it had {share:.3f} of the CPU")


BOOTS = [
    boot("qemu-svm", STEPS + LOOP + FAULTS + OFF + STAYS_ON, LOOP_CHECKS + FAULT_CHECKS, 180),
    boot("bochs-vmx", STEPS + FAULTS + OFF + STAYS_ON, FAULT_CHECKS, 500),
    boot("bochs-svm", STEPS + FAULTS + OFF + STAYS_ON, FAULT_CHECKS, 500, machine=GO_ON),
    Boot("resets", "resets.dts", [
        Check("waits", r"root\] again: its guest reset itself: started anew$",
              r"root\] again: its guest reset itself: started anew in \d+ ms", r"^again +partition +(running|waiting)"),
        Check("low-priority", call=root_rests),
    ], steps=[(r"started anew in \d+ ms", KEY + "o"), (r"operator's prompt", r"stats loop\n"),
              (r"process pool(?s:.)*(started anew in \d+ ms(?s:.)*){3}", r"stats loop\nlist\n"),
              (r"MiB of memory are free", r"poweroff\n"), (r"the operator powers the machine off", "")], timeout=90),
]
