"""Makes a disk image with one EFI system partition, without root: mtools on a sparse file."""

import os
import subprocess
import uuid

import gpt

SECTOR = 512
CYLINDER = 16 * 63 * SECTOR  # Bochs wants whole cylinders of its default geometry
START = 2048  # first sector of the partition
TAIL = 64  # sectors left for the second partition table
FAT32_LEAST = 66 << 20  # below this many bytes the file system would have to be FAT16
CLUSTER = 1024
DISK_ID = uuid.UUID("b01cbead-0000-4000-8000-000000000001")
PARTITION_ID = uuid.UUID("b01cbead-0000-4000-8000-000000000002")
DATE = 1704067200  # every file gets this date, so that equal input gives equal images


def tool(*command):
    """Runs a tool with a fixed date; raises CalledProcessError with its output when it fails."""
    settings = dict(os.environ, SOURCE_DATE_EPOCH=str(DATE), MTOOLS_SKIP_CHECK="1", TZ="UTC",
                    MTOOLSRC=os.devnull)
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                   stderr=subprocess.STDOUT, env=settings)


def image_size(sizes):
    """Bytes for an image that holds files of these sizes: with slack, in whole cylinders."""
    data = sum(-(-size // CLUSTER) * CLUSTER for size in sizes)
    room = max(FAT32_LEAST, data + data // 64 + (4 << 20))
    total = room + (START + TAIL) * SECTOR
    return -(-total // CYLINDER) * CYLINDER


def folders_of(names):
    """Every folder above these paths, outer ones first."""
    found = set()
    for name in names:
        parts = name.split("/")[:-1]
        found.update("/".join(parts[: at + 1]) for at in range(len(parts)))
    return sorted(found)


def make(out, files, scratch):
    """Writes the image `out`. `files` maps paths on the volume to files; `scratch` is a folder."""
    partial = out + ".partial"
    try:
        fill(partial, files, scratch)
        os.replace(partial, out)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)


def fill(out, files, scratch):
    size = image_size([os.path.getsize(path) for path in files.values()])
    sectors = size // SECTOR - START - TAIL
    with open(out, "wb") as image:
        image.truncate(size)
        gpt.write(image, size // SECTOR, START, START + sectors - 1, DISK_ID, PARTITION_ID,
                  "Bulkhead")
    where = f"{out}@@{START * SECTOR}"
    tool("mformat", "-i", where, "-F", "-T", str(sectors), "-h", "16", "-s", "63", "-H", str(START),
         "-c", str(CLUSTER // SECTOR), "-N", "b01cbead", "-v", "BULKHEAD", "::")
    folders = folders_of(files)
    if folders:
        tool("mmd", "-i", where, *("::" + folder for folder in folders))
    for number, folder in enumerate(["", *folders]):
        inside = [name for name in sorted(files) if os.path.dirname(name) == folder]
        if not inside:
            continue
        stage = os.path.join(scratch, f"stage{number}")
        os.mkdir(stage)
        for name in inside:  # links give the files the names they have in the image
            os.symlink(os.path.realpath(files[name]), os.path.join(stage, os.path.basename(name)))
        paths = [os.path.join(stage, os.path.basename(name)) for name in inside]
        tool("mcopy", "-i", where, *paths, f"::{folder}/")
