"""Bochs as the machine: its configuration, and its messages that tell how the machine ended."""

import os
import re
import shutil
import socket
import subprocess
import time

import rfb
from emulator import Emulator, Unusable

FIRMWARE = "/usr/share/ovmf/OVMF.fd"
VIDEO = "/usr/share/bochs/VGABIOS-lgpl-latest"
# corei3_cnl is corei7_skylake_x without virtual-interrupt delivery, which is wrong in Bochs (tests/README.md).
MODELS = {"bochs-vmx": "corei3_cnl", "bochs-svm": "ryzen"}
START = 1704067200  # 2024-01-01, as in the other emulator's deterministic runs
POWER_OFF = (b"ACPI control: soft power off", b"Shutdown port: shutdown requested")

SCREEN = re.compile(rb"listening for connections on port (\d+)")
RESET = b"bx_pc_system_c::Reset(HARDWARE) called"

CONFIGURATION = """\
memory: guest={memory}, host={memory}
romimage: file={firmware}, options=none
vgaromimage: file={video}
cpu: model={model}, count={cpus}, ips=50000000, reset_on_triple_fault=0
clock: sync=none, time0={start}
display_library: rfb, options="timeout=0"
plugin_ctrl: es1370=0, sb16=0, speaker=0, gameport=0, parallel=0
pci: enabled=1, chipset=i440fx{slots}
ata0: enabled=1
ata0-master: type=disk, path="{disk}", mode=flat
boot: disk
com1: enabled=1, mode=socket-client, dev=127.0.0.1:{port}
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
log: /dev/stderr
"""


class Bochs(Emulator):
    """An i440fx machine with VT-x (platform bochs-vmx) or AMD-V (bochs-svm)."""

    def prepare(self):
        for needed in (FIRMWARE, VIDEO):
            if not os.path.exists(needed):
                raise Unusable(f"{needed} is missing: see tools/setup")
        if shutil.which("bochs") is None:
            raise Unusable("bochs is not installed: see tools/setup")
        options = self.options
        self.cause, self.resets, self.screen_port = None, 0, None
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(1)
        text = CONFIGURATION.format(
            memory=options.memory, firmware=FIRMWARE, video=VIDEO, cpus=options.cpus, start=START,
            model=options.cpu or MODELS[options.platform], disk=self.own_disk(),
            port=self.listener.getsockname()[1], slots=", slot1=e1000" if options.nets else "",
        )
        self.second = socket.socket() if self.line else None
        if self.second:
            self.second.bind(("127.0.0.1", 0))
            self.second.listen(1)
            text += f"com2: enabled=1, mode=socket-client, dev=127.0.0.1:{self.second.getsockname()[1]}\n"
        for file, _ in options.disks:  # one at most
            text += f"ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15\nata1-master: type=disk, path=\"{file}\", mode=flat\n"
        for number, _ in enumerate(options.nets):  # one at most, too
            text += f"e1000: card={number}, enabled=1, mac=52:54:00:12:34:56, ethmod=slirp\n"
        configuration = os.path.join(self.folder, "bochsrc")
        commands = os.path.join(self.folder, "commands")
        for path, content in ((configuration, text), (commands, "c\n")):
            with open(path, "w", encoding="utf-8") as out:
                out.write(content)
        self.command = ["bochs", "-q", "-f", configuration, "-rc", commands]

    def own_disk(self):
        """Bochs writes to its disk and locks it, so it gets a copy unless the image is ours."""
        image = os.path.realpath(self.options.image)
        if os.path.dirname(image) == os.path.realpath(self.folder):
            return image
        disk = os.path.join(self.folder, "disk.img")
        subprocess.run(["cp", "--sparse=always", "--reflink=auto", image, disk], check=True)
        return disk

    def connect(self):
        self.serial = self.accept(self.listener)
        if self.second:
            self.line.port = self.accept(self.second)

    def accept(self, listener):
        """The connection that Bochs makes for a serial port."""
        listener.settimeout(0.2)
        end = time.monotonic() + 20
        try:
            while True:
                try:
                    return listener.accept()[0]
                except TimeoutError:
                    self.read_messages()
                    if self.process.poll() is not None or time.monotonic() > end:
                        raise Unusable(f"Bochs did not start: {self.cause}") from None
        finally:
            listener.close()

    def message(self, line):
        if any(text in line for text in POWER_OFF):
            self.ending = 0, "the machine powered off"
        elif b">>PANIC<<" in line and self.cause is None:
            self.cause = line.partition(b">>PANIC<<")[2].decode("utf-8", "replace").strip()
        elif SCREEN.search(line):
            self.screen_port = int(SCREEN.search(line).group(1))
        elif RESET in line:
            self.resets += 1
            if self.resets > 1:  # the first is the power-on
                self.ending = 1, "the machine reset itself"

    def ended(self):
        if self.ending:
            return self.ending
        if self.cause:
            return 1, f"the emulator stopped: {self.cause}"
        return super().ended()

    def picture(self):
        if self.screen_port is None or self.process.poll() is not None:
            raise Unusable("no picture: Bochs shows its screen only while it runs")
        screen = None
        try:
            screen = rfb.Screen(self.screen_port)
            return screen.picture()
        except (rfb.Refused, OSError) as error:
            raise Unusable(f"no picture of the screen: {error}") from error
        finally:
            if screen:
                screen.close()

    def stop(self):
        super().stop()
        for one in (getattr(self, "listener", None), getattr(self, "second", None), self.serial):
            if one:
                one.close()
        for file, _ in self.options.disks:  # one that is killed leaves its lock behind
            if os.path.exists(file + ".lock"):
                os.unlink(file + ".lock")
