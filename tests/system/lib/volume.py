"""The files in a boot image, to damage them."""

import os
import subprocess
import tempfile

START = 2048 * 512  # byte of the image at which tools/image puts the file system
SETTINGS = {**os.environ, "MTOOLS_SKIP_CHECK": "1", "MTOOLSRC": os.devnull}


class Broken(Exception):
    """The image could not be changed."""


class Volume:
    """The boot volume of an image file; names are those of the files in its folder bulkhead."""

    def __init__(self, image):
        self.where = f"{image}@@{START}"

    def tool(self, *command):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True,
                              env=SETTINGS, check=False)
        if done.returncode != 0:
            raise Broken(f"{command[0]} failed: {done.stderr.decode('utf-8', 'replace').strip()}")
        return done.stdout

    def remove(self, name):
        self.tool("mdel", "-i", self.where, f"::bulkhead/{name}")

    def read(self, name):
        return self.tool("mtype", "-i", self.where, f"::bulkhead/{name}")

    def write(self, name, data):
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            self.tool("mcopy", "-o", "-i", self.where, file.name, f"::bulkhead/{name}")

    def truncate(self, name, size):
        self.write(name, self.read(name)[:size])

    def patch(self, name, offset, data):
        old = self.read(name)
        if offset + len(data) > len(old):
            raise Broken(f"{name} is too short to patch")
        self.write(name, old[:offset] + data + old[offset + len(data):])
