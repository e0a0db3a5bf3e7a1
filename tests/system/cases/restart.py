"""VMMs that are killed under their guest, and that die by themselves."""

from boot import Check
from kills import KEY, WORKLOADS, boot

# Written to the port, 1 kills the VMM once, 2 each one that handles it.
FAULT = r"printf '\\00%d' | dd of=/dev/port bs=1 seek=57344 2>/dev/null; echo after-$((%d))\n"

BOOTS = [
    boot("restart-qemu-svm", 20, WORKLOADS["shell"], timeout=300, until=r"other is stopped by the operator", before=[
        (r"end-42", FAULT % (1, 70 + 1)),
        (r"after-71", FAULT % (2, 70 + 2)),
        (r"linux: its VMM died twice", KEY + "o"),
        (r"operator's prompt", r"restart-vmm other\n"),
        (r"other: its VMM is restarted by the operator", r"list\n"),
        (r"other +partition running", r"stop other\n"),
    ], checks=[
        Check("death", r"^.*linux \(thread \d\) ", r"linux: its VMM died over exit \d+ of vcpu \d and is restarted",
              r"linux: vcpu \d: exit \d+ \(io\) at rip \w+ is handled anew", r"^\[linux\] after-71$"),
        Check("second-death", r"^\[linux\] after-71$", r"linux: vcpu \d: exit \d+ \(io\) at rip \w+ is handled anew",
              r"linux: its VMM died twice over exit \d+ of vcpu \d: the partition is stopped",
              r"other: a fresh VMM has taken the guest over", r"linux +partition failed", r"other +partition running"),
    ]),
]
