"""Builds a boot image from a checked description."""

import os
import subprocess
import tempfile

import description
import disk


class Refused(Exception):
    """The image cannot be made; holds the lines to show."""


def boot_files(checked, options, lookup):
    """What goes into the image besides system.dtb and files.txt: path in the image -> file."""
    loader = options.loader or os.path.join(description.BUILD, "boot", "bootx64.efi")
    kernel = options.kernel or os.path.join(description.BUILD, "kernel.elf")
    root = lookup.find("root.elf")
    files = {
        "EFI/BOOT/BOOTX64.EFI": loader,
        "bulkhead/kernel.elf": kernel,
        "bulkhead/root.elf": root or os.path.join(description.BUILD, "programs", "root.elf"),
    }
    files.update({f"bulkhead/{name}": path for name, path in checked.files.items()})
    for extra in options.extra:
        source, _, name = extra.partition("=")
        files[name.strip("/")] = source
    missing = [path for path in files.values() if not os.path.isfile(path)]
    if missing:
        raise Refused(*(f"{path}: no such file" for path in missing))
    return files


def compile_tree(source, out):
    """Compiles the description; its node names are tools/check's business, so dtc is quiet."""
    subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb", "-o", out, source], check=True)


def build(options, out):
    """Checks options.system and writes its image to `out`; returns the checker's notes."""
    memory = getattr(options, "memory", None)  # only tools/run knows the machine
    checked = description.Description(options.system, options.files, memory)
    if checked.errors:
        raise Refused(*checked.errors)
    lookup = description.Files(options.system, options.files)
    with tempfile.TemporaryDirectory(prefix="bulkhead-image-") as scratch:
        files = boot_files(checked, options, lookup)
        tree = files["bulkhead/system.dtb"] = os.path.join(scratch, "system.dtb")
        compile_tree(options.system, tree)
        names = ["root.elf", *sorted(checked.files)]
        listing = files["bulkhead/files.txt"] = os.path.join(scratch, "files.txt")
        with open(listing, "w", encoding="ascii") as text:
            text.writelines(name + "\n" for name in names)
        try:
            disk.make(out, files, scratch)
        except subprocess.CalledProcessError as error:
            said = (error.stdout or b"").decode("utf-8", "replace").strip()
            raise Refused(f"{error.cmd[0]} failed: {said}") from error
    return checked.notes


def add_options(parser):
    """The options that tools/image and tools/run share."""
    parser.add_argument("--files", metavar="DIR", action="append", default=[],
                        help="a folder to look for files in, after the description's own")
    parser.add_argument("--loader", metavar="FILE", help="default: build/boot/bootx64.efi")
    parser.add_argument("--kernel", metavar="FILE", help="default: build/kernel.elf")
    parser.add_argument("--extra", metavar="SRC=NAME", action="append", default=[],
                        help="one more file for the boot volume")


def check_options(parser, options):
    for folder in options.files:
        if not os.path.isdir(folder):
            parser.error(f"{folder} is not a folder")
    for extra in options.extra:
        if not all(extra.partition("=")):
            parser.error(f"--extra {extra}: must be SRC=NAME")
    if options.system and not os.path.isfile(options.system):
        parser.error(f"{options.system}: no such file")
