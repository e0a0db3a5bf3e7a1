"""Drivers of Intel's network cards, one with its interrupt line and one with MSI-X: what a guest fetches through each is
what was sent, also when the driver is restarted or fails in the middle of it."""

import hashlib

from boot import Boot, Check

KEY = r"\x1d"  # Ctrl-]
LINES = 1500000
SUM = hashlib.sha256("".join(f"{number}\n" for number in range(1, LINES + 1)).encode()).hexdigest()


def network(card, number):
    """A network of the emulator's own, in which port 7 of a host sends the numbers to each that connects."""
    return ["--net", f"user,{card},net=10.0.{number}.0/24,guestfwd=tcp:10.0.{number}.100:7-cmd:seq {LINES}"]


def fetch(number, mark):
    return (rf"(echo begin-{number}-$(({mark}*2)); nc 10.0.{number}.100 7 </dev/null | sha256sum; "
            rf"echo end-{number}-$(({mark}*2))) &\n")


STEPS = [
    (r"\[linux-a\] / # ", r"m=255.255.255.0; ifconfig eth0 10.0.2.15 netmask $m; ifconfig eth1 10.0.3.15 netmask $m; "
                          r"ping -c 2 10.0.2.2; ping -c 2 10.0.3.2; " + fetch(2, 21)),
    (r"begin-2-42", KEY + "o"),
    (r"operator's prompt", r"restart net-a\n"),
    (r"(?s)restarted by the operator.*net-a: .* the link is up", r"inject net-a kill\n"),
    (r"net-a: .* the link is up", r"inject net-a stale-ring\n"),
    (r"net-a: .* the link is up", KEY + "1"),
    (r"end-2-42", fetch(3, 21)),
    (r"begin-3-42", KEY + "o"),
    (r"operator's prompt", r"inject net-b bad-ring\n"),
    (r"net-b: .* the link is up", r"inject net-b wild-write\n"),
    (r"net-b: .* the link is up", r"inject net-b kill\n"),
    (r"net-b: .* the link is up", KEY + "1"),
    (r"end-3-42", r"poweroff\n"),
]

A = r"^\[linux-a\] "
CHECKS = [
    Check("reaches", A + r"2 packets transmitted, 2 packets received", A + r"2 packets transmitted, 2 packets received"),
    Check("line", "begin-2-42$", r"net-a is restarted by the operator", *[r"net-a: .* the link is up"] * 3, SUM + "  -$",
          A + "end-2-42$"),
    Check("line-faults", r"net-a is killed by", r"switch-a: net-a broke their net session", r"net-a is restarted"),
    Check("messages", "begin-3-42$", *[r"net-b: .* the link is up"] * 3, SUM + "  -$", A + "end-3-42$"),
    Check("messages-faults", r"switch-b: net-b broke their net session", r"net-b died: page fault", r"net-b is killed by"),
    Check("well", lacks=r"Kernel panic|BUG:|Oops|Call Trace|self-detected stall|resets did not help"),
]

BOOTS = [
    Boot("net-intel-qemu-svm", "net-intel.dts", CHECKS, steps=STEPS, timeout=240,
         options=[*network("e1000", 2), *network("e1000e", 3)]),
]
