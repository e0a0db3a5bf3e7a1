"""Two Debian guests with disks on one drive, a network between them and to the outside, as `make run` shows them: what they
fetch from a server on the build host is whole, though the card's driver and the switch die in mid-transfer. The same by hand on
Bochs, on the hardware that it has."""

import hashlib
import random

from boot import Boot, Check
from injection import blank

KEY = r"\x1d"  # Ctrl-]
FAST, SLOW = (random.Random(seed).randbytes(2 << 20) for seed in (1, 2))
PAUSE = 0.25  # so that SLOW takes 8 s at least
LONG_PAUSE = 2

BOTH = r"(?s)\[linux-a\] / # .*\[linux-b\] / # |\[linux-b\] / # .*\[linux-a\] / # "


def kills(names):
    """The steps at the operator's prompt in which each of these is killed in turn, and the card's driver fails otherwise."""
    before = [r"operator's prompt", *(rf"\] {name} is restarted \(1\)" for name in names), r"\] net is restarted \(2\)"]
    typed = [*(rf"inject {name} kill\n" for name in names), r"inject net bad-ring\n", r"restart net\n"]
    return list(zip(before, typed))


def steps(*killed):
    return [
        (BOTH, r"ping -c 2 10.0.2.2; wget -q -O - http://10.0.2.2:PORT/fast | sha256sum; "
               r"dd if=/dev/urandom of=/tmp/p bs=64k count=16 2>/dev/null; "
               r"dd if=/tmp/p of=/dev/vda bs=64k oflag=direct conv=fsync 2>/dev/null; "
               r"dd if=/dev/vda bs=64k count=16 iflag=direct 2>/dev/null | cmp - /tmp/p && echo disk-$((6*7)); "
               r"echo end-$((40+0))\n"),
        (r"end-40", KEY + "2"),
        (r"typing goes to linux-b", r"for i in 15 16; do ping -c 2 10.0.2.$i; done; "
                                    r"(wget -q -O /tmp/f http://10.0.2.2:PORT/slow; echo slow-$(sha256sum </tmp/f)) & "
                                    r"until [ -s /tmp/f ]; do sleep 1; done; echo end-$((40+1))\n"),
        (r"end-41", KEY + "o"),
        *kills(killed),
        (r"net is restarted by the operator", r"list\n"),
        (r"MiB of memory are free", KEY + "2"),
        (r"typing goes to linux-b", r"wait; poweroff\n"),
        (r"linux-b: its guest switched itself off", KEY + "1"),
        (r"typing goes to linux-a", r"ping -c 2 10.0.2.2; dd if=/dev/vda bs=64k count=16 iflag=direct 2>/dev/null | "
                                    r"cmp - /tmp/p && echo kept-$((6*7)); poweroff\n"),
    ]


A, B = r"^\[linux-a\] ", r"^\[linux-b\] "
PING = r"2 packets transmitted, 2 packets received"
CHECKS = [
    Check("driver", r"root\] net: PCI function .*: a card with the address 52:54:00:", r"root\] net: .*: the link is up$"),
    Check("addresses", r"^\[linux-[ab]\] .*eth0: 10\.0\.2\.1[56]", r"^\[linux-[ab]\] .*eth0: 10\.0\.2\.1[56]"),
    Check("gateway", A + PING),
    Check("fetched", A + hashlib.sha256(FAST).hexdigest()),
    Check("disk", A + r"disk-42$", A + r"kept-42$"),
    Check("guest-to-guest", B + PING, B + PING),
    Check("driver-killed", r"end-41$", r"net is restarted \(1\)", r"switch is restarted \(1\)", r"net is restarted \(2\)",
          r"net is restarted by the operator",
          B + ".*slow-" + hashlib.sha256(SLOW).hexdigest()),
    Check("afterwards", r"linux-b: its guest switched itself off", A + PING),
    Check("well", lacks=r"Kernel panic|BUG:|Oops|Call Trace|self-detected stall|I/O error"),
]

BOOTS = [
    Boot("network-qemu-svm", "guests/systems/network.dts", CHECKS, steps=steps("net", "switch", "nvme", "bus", "console"), timeout=330,
         options=["--net", "user"], disks=[("nvme", lambda path: blank(path, 64))],
         files={"fast": (FAST, 0), "slow": (SLOW, PAUSE)}),
    Boot("network-bochs-vmx", "guests/systems/bochs.dts", CHECKS, platform="bochs-vmx", timeout=1100, options=["--net", "user"],
         steps=steps("net", "switch", "disk", "bus", "console", "uart"), disks=[("ata", lambda path: blank(path, 96))],
         files={"fast": (FAST, 0), "slow": (SLOW, LONG_PAUSE)}, by_hand=True),
]
