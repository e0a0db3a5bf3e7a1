"""A disk's driver that tells its disk to write where it has no memory, beside guests that verify their data and one that watches
over its memory: behind an IOMMU, and without one, where the same must do damage. A card's driver does the like."""

from boot import Boot, Check
from injection import IOMMU, KEY, MACHINES, blank, boot

SEED = 5
FAULTS = [("disk", "wild-dma")] * 3
BEYOND = r"disk: PCI function 00:10\.0 tried to write memory at 0x2[0-9a-f]{7}, which it was not given for that"
ENDED = r"disk let its device reach for what it was not given"
WATCHES = r"\[keeper\] keeper: pass \d"

BOOTS = [
    boot("dma-vtd-qemu-svm", MACHINES["nvme-iommu"], FAULTS, seed=SEED, share=0, timeout=300,
         before=[(r"", r"inject net wild-dma\n"), (r"net is restarted(?s:.*)net: .* the link is up", "")], checks=[
        Check("named", *[BEYOND, ENDED, r"disk is restarted \(\d\)"] * len(FAULTS)),
        Check("card", r"net: PCI function 00:18\.0 tried to read memory at 0x[0-9a-f]{7}, which it was not given for that",
              r"net let its device reach for what it was not given", r"net is restarted \(1\)"),
        Check("kept", *[ENDED] * len(FAULTS), WATCHES, lacks=r"keeper: somebody wrote"),
    ]),
    Boot("dma-unprotected-qemu-svm", "drivers-dma.dts", [
        Check("told", r"disk: PCI function 00:10\.0 can read and write all memory"),
        Check("damage", r"told to write to bus address 0x2[0-9a-f]{7}, it says that it did"),
    ], steps=[
        (r"\[keeper\] keeper: pass [1-9]", KEY + "o"),
        *[(r"operator's prompt" if number == 0 else r"it says that it did", rf"inject {name} {fault}\n")
          for number, (name, fault) in enumerate(FAULTS)],
    ], until=r"\[keeper\] keeper: somebody wrote [0-9a-f]+", timeout=90, disks=[("nvme", blank)]),
]
