"""GDB debugs a small guest from its first instruction on, and a Linux guest with two processors."""

from boot import Check
from debug import Debugged, interrupted

LONG = 1200  # s

FIRST = [
    "info threads",
    "break small_main", "continue", "backtrace",
    "break inner", "continue", "backtrace", "print x", "info registers rip cs cr0 efer",
    "delete", "stepi", "stepi", "stepi", "finish",
    "break flags_seen", "continue", "delete",  # QEMU 7.2 ignores debug registers that VMRUN loads
]
RELEASE = ["print released", "set var released = 1", "print/x released"]


def steps(count):
    return ["set $steps = 0", f"while $steps < {count}", "stepi", "x/i $pc", "set $steps = $steps + 1", "end"]


SMALL = [
    *FIRST, *steps(6),
    "print $eflags",
    "shell sleep 4",  # so much guest time must not pass
    *interrupted("continue"),
    "backtrace", "print $eflags", "x/2i $pc",
    *RELEASE,
    "thread 2", "thread 1",
    "detach",
]

# What Bochs does with AMD-V: steps of what does not exit, so not of CPUID, and no interruption of a guest without interrupts.
SHORT = [*FIRST, *steps(5), *RELEASE, "detach"]

LINUX = [
    *interrupted("continue", 1),
    "info threads",
    "thread apply all print $rip", "thread apply all print $cr3 != 0",
    "thread 1", "x/8xb $rsp",
    "set $steps = 0", "while $steps < 20", "stepi", "set $steps = $steps + 1", "end",
    "printf \"stepped %d\\n\", $steps",
    "set scheduler-locking on", "stepi", "stepi", "set scheduler-locking off",
    "thread 2", "stepi", "stepi", "print $cs",
    *interrupted("continue", 2),
    "detach",
]


STEPPED = [r"^\[gdb\] => .*<flags_seen.*>:\s+pop", r"^\[gdb\] => .*popf", r"^\[gdb\] => .*cpuid"]
ALL = [
    Check("step", *STEPPED, r"^\[gdb\] \$\d+ = \[ .*\]"),
    Check("hung", r"^\[gdb\] .*received signal SIGINT", r"^\[gdb\] #0 .*hang \(\)", r"^\[gdb\] #1 .*small_main",
          r"^\[gdb\] \$\d+ = 0x1$"),
]
LESS = [Check("step", *STEPPED, r"^\[gdb\] \$\d+ = 0x1$")]


def small(platform, timeout, script=tuple(SMALL), more=tuple(ALL), **options):
    return Debugged(f"gdb-{platform}", "debug.dts", [
        Check("waits", r"debuggee: the guest waits for a debugger", r"debuggee: a debugger attached"),
        Check("guest", r"^\[debuggee\] debuggee: hangs", r"^\[debuggee\] debuggee: [1-9]\d* passed, 0 failed"),
        Check("threads", r"^\[gdb\] .* 1 +Thread 1 \(vcpu 0, runs\)",
              r"^\[gdb\] .* 2 +Thread 2 \(vcpu 1, waits for a start-up IPI\)"),
        Check("break", r"^\[gdb\] .*Breakpoint 1, small_main", r"^\[gdb\] #0 +small_main .*debuggee\.c"),
        Check("backtrace", r"^\[gdb\] .*Breakpoint 2, inner \(x=x@entry=1\)|^\[gdb\] .*Breakpoint 2, inner \(x=1\)",
              r"^\[gdb\] #0 +inner ", r"^\[gdb\] #1 .* outer \(", r"^\[gdb\] #2 .* small_main"),
        Check("registers", r"^\[gdb\] cs +0x8 ", r"^\[gdb\] cr0 +0x8", r"^\[gdb\] efer +0x5"),
        *more,
        Check("detach", r"debuggee: the debugger detached", r"^\[debuggee\] debuggee: \d+ passed"),
    ], platform=platform, timeout=timeout, counted=r"\[debuggee\] ",
        gdb=list(script), attach="waits for a debugger", symbols="debuggee.elf", **options)


def linux(platform, timeout, **options):
    return Debugged(f"gdb-linux-{platform}", "guests/systems/debug.dts", [
        Check("threads", r"^\[gdb\] .* 1 +Thread 1 \(vcpu 0", r"^\[gdb\] .* 2 +Thread 2 \(vcpu 1"),
        Check("interrupt", r"^\[gdb\] .*received signal SIGINT", r"^\[gdb\] Thread 2", r"^\[gdb\] Thread 1"),
        Check("step", r"^\[gdb\] stepped 20"),
        Check("again", r"^\[gdb\] stepped 20", r"^\[gdb\] .*received signal SIGINT"),
        Check("goes-on", r"the debugger detached", r"^\[linux\] on-42$", r"^\[linux\] 2$"),
        Check("well", lacks=r"Kernel panic|BUG:|Oops|Call Trace|self-detected stall|soft lockup|Marking clocksource"),
    ], platform=platform, timeout=timeout, steps=[
        (r"/ # ", r"while :; do :; done & while :; do :; done & echo busy-$((40+1))\n"),
        (r"the debugger detached", r"\necho on-$((6*7)); grep -c ^processor /proc/cpuinfo; dmesg | tail -n 5; poweroff\n"),
    ], gdb=LINUX, attach=r"busy-41", **options)


BOOTS = [
    small("qemu-svm", 120),
    linux("qemu-svm", 180),
    small("bochs-vmx", LONG, by_hand=True),
    linux("bochs-vmx", LONG, by_hand=True),
    small("bochs-svm", LONG, SHORT, LESS, by_hand=True),
]
