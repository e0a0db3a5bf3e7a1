"""A Debian guest with an NVMe controller of its own, driven by its stock driver: what it writes past its page cache stands in
the image, also when its VMM is replaced meanwhile; behind each IOMMU. Beside it a guest tells a device of its own to reach beyond
its memory: that is named, and harms nobody. Without an IOMMU the guest is not started."""

import hashlib

from boot import Boot, Check, Failed

KEY = r"\x1d"  # Ctrl-]
SIZE = 64 << 20
WRITTEN = 4 << 20

# What a round writes is read back past the page cache, and compared as its sum.
ROUND = (r"dd if=/dev/urandom of=/tmp/p bs=64k count=64 2>/dev/null; dd if=/tmp/p of=/dev/nvme0n1 bs=64k oflag=direct conv=fsync "
         r"2>/dev/null || echo bad-write; a=$(sha256sum </tmp/p); b=$(dd if=/dev/nvme0n1 bs=64k count=64 iflag=direct 2>/dev/null "
         r"| sha256sum); [ \"$a\" = \"$b\" ] || echo bad-sum")
ERRORS = r"echo errors-$(dmesg | grep -ciE 'i/o error|timeout|resetting|completion polled'); "
LAST = ROUND + r"; sync; " + ERRORS + r"grep nvme0q /proc/interrupts; echo sum-${a%% *}; poweroff\n"

# The guest with the device that copies to any address begins at a key.
REACHES = [(r"typing goes to reach", r"x"), (r"reach: \d+ passed, \d+ failed(?s:.*keeper: pass \d+.*keeper: pass) \d", "")]
STEPS = [
    (r"\[linux-a\] / # ", r"(n=0; while [ ! -e /tmp/stop ]; do " + ROUND + r"; n=$((n+1)); done; echo rounds-$n) & "
                          r"sleep 3; echo end-$((40+0))\n"),
    (r"end-40", KEY + "2"),
    *REACHES,
    (r"", KEY + "o"),
    (r"operator's prompt", r"restart-vmm linux-a\n"),
    (r"a fresh VMM has taken the guest over \(1\)", r"restart-vmm linux-a\n"),
    (r"a fresh VMM has taken the guest over \(2\)", KEY + "1"),
    (r"typing goes to linux-a", r"sleep 2; touch /tmp/stop; wait; " + LAST),
]
WRONG = r"Kernel panic|BUG:|Oops|Call Trace|self-detected stall|^\[linux-.\] bad-|linux-a: .* tried to (read|write)"


def make(path):
    with open(path, "wb") as out:
        out.truncate(SIZE)


def contents(log):
    """The image has what the guest wrote last, and nothing else."""
    said = log.all(r"^\[linux-a\] sum-([0-9a-f]{64})$")
    with open(log.disks[0], "rb") as disk:
        if not said or said[-1] != hashlib.sha256(disk.read(WRITTEN)).hexdigest():
            raise Failed("the image has not what the guest wrote last")
        if disk.read().strip(b"\0"):
            raise Failed("the image has what the guest did not write")


def boot(name, steps, iommu, checks=()):
    return Boot(name, "passthrough.dts", [
        *[Check(f"fenced-{guest}", rf"{guest}: PCI function 00:{number}\.0 reaches only the memory that it is given")
          for guest, number in (("linux-a", "10"), ("reach", "05"))],
        *checks,
        Check("reach", r"keeper: pass 0", r"^\[reach\] PASS", r"^\[reach\] reach: 8 passed, 0 failed", r"keeper: pass \d", r"keeper: pass \d",
              lacks=r"keeper: somebody wrote|root\] (reach|keeper)\b.*(died|stopped|restarted|given up)"),
        Check("messages", r"^\[linux-a\] errors-0$", r"^\[linux-a\] .*PCI-MSI.* nvme0q1$"),
        Check("image", call=contents),
        Check("well", lacks=WRONG),
    ], steps=steps, until=r"linux-a: its guest switched itself off", timeout=180, disks=[("nvme", make)],
                machine=["-device", iommu, "-device", "edu,addr=5"])


BOOTS = [
    boot("passthrough-vtd-qemu-svm", STEPS, "intel-iommu,intremap=on,caching-mode=on", [
        Check("restarts", r"fresh VMM .* \(1\)", r"fresh VMM .* \(2\)", r"^\[linux-a\] rounds-[1-9]"),
        Check("named", r"root\] reach: PCI function 00:05\.0 tried to write memory at 0x[26ae]000000, which it was not given"),
    ]),
    boot("passthrough-amdvi-qemu-svm", [(r"\[linux-a\] / # ", KEY + "2"), *REACHES, (r"", KEY + "1"), (r"typing goes to linux-a", LAST)],
         "amd-iommu,intremap=on"),
    Boot("passthrough-refused-qemu-svm", "guests/systems/passthrough.dts", [
        Check("refused", r"linux-a: PCI function 00:10\.0 cannot be given to a guest: no IOMMU holds it back"),
    ], until="no IOMMU holds it back", timeout=90, disks=[("nvme", make)]),
]
