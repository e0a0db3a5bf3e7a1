"""VMMs that are killed under their guest, and that die by themselves."""

from boot import Check
from kills import KEY, WORKLOADS, boot

BOOTS = [
    boot("restart-qemu-svm", 20, WORKLOADS["shell"], timeout=300, until=r"other is stopped by the operator", before=[
        (r"end-42", KEY + "o"),
        (r"operator's prompt", r"start faulty\n"),
        (r"faulty: its VMM died twice", r"restart-vmm other\n"),
        (r"other: a fresh VMM has taken the guest over", r"list\n"),
        (r"other +partition running", r"stop other\n"),
    ], checks=[
        Check("death", r"\] faulty died: .*\(vector 6", r"faulty: its VMM died over exit \d+ of vcpu 0 and is restarted",
              r"faulty: vcpu 0: exit \d+ \(io\) at rip \w+ is handled anew"),
        Check("second-death", r"^\[faulty\] its VMM died once$",
              r"faulty: vcpu 0: exit \d+ \(io\) at rip \w+ is handled anew",
              r"faulty: its VMM died twice over exit \d+ of vcpu 0: the partition is stopped",
              r"other: a fresh VMM has taken the guest over", r"linux +partition +running", r"other +partition +running",
              r"faulty +partition +failed"),
    ]),
]
