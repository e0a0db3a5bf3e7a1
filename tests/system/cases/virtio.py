"""Two Debian guests with disks in memory, a network between them and a console of several ports, also when servers are restarted."""

from boot import Boot, Check, Failed

KEY = r"\x1d"  # Ctrl-]

# What is written is read back past the page cache, as its sum.
DISK = (r"dd if=/dev/urandom of=/tmp/p bs=64k count=64 2>/dev/null; dd if=/tmp/p of=/dev/vda bs=64k oflag=direct 2>/dev/null; "
        r"sync; a=$(sha256sum </tmp/p); b=$(dd if=/dev/vda bs=64k count=64 iflag=direct 2>/dev/null | sha256sum); "
        r"[ \"$a\" = \"$b\" ] && echo same-%d; echo end-$((40+%d))\n")

# hvc0 and a named port, both ways; what is written is more than a session's ring holds.
CONSOLE = [
    (r"typing goes to linux-b", r"seq 1 1500 >/dev/hvc0; p=$(dirname $(grep -l agent /sys/class/virtio-ports/*/name)); "
                                r"p=/dev/${p##*/}; seq 1 1500 >$p; echo end-$((40+7))\n"),
    (r"end-47", r"(read x </dev/hvc0; echo hvc-$x) & (read y <$p; echo named-$y) & sleep 1; echo end-$((40+8))\n"),
    (r"end-48", KEY + "3"),
    (r"typing goes to linux-b:port@0", r"one\n"),
    (r"hvc-one", KEY + "4"),
    (r"typing goes to linux-b:port@1", r"two\n"),
    (r"named-two", KEY + "2"),
]

STEPS = [
    (r"(?s)\[linux-a\] / # .*\[linux-b\] / # |\[linux-b\] / # .*\[linux-a\] / # ",
     r"ip addr add 10.0.0.1/24 dev eth0; ip link set eth0 up; echo end-$((40+0))\n"),
    (r"end-40", DISK % (1, 1)),
    (r"end-41", r"cmp /dev/vdb /dev/vdb && dd if=/dev/zero of=/dev/vdb bs=512 count=1 oflag=direct || echo ro-$((6*7)); "
                r"echo end-$((40+2))\n"),
    (r"end-42", KEY + "2"),
    (r"typing goes to linux-b", r"ip addr add 10.0.0.2/24 dev eth0; ip link set eth0 up; "
                                r"ping -c 3 10.0.0.1; echo end-$((40+3))\n"),
    (r"end-43", KEY + "1"),
    (r"typing goes to linux-a", r"(while [ ! -e /tmp/stop ]; do dd if=/dev/vda of=/dev/null bs=4k count=512 iflag=direct "
                                r"2>/tmp/e || cat /tmp/e; done) & echo end-$((40+4))\n"),
    (r"end-44", KEY + "o"),
    (r"operator's prompt", r"restart ramdisk\n"),
    (r"ramdisk is restarted by the operator", r"restart switch\n"),
    (r"switch is restarted by the operator", r"inject ramdisk kill\n"),
    (r"not allowed: it needs", r"restart ramdisk\n"),
    (r"ramdisk is restarted by the operator", KEY + "1"),
    (r"typing goes to linux-a", r"touch /tmp/stop; wait; " + DISK % (2, 5)),
    (r"end-45", r"ping -c 2 10.0.0.2; dmesg | grep -ciE 'i/o error|blk_update|timeout'; echo end-$((40+6))\n"),
    (r"end-46", r"poweroff\n"),
    (r"linux-a: its guest switched itself off", KEY + "2"),
    *CONSOLE,
    (r"typing goes to linux-b", r"poweroff\n"),
]


def ports(log):
    for name in ("port@0", "port@1"):
        said = log.all(rf"^\[linux-b:{name}\] (\d+)$")
        if said != [str(number) for number in range(1, 1501)]:
            raise Failed(f"{name} said {len(said)} numbers, not 1 to 1500 in order")


A, B = r"^\[linux-a\] ", r"^\[linux-b\] "
CHECKS = [
    Check("disk", A + r".*virtio_blk .* \[vda\] 32768 512-byte", A + "same-1$"),
    Check("read-only", A + "ro-42$"),
    Check("network", B + r"3 packets transmitted, 3 packets received"),
    Check("restarts", r"ramdisk is restarted", r"switch is restarted", r"ramdisk is restarted", A + "same-2$",
          A + r"2 packets transmitted, 2 packets received", A + "0$", A + "end-46$"),
    Check("console", B + ".*hvc-one$", B + ".*named-two$", call=ports),
    Check("well", lacks=r"Kernel panic|BUG:|Oops|Call Trace|self-detected stall"),
]

BOOTS = [Boot("virtio-qemu-svm", "guests/systems/virtio.dts", CHECKS, steps=STEPS, timeout=180)]
