"""Writes a GUID partition table (UEFI specification, chapter 5) with one EFI system partition."""

import struct
import uuid
import zlib

SECTOR = 512
ENTRIES = 128
ENTRY_SIZE = 128
TABLE_SECTORS = ENTRIES * ENTRY_SIZE // SECTOR
EFI_SYSTEM = uuid.UUID("C12A7328-F81F-11D2-BA4B-00A0C93EC93B")
FIRST_USABLE = 2 + TABLE_SECTORS


def last_usable(sectors):
    return sectors - TABLE_SECTORS - 2


def protective_record(sectors):
    """The master boot record that marks the whole disk as taken."""
    size = min(sectors - 1, 0xFFFFFFFF)
    entry = struct.pack("<B3sB3sII", 0, b"\x00\x02\x00", 0xEE, b"\xff\xff\xff", 1, size)
    return bytes(446) + entry + bytes(48) + b"\x55\xaa"


def header(sectors, here, other, table_at, disk, table):
    """One of the two headers: `here` and `other` are their sectors."""

    def pack(checksum):
        return struct.pack(
            "<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, checksum, 0, here, other, FIRST_USABLE,
            last_usable(sectors), disk.bytes_le, table_at, ENTRIES, ENTRY_SIZE, zlib.crc32(table),
        )

    return pack(zlib.crc32(pack(0))).ljust(SECTOR, b"\0")


def write(image, sectors, first, last, disk, partition, name):
    """Writes both tables into the open file `image`; `disk` and `partition` are UUIDs."""
    entry = struct.pack(
        "<16s16sQQQ72s", EFI_SYSTEM.bytes_le, partition.bytes_le, first, last, 0,
        name.encode("utf-16-le"),
    )
    table = entry.ljust(ENTRIES * ENTRY_SIZE, b"\0")
    end = sectors - 1
    image.seek(0)
    image.write(protective_record(sectors))
    image.write(header(sectors, 1, end, 2, disk, table))
    image.write(table)
    image.seek((end - TABLE_SECTORS) * SECTOR)
    image.write(table)
    image.write(header(sectors, end, 1, end - TABLE_SECTORS, disk, table))
