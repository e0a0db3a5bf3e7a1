"""Drivers and servers that are made to fail again and again under two Linux guests, which must not notice."""

from boot import Check, Failed
from injection import MACHINES, boot, mixed, verified

SEED = 3
MACHINE = MACHINES["ramdisk"]
FAULTS = mixed(MACHINE, 50, SEED)

# Rings of bytes, what is refused, and a server that may not be restarted.
BEFORE = [
    (r"", r"inject console bad-ring\n"),
    (r"console broke its session with root(?s:.)*console is restarted", r"inject uart bad-ring\n"),
    (r"uart broke the protocol with all its peers(?s:.)*uart is restarted", r"inject ramdisk wild-dma\n"),
    (r"not supported: ramdisk has no device", r"inject linux-a kill\n"),
    (r"linux-a is no domain that runs", r"inject ramdisk sing\n"),
    (r"usage: inject", r"inject frail kill\n"),
    (r"frail is not restarted", r"list\n"),
    (r"MiB of memory are free", ""),
]
AFTER = [
    (r"end-42", r"dd if=/dev/vdb of=/dev/null bs=4k count=1 iflag=direct; dd if=/dev/vda of=/dev/null bs=4k count=1 "
                r"iflag=direct && echo own-$((6*7)); echo end-$((40+3))\n"),
]


def fails(log):
    """Without replay, the check of the data must find what is lost."""
    if not log.all(r"^\[linux-[ab]\] bad-\S+$"):
        raise Failed("the guests noticed nothing")
    try:
        verified(log)
    except Failed:
        return
    raise Failed("the check of the data passes")


BOOTS = [
    boot("faults-qemu-svm", MACHINE, FAULTS, before=BEFORE, after=AFTER, seed=SEED, share=0.3, timeout=330, checks=[
        Check("console-ring", r"root: console broke their console session", r"console is restarted"),
        Check("frail", r"root\] frail is killed by the operator", r"root\] frail is not restarted: 0 restarts",
              r"root\] linux-b(:disk@5,0)?: what it has of frail fails",
              r"^frail +domain +failed", r"^linux-b +partition +running",
              r"^\[linux-b\] .*dd: .*error", r"^\[linux-b\] own-42$"),
    ]),
    boot("faults-no-replay", MACHINES["ramdisk-no-replay"], [("ramdisk", "kill")] * 8, well=False, share=0.1, timeout=150,
         checks=[Check("noticed", call=fails)]),
]
