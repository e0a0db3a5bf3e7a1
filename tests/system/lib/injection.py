"""Linux guests that write and verify while the drivers under them are made to fail; used by cases/faults.py and tests/soak."""

import random

from boot import Boot, Check, Failed

KEY = r"\x1d"  # Ctrl-]
RINGS = ("bad-ring", "stale-ring")
KINDS = ("kill", "hang", "wild-write", *RINGS)
WRITERS = 2  # in each guest, beside one that reads all the time
SLOTS = 16  # of 64 KiB, of each writer

# Each writer fills its slots with one of five patterns and flushes, then reads back that slot and another, past the page
# cache; what every slot must hold lies in a file of the RAM disk. A reader keeps the disk busy meanwhile. At the end all
# slots are read once more. The shell takes no line of more than 1,023 characters.
WORK = (
    r"stty -echo; dmesg -n 1; cd /tmp; for p in 0 1 2 3 4; do dd if=/dev/urandom of=p$p bs=64k count=1 2>n; "
    r"sha256sum <p$p >h$p; done; "
    r"v() { dd if=/dev/vda bs=64k skip=$1 count=1 iflag=direct 2>n | sha256sum | cmp -s - h$(cat s$1); }; "
    r"w() { i=0; until [ -e stop ]; do s=$(($1*%(slots)d+i%%%(slots)d)); p=$(((i/%(slots)d+i)%%5)); "
    r"dd if=p$p of=/dev/vda bs=8k seek=$((s*8)) count=8 oflag=direct conv=fsync 2>n || echo bad-write-$s; "
    r"echo $p >s$s; v $s || echo bad-$s-$i; o=$(($1*%(slots)d+i*7%%%(slots)d)); [ ! -e s$o ] || v $o || echo bad-old-$o-$i; "
    r"i=$((i+1)); [ $((i%%4)) != 0 ] || echo round-$1-$i; done; }; "
    r"r() { until [ -e stop ]; do dd if=/dev/vda of=/dev/null bs=512k count=6 iflag=direct 2>n || echo bad-read; done; }; "
    r"r & n=0; while [ $n -lt %(writers)d ]; do w $n & n=$((n+1)); done; "
    r"%(net)s"
    r"read x; touch stop; wait; for s in s[0-9]*; do v ${s#s} || echo bad-at-end-$s; done; "
    r"echo slots-$(ls s[0-9]* | wc -l); dmesg | grep -iE 'i.o error|time[d] out|hung.task'; "
    r"echo end-$((40+%(end)d))\n")
PING = r"ip addr add 10.0.0.%d/24 dev eth0; ip link set eth0 up; "


def work(end, address):
    text = WORK % {"slots": SLOTS, "writers": WRITERS, "end": end, "net": PING % address}
    assert len(text) < 1023, "more than the guest's shell takes in a line"
    return text


class Machine:
    """A description, whose domains `disk` and `others` are made to fail under the guests linux-a and linux-b. ready: what the
    disk's driver logs last when it starts; one that takes long would else fail before it can have requests. dma: those that
    can tell a device wrong."""

    def __init__(self, system, disk="ramdisk", others=("switch", "console", "uart"), kinds=KINDS, *, ready="", dma=(), **settings):
        self.system, self.disk, self.others, self.kinds, self.settings = system, disk, others, kinds, settings
        self.ready, self.dma = ready, dma


def blank(path, mib=32):
    """An empty disk for both guests."""
    with open(path, "wb") as out:
        out.truncate(mib << 20)


REAL = ("switch", "console", "uart", "bus")
OPENED = r"disk: PCI function .* for linux-b"
IOMMU = ["-device", "intel-iommu,intremap=on,caching-mode=on"]
# Only with an IOMMU is a driver told to do wild-dma: without one that may be the end of the machine.
MACHINES = {
    "ramdisk": Machine("drivers.dts"),
    "ramdisk-no-replay": Machine("drivers-no-replay.dts"),
    "virtio-blk": Machine("drivers-virtio-blk.dts", "disk", REAL, disks=[("virtio", blank)]),
    "ahci": Machine("drivers-ahci.dts", "disk", REAL, ready=OPENED, disks=[("ahci", blank)]),
    "usb": Machine("drivers-usb.dts", "disk", REAL, ready=OPENED, disks=[("usb", blank)]),
    "nvme": Machine("drivers-nvme.dts", "disk", REAL, disks=[("nvme", blank)]),
    "nvme-iommu": Machine("drivers-dma.dts", "disk", (*REAL, "net"), (*KINDS, "wild-dma"), dma=("disk", "net"),
                          disks=[("nvme", blank)], options=["--net", "user,e1000e"], machine=IOMMU),
}


def pairs(machine):
    """Every (domain, fault) but those that lose what this script waits for: what stands in a broken ring of bytes."""
    return [(target, kind) for target in (machine.disk, *machine.others) for kind in machine.kinds
            if (kind not in RINGS or target not in ("console", "uart", "bus")) and (kind != "wild-dma" or target in machine.dma)]


def choose(machine, number, seed):
    """(domain, fault) pairs: the disk's driver most of the time, and mostly deaths, for the other faults take their time."""
    dice = random.Random(seed)
    found = []
    for _ in range(number):
        target = machine.disk if dice.random() < 0.8 else dice.choice(machine.others)
        kinds = [kind for domain, kind in pairs(machine) if domain == target]
        found.append((target, "kill" if dice.random() < 0.7 else dice.choice(kinds)))
    return found


def mixed(machine, number, seed):
    """Every pair twice, and so many deaths of the disk's driver that there are `number`, in any order."""
    found = 2 * pairs(machine)
    found += [(machine.disk, "kill")] * (number - len(found))
    random.Random(seed).shuffle(found)
    return found


def injections(machine, faults, seed):
    """Steps that inject them one after another, each once the one before is recovered from, after a pause: typing takes time,
    16 characters in 20 ms. Broken rings are recovered from without a restart if one of the guests was connecting anew meanwhile."""
    dice, wanted, steps = random.Random(seed), r"operator's prompt", []
    for number, (target, fault) in enumerate(faults):
        pause = " " * dice.randrange(0, 80)
        if number % 5 == 4:
            wanted = rf"(?s){wanted}.*round-"
        steps.append((wanted, rf"{pause}inject {target} {fault}\n"))
        wanted = rf"\] {target} is restarted \(\d+\)"
        if target == machine.disk and machine.ready:
            wanted = rf"{wanted}[\s\S]*{machine.ready}"
        if fault in RINGS:
            wanted = rf"(?:{wanted}|{target} broke their \w+ session(?:[\s\S]*?round-){{6}})"
    return steps, wanted


def deaths(log, target):
    """(deaths, of them with requests under way) that `stats` has shown last."""
    found = log.all(rf"^{target}: \w+, started (?:.*\n){{1,4}}?deaths: (\d+), (\d+) of them")
    if not found:
        raise Failed(f"no deaths of {target} are told of")
    return tuple(map(int, found[-1]))


def verified(log):
    """Nothing that a guest wrote reads back otherwise, and its kernel has nothing to complain of."""
    wrong = log.all(r"^\[linux-[ab]\] (?:bad-\S+|.*(?:I/O error, dev|timed out|hung task).*)$")
    if wrong:
        raise Failed(f"{len(wrong)} times, first: {wrong[0]}")
    if log.all(r"the device interrupts over and over"):
        raise Failed("a device at work was taken for one that floods")
    for name in ("linux-a", "linux-b"):
        slots = log.all(rf"^\[{name}\] slots-(\d+)$")
        if not slots or int(slots[-1]) < SLOTS:
            raise Failed(f"{name} verified {slots or 'nothing'} at its end")


def counted(machine, faults, share):
    """A check that each death was one, and that many of the disk's driver had requests under way."""
    wanted = sum(target == machine.disk for target, _ in faults)
    least = sum(target == machine.disk and fault not in RINGS for target, fault in faults)

    def check(log):
        found, busy = deaths(log, machine.disk)
        if not least <= found <= wanted:
            raise Failed(f"{found} deaths of {machine.disk}, {least} to {wanted} were injected")
        if busy < share * found:
            raise Failed(f"{busy} of {found} deaths had requests under way")

    return check


def boot(name, machine, faults, *, seed=1, share=0.5, before=(), after=(), checks=(), timeout=0, well=True, **settings):
    """A boot with these faults; the guests end their work afterwards. before: steps at the prompt behind them; after: in
    linux-b at its end, up to "end-43"."""
    inject, last = injections(machine, faults, seed)
    steps = [
        (r"(?s)\[linux-a\] / # .*\[linux-b\] / # |\[linux-b\] / # .*\[linux-a\] / # ", work(1, 1)),
        (r"\[linux-a\] round-", KEY + "2"),
        (r"typing goes to linux-b", work(2, 2)),
        (r"\[linux-b\] round-", KEY + "o"),
        *inject,
        (rf"(?s){last}.*round-", f"stats {machine.disk}\\n"),
        (r"process pool: ", ""),
        *[step for other in machine.others for step in ((r"", f"stats {other}\\n"), (r"process pool: ", ""))],
        *before,
        (r"", KEY + "1"),
        (r"typing goes to linux-a", r"\n"),
        (r"end-41", KEY + "2"),
        (r"typing goes to linux-b", r"\n"),
        *after,
    ]
    result = [Check("data", call=verified)] if well else []
    return Boot(name, machine.system, [
        Check("deaths", call=counted(machine, faults, share)),
        *result,
        Check("recovery", rf"^recoveries: [1-9]\d*; cycles: median \d+"),
        Check("well", lacks=r"Kernel panic|BUG:|Oops|Call Trace|soft lockup|nobody cared"),
        *checks,
    ], steps=steps, until="end-43" if after else "end-42", timeout=timeout or 200 + 3 * len(faults), **{**machine.settings, **settings})
