"""PCI functions given to programs: registers, messages, DMA, and what is refused; without an IOMMU, and behind each."""

from boot import Boot, Check

STEPS = [
    (r"device: test: \d+ passed, \d+ failed", "\\x1do"),
    (r"bulkhead> ", "lspci\\n"),
]
CHECKS = [
    Check("found", r"bus: [1-9]\d* functions"),
    Check("held", r"held: PASS device_held", r"held: test: 1 passed, 0 failed"),
    Check("mistaken", r"mistaken: PCI function 00:07\.0 is pci1af4,1005 of class 00ff00, not \"pciclass,010802\""),
    Check("missing", r"missing: there is no PCI function 00:08\.0"),
]
LSPCI = Check("lspci", r"^0000:00:05\.0 .*: device\n(?!.* not).* fenced$", r"^0000:00:1f\.2 .*: nobody's\n(?!.* not).* fenced$")
FENCED = r"PCI function 00:0%d\.0 reaches only the memory that it is given, and sends only its own interrupts"
DEVICES = ["-device", "edu,addr=5,dma_mask=0xffffffff", "-device", "edu,addr=6",
           "-device", "virtio-rng-pci,addr=7", "-device", "edu,addr=9,dma_mask=0xffffffff",
           "-device", "e1000e,addr=a,romfile=",
           "-device", "pcie-root-port,id=rp1,addr=b,chassis=1", "-device", "x3130-upstream,id=switch,bus=rp1",
           *[argument for n in range(3) for argument in (
               "-device", f"xio3130-downstream,id=down{n},bus=switch,chassis={n + 2}", "-device", f"edu,bus=down{n}")],
           "-device", "pcie-root-port,id=rp2,addr=c,chassis=5,disable-acs=on", "-device", "edu,bus=rp2"]
# Behind a switch without ACS two functions may go to two domains if both nodes say so; behind a root port without, they may anyway.
PEERS = Check("peers", r"peer: whether PCI function 06:00\.0 can reach the registers of others is up to the chipset",
              r"accepted: PCI function 04:00\.0 and 03:00\.0 of peer can reach each other .*: the nodes of both say",
              r"refused: PCI function 05:00\.0 is not given: it and 03:00\.0 of peer can reach each other without passing the IOMMU",
              r"refused: give both to one domain, or write \"dma-unprotected\"", r"accepted: mode keep",
              r"^0000:00:0b\.0 .*\n    to bus 01 .* ACS$", r"^0000:00:0c\.0 .*\n    to bus 06 (?!.*ACS).*$",
              *(rf"^0000:0{bus}:00\.0 .*\n.* fenced, not from group 1$" for bus in (3, 4, 5)),
              r"^0000:06:00\.0 .*\n.* fenced$", lacks=r"refused: (mode|PCI function 05:00\.0 (reaches|can))|(peer|device): .* is not given")


def boot(name, checks, machine=()):
    return Boot(name, "device.dts", CHECKS + checks, steps=STEPS,
                until=r"06:00\.0 device.*\s+.*fenced", timeout=90, counted=r"\[.*\] device: ", machine=[*machine, *DEVICES])


BOOTS = [
    boot("device-qemu-svm", [
        Check("unprotected-is-told", r"device: PCI function 00:05\.0 can read and write all memory, for no IOMMU",
              r"held: PCI function 00:06\.0 may not do DMA: no IOMMU holds it back"),
        Check("lspci", r"^0000:00:05\.0 .*: device\n .* not fenced$"),
        Check("peers", r"refused: PCI function 05:00\.0 may not do DMA: no IOMMU", r"refused: mode keep",
              lacks=r"can reach each other|up to the chipset"),
    ]),
    boot("device-vtd-qemu-svm", [
        Check("fenced", r"VT-d: devices reach only the memory", *(f"{who}: {FENCED % n}" for who, n in
                                                                   (("device", 5), ("device", 9), ("held", 6)))),
        Check("faults", r"device: PCI function 00:05\.0 tried to write memory at 0x[0-9a-f]+000, which it was not given",
              r"device: PCI function 00:05\.0 tried to read memory at 0x[0-9a-f]+000, which it was not given"),
        LSPCI,
        PEERS,
    ], machine=["-device", "intel-iommu,intremap=on,caching-mode=on"]),
    boot("device-amdvi-qemu-svm", [
        Check("fenced", r"AMD-Vi: devices reach only the memory", *(f"{who}: {FENCED % n}" for who, n in
                                                                     (("device", 5), ("device", 9), ("held", 6)))),
        LSPCI,
        PEERS,
    ], machine=["-device", "amd-iommu,intremap=on"]),
]
