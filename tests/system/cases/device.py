"""PCI functions given to programs: registers, messages, DMA, and what is refused."""

from boot import Boot, Check

STEPS = [(r"device: test: \d+ passed, \d+ failed", "")]
CHECKS = [
    Check("found", r"bus: [1-9]\d* functions"),
    Check("held", r"held: PASS device_held", r"held: test: 1 passed, 0 failed"),
    Check("unprotected-is-told", r"device: PCI function 00:05\.0 can read and write all memory, for no IOMMU"),
    Check("mistaken", r"mistaken: PCI function 00:07\.0 is pci1af4,1005 of class 00ff00, not \"pciclass,010802\""),
    Check("missing", r"missing: there is no PCI function 00:08\.0"),
]

BOOTS = [
    Boot("device-qemu-svm", "device.dts", CHECKS, steps=STEPS, until=r"device ended with code 0", timeout=90,
         counted=r"\[.*\] device: ",
         machine=["-device", "edu,addr=5,dma_mask=0xffffffff", "-device", "edu,addr=6",
                  "-device", "virtio-rng-pci,addr=7"]),
]
