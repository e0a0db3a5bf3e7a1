"""A Debian guest with an NVMe controller and a serial port of its own, driven by its stock drivers: what it writes past its
page cache stands in the image, and what it sends comes back, also when its VMM is replaced meanwhile; the serial port's
expansion ROM is what the machine has; behind each IOMMU, but for the port's interrupt line. Beside it a guest tells a device of its
own to reach beyond its memory: that is named, and harms nobody. Without an IOMMU the guest is not started."""

import hashlib

from boot import Boot, Check, Failed

KEY = r"\x1d"  # Ctrl-]
SIZE = 64 << 20
WRITTEN = 4 << 20
ROM = "/usr/lib/ipxe/qemu/pxe-e1000.rom"  # no firmware runs it: the function is no network card, and the machine no BIOS

# The serial port in its loopback mode (its modem control register, 4, is in the first I/O register): "s" sends and receives.
DEVICE = r"d=/sys/bus/pci/devices/0000:00:05.0; "
SERIAL = (DEVICE + r"t=$(ls $d/tty); exec 3<>/dev/$t; stty -F /dev/$t raw -echo; "
          r"printf '\\x1b' | dd of=$d/resource0 bs=1 seek=4 conv=notrunc 2>/dev/null; seq 400 >/tmp/s; "
          r"s() { head -c 1492 <&3 >/tmp/r & cat /tmp/s >&3; wait $!; cmp /tmp/s /tmp/r || echo lost-serial; }; "
          r"s; echo end-$((40+1))\n")
READ_ROM = DEVICE + r"echo 1 >$d/rom; echo rom-$(sha256sum <$d/rom); "

# What a round writes is read back past the page cache, and compared as its sum.
ROUND = (r"dd if=/dev/urandom of=/tmp/p bs=64k count=64 2>/dev/null; dd if=/tmp/p of=/dev/nvme0n1 bs=64k oflag=direct conv=fsync "
         r"2>/dev/null || echo bad-write; a=$(sha256sum </tmp/p); b=$(dd if=/dev/nvme0n1 bs=64k count=64 iflag=direct 2>/dev/null "
         r"| sha256sum); [ \"$a\" = \"$b\" ] || echo bad-sum")
ERRORS = r"echo errors-$(dmesg | grep -ciE 'i/o error|timeout|resetting|completion polled'); "
LAST = ROUND + r"; sync; " + READ_ROM + ERRORS + r"grep nvme0q /proc/interrupts; echo sum-${a%% *}; poweroff\n"

# The guest with the device that copies to any address begins at a key.
REACHES = [(r"typing goes to reach", r"x"), (r"reach: \d+ passed, \d+ failed(?s:.*keeper: pass \d+.*keeper: pass) \d", "")]
STEPS = [
    (r"\[linux-a\] / # ", SERIAL),
    (r"end-41", r"(n=0; while [ ! -e /tmp/stop ]; do " + ROUND + r"; s; n=$((n+1)); done; echo rounds-$n) & "
                r"sleep 3; echo end-$((40+0))\n"),
    (r"end-40", KEY + "2"),
    *REACHES,
    (r"", KEY + "o"),
    (r"operator's prompt", r"restart-vmm linux-a\n"),
    (r"a fresh VMM has taken the guest over \(1\)", r"restart-vmm linux-a\n"),
    (r"a fresh VMM has taken the guest over \(2\)", KEY + "1"),
    (r"typing goes to linux-a", r"sleep 2; touch /tmp/stop; wait; s; grep $t /proc/interrupts; " + LAST),
]
WRONG = r"Kernel panic|BUG:|Oops|Call Trace|self-detected stall|^\[linux-.\] (bad-|lost-serial$)|linux-a: .* tried to (read|write)"


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


def rom(log):
    """The guest has read the ROM that the machine has."""
    with open(ROM, "rb") as data:
        log.need(rf"^\[linux-a\] rom-{hashlib.sha256(data.read()).hexdigest()} -$")


def boot(name, steps, iommu, checks=()):
    return Boot(name, "passthrough.dts", [
        *[Check(f"fenced-{number}", rf"{guest}: PCI function 00:{number}\.0 reaches only the memory that it is given")
          for guest, number in (("linux-a", "10"), ("linux-a", "18"), ("reach", "05"))],
        *checks,
        Check("reach", r"keeper: pass 0", r"^\[reach\] PASS", r"^\[reach\] reach: 8 passed, 0 failed", r"keeper: pass \d", r"keeper: pass \d",
              lacks=r"keeper: somebody wrote|root\] (reach|keeper)\b.*(died|stopped|restarted|given up)"),
        Check("rom", call=rom),
        Check("messages", r"^\[linux-a\] errors-0$", r"^\[linux-a\] .*PCI-MSI.* nvme0q1$"),
        Check("image", call=contents),
        Check("well", lacks=WRONG),
    ], steps=steps, until=r"linux-a: its guest switched itself off", timeout=180, disks=[("nvme", make)],
                machine=["-device", iommu, "-device", "edu,addr=5", "-device", f"pci-serial,addr=18,chardev=nothing,romfile={ROM}",
                         "-chardev", "null,id=nothing"])


BOOTS = [
    boot("passthrough-vtd-qemu-svm", STEPS, "intel-iommu,intremap=on,caching-mode=on",
         [Check("restarts", r"fresh VMM .* \(1\)", r"fresh VMM .* \(2\)", r"^\[linux-a\] rounds-[1-9]"),
          Check("line", r"^\[linux-a\] +16: +[1-9]\d* +IO-APIC +16-fasteoi +ttyS1$"),
          Check("named", r"root\] reach: PCI function 00:05\.0 tried to write memory at 0x[26ae]000000, which it was not given")]),
    # QEMU's AMD-Vi makes an edge of a level: the end of its interrupt never reaches the I/O APIC (tests/README.md).
    boot("passthrough-amdvi-qemu-svm", [
        (r"\[linux-a\] / # ", KEY + "2"), *REACHES, (r"", KEY + "1"), (r"typing goes to linux-a", LAST)], "amd-iommu,intremap=on"),
    Boot("passthrough-refused-qemu-svm", "guests/systems/passthrough.dts", [
        Check("refused", r"linux-a: PCI function 00:10\.0 cannot be given to a guest: no IOMMU holds it back"),
    ], until="no IOMMU holds it back", timeout=90, disks=[("nvme", make)]),
]
