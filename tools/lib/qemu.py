"""QEMU as the machine: its command line, and QMP to learn how the machine ended."""

import json
import os
import socket
import time

import png
from emulator import Emulator, Unusable

FIRMWARE = "/usr/share/ovmf/OVMF.fd"
FIRST_DISK = 0x10  # PCI device
FIRST_NET = 0x18
HOLD = 10  # ms that a key is held
PAUSE = 0.04  # s after it: the controller keeps 16 bytes, and a busy host may stop the machine for a moment
DISKS = {
    "virtio": ["virtio-blk-pci,drive={drive},addr={address},disable-legacy=on,iommu_platform=on"],
    "nvme": ["nvme,drive={drive},addr={address},serial={drive}"],
    "usb": ["qemu-xhci,id={drive}-hc,addr={address}", "usb-storage,drive={drive},bus={drive}-hc.0"],
    "ata": ["ide-hd,drive={drive},bus=ide.1"],
    "ahci": ["ahci,id={drive}-hba,addr={address}", "ide-hd,drive={drive},bus={drive}-hba.0,serial={drive}"],
}
DETERMINISTIC = ["-rtc", "base=2024-01-01T00:00:00,clock=vm", "-seed", "1"]
NETS = {
    "virtio": "virtio-net-pci,disable-legacy=on,iommu_platform=on,romfile=",
    "e1000": "e1000,romfile=",
    "e1000e": "e1000e,romfile=",
}


class Qemu(Emulator):
    """A q35 machine, with an ATA disk an i440fx one, with AMD-V (platform qemu-svm)."""

    def prepare(self):
        options = self.options
        if not os.path.exists(FIRMWARE):
            raise Unusable(f"{FIRMWARE} is missing: see tools/setup")
        self.monitor, monitor = socket.socketpair()
        self.sockets = [monitor]
        if options.console == "serial":
            self.serial, serial = socket.socketpair()
            self.sockets.append(serial)
        self.monitor_text, self.replies = b"", []
        for one in self.sockets:
            os.set_inheritable(one.fileno(), True)
        self.machine = "pc" if "ata" in [kind for _, kind in options.disks] else "q35"
        machine = self.machine + (",i8042=off" if options.keyboard == "usb" else "")
        threads = "multi" if options.cpus > 1 and not options.icount else "single"
        self.command = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config",
            "-machine", machine, "-accel", f"tcg,thread={threads}",
            "-cpu", options.cpu or "EPYC,+svm,+npt", "-smp", str(options.cpus),
            "-m", str(options.memory), "-bios", FIRMWARE, "-display", "none", "-vga", "std",
            "-drive", f"file={options.image},format=raw,if=none,id=boot,snapshot=on",
            "-device", "ide-hd,drive=boot,bus=ide.0,bootindex=9",
            "-chardev", f"socket,id=monitor,fd={monitor.fileno()}",
            "-mon", "chardev=monitor,mode=control",
            "-no-reboot", "-no-shutdown",
        ]
        if self.serial:
            self.command += ["-chardev", f"socket,id=serial,fd={serial.fileno()}", "-serial", "chardev:serial"]
        if self.line:
            self.line.port, com2 = socket.socketpair()
            self.sockets.append(com2)
            os.set_inheritable(com2.fileno(), True)
            self.command += ["-chardev", f"socket,id=com2,fd={com2.fileno()}", "-serial", "chardev:com2"]
        for number, (file, kind) in enumerate(options.disks):
            self.command += [
                "-drive", f"file={file},format=raw,if=none,id=disk{number},discard=unmap,detect-zeroes=off",
            ]
            for device in DISKS[kind]:
                self.command += ["-device", device.format(drive=f"disk{number}", address=f"{FIRST_DISK + number:x}")]
        if options.keyboard == "usb":
            self.command += self.usb_keyboard()
        for number, (kind, words) in enumerate(options.nets):
            self.command += [
                "-netdev", ",".join(["user", f"id=net{number}", *words]),
                "-device", f"{NETS[kind]},netdev=net{number},addr={FIRST_NET + number:x}",
            ]
        if options.icount:
            shift = options.icount_shift
            self.command += ["-icount", f"shift={shift},sleep=off", *DETERMINISTIC]

    def usb_keyboard(self):
        """A keyboard behind a hub, at the controller of the first USB disk or at one of its own."""
        usb = [number for number, (_, kind) in enumerate(self.options.disks) if kind == "usb"]
        bus = f"disk{usb[0]}-hc" if usb else "keyboard-hc"
        own = [] if usb else ["-device", f"qemu-xhci,id={bus},addr={FIRST_DISK + len(self.options.disks):x}"]
        return [*own, "-device", f"usb-hub,bus={bus}.0,port=2", "-device", f"usb-kbd,bus={bus}.0,port=2.1"]

    def connect(self):
        self.monitor.setblocking(False)
        self.send("qmp_capabilities")

    def sources(self):
        return [*super().sources(), (self.monitor, self.read_monitor)]

    def send(self, name, **arguments):
        self.monitor.setblocking(True)
        self.monitor.sendall(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        self.monitor.setblocking(False)

    def read_monitor(self):
        try:
            data = self.monitor.recv(65536)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        *lines, self.monitor_text = (self.monitor_text + data).split(b"\n")
        for line in lines:
            if line.strip():
                self.event(json.loads(line))
        return bool(data)

    def event(self, said):
        if "return" in said or "error" in said:
            self.replies.append(said)
        elif said.get("event") == "SHUTDOWN":
            reason = said["data"]["reason"]
            if reason == "guest-shutdown":
                self.ending = 0, "the machine powered off"
            elif reason == "guest-reset":
                self.ending = 1, "the machine reset itself (a reboot or a triple fault)"
            else:
                self.ending = 1, f"the machine ended: {reason}"
        elif said.get("event") == "GUEST_PANICKED":
            self.ending = 1, "the machine reported a panic"

    def ask(self, name, **arguments):
        """Sends a command and waits a little for its answer."""
        done, end = len(self.replies), time.monotonic() + 5
        waiting = 1 if not self.replies else 0  # the answer to qmp_capabilities comes first
        self.send(name, **arguments)
        while len(self.replies) <= done + waiting and time.monotonic() < end:
            if not self.read_monitor():
                break
            time.sleep(0.01)
        return self.replies[-1] if self.replies else {}

    def picture(self):
        dump = os.path.join(self.folder, "screen.ppm")
        answer = self.ask("screendump", filename=dump)
        if "return" not in answer:
            raise Unusable("QEMU shows no screen")
        return png.read_ppm(dump)

    def press(self, modifiers, key):
        codes = [{"type": "qcode", "data": one} for one in (*modifiers, key)]
        self.ask("send-key", keys=codes, **{"hold-time": HOLD})
        time.sleep(PAUSE)

    def stop(self):
        super().stop()
        for one in (getattr(self, "monitor", None), self.serial):
            if one:
                one.close()
