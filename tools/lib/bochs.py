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
# The newest with VT-x that has neither virtual-interrupt delivery nor XSAVEC, which are wrong in Bochs (tests/README.md).
MODELS = {"bochs-vmx": "corei7_ivy_bridge_3770k", "bochs-svm": "ryzen"}
START = 1704067200  # 2024-01-01, as in the other emulator's deterministic runs
POWER_OFF = (b"ACPI control: soft power off", b"Shutdown port: shutdown requested")

SCREEN = re.compile(rb"listening for connections on port (\d+)")
ABOVE, BELOW = 32, 18  # rows of pixels: Bochs' own bars over and under the machine's screen
HOLD = 0.05  # s that a key is held
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
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
log: /dev/stderr
"""

# The one card of Bochs from which OVMF makes a graphics output: for VBE it asks at port 0x1D0, which is QEMU's only. The
# VNC server panics about any depth but 8 bits, and shows it all the same.
GRAPHICS = "vga: extension=cirrus\npanic: action=fatal, rfb=report\n"
DEEP = b"bpp graphics mode not supported yet"


class Bochs(Emulator):
    """An i440fx machine with VT-x (platform bochs-vmx) or AMD-V (bochs-svm)."""

    def prepare(self):
        for needed in (FIRMWARE, VIDEO):
            if not os.path.exists(needed):
                raise Unusable(f"{needed} is missing: see tools/setup")
        if shutil.which("bochs") is None:
            raise Unusable("bochs is not installed: see tools/setup")
        options = self.options
        self.cause, self.resets, self.screen_port, self.screen = None, 0, None, None
        slots = ", slot1=e1000" if options.nets else ""
        if options.console == "screen":
            slots += ", slot2=cirrus"
        text = CONFIGURATION.format(
            memory=options.memory, firmware=FIRMWARE, video=VIDEO, cpus=options.cpus, start=START,
            model=options.cpu or MODELS[options.platform], disk=self.own_disk(),
            slots=slots,
        )
        self.listeners = {}
        for name, wanted in (("com1", options.console == "serial"), ("com2", self.line)):
            if wanted:
                self.listeners[name] = listener = socket.create_server(("127.0.0.1", 0), backlog=1)
                text += f"{name}: enabled=1, mode=socket-client, dev=127.0.0.1:{listener.getsockname()[1]}\n"
        if options.console == "screen":
            text += GRAPHICS
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
        self.end_of_start = time.monotonic() + 20
        if "com1" in self.listeners:
            self.serial = self.accept(self.listeners["com1"])
        if "com2" in self.listeners:
            self.line.port = self.accept(self.listeners["com2"])
        if self.options.console == "screen":
            self.watch_screen()

    def starting(self):
        """While Bochs does not yet do what is waited for: reads what it says."""
        self.read_messages()
        if self.process.poll() is not None or time.monotonic() > self.end_of_start:
            raise Unusable(f"Bochs did not start: {self.cause}")

    def accept(self, listener):
        """The connection that Bochs makes for a serial port."""
        listener.settimeout(0.2)
        try:
            while True:
                try:
                    return listener.accept()[0]
                except TimeoutError:
                    self.starting()
        finally:
            listener.close()

    def watch_screen(self):
        """From the start, for Bochs lets the machine choose a size only if its client then takes it."""
        while self.screen_port is None:
            self.starting()
            time.sleep(0.02)
        try:
            self.screen = rfb.Screen(self.screen_port)
        except (rfb.Refused, OSError) as error:
            raise Unusable(f"no screen: {error}") from error

    def sources(self):
        return super().sources() + ([(self.screen, self.read_screen)] if self.screen else [])

    def read_screen(self):
        try:
            return self.screen.take()
        except rfb.Refused:
            return False

    def message(self, line):
        if any(text in line for text in POWER_OFF):
            self.ending = 0, "the machine powered off"
        elif b">>PANIC<<" in line and DEEP not in line and self.cause is None:
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
        screen = self.screen
        try:
            screen = screen or rfb.Screen(self.screen_port)
            return screen.picture(ABOVE, BELOW)
        except (rfb.Refused, OSError) as error:
            raise Unusable(f"no picture of the screen: {error}") from error
        finally:
            if screen and screen is not self.screen:
                screen.close()

    def press(self, modifiers, key):
        try:
            self.screen.press(modifiers, key, HOLD)
        except OSError:
            pass  # the machine has ended, which is told of

    def stop(self):
        super().stop()
        for one in (*getattr(self, "listeners", {}).values(), self.serial, getattr(self, "screen", None)):
            if one:
                one.close()
        for file, _ in self.options.disks:  # one that is killed leaves its lock behind
            if os.path.exists(file + ".lock"):
                os.unlink(file + ".lock")
