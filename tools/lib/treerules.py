"""The tree's own rules: who may include what, and how large things may grow. Each returns its findings as lines."""

import os
import re

LINES_PER_FILE = 600
KERNEL_LINES = 10000
KERNEL = ("kernel", "mm", "vmx", "svm")
CODE = (".c", ".h", ".S")

# Which headers a folder may include besides its own: prefixes of paths. What is not listed may include anything.
WALLS = {
    "boot": ("kernel/abi/",),
    "kernel": ("mm/",),
    "mm": ("kernel/abi/",),
    "vmx": ("kernel/", "mm/"),
    "svm": ("kernel/", "mm/"),
    "drivers": ("kernel/abi/",),
    "guests": ("kernel/abi/", "drivers/lib/", "drivers/protocols/"),
}
# A driver's folder may include these of drivers/, and no other driver's.
SHARED_DRIVERS = tuple(f"drivers/{name}/" for name in ("lib", "protocols", "disk", "keyboard", "netcard", "virtio"))
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)
VENDOR = re.compile(r"\b(VMCS|VMCB|vmcs|vmcb)\b")
OPEN = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)


def text_of(tree, name):
    with open(os.path.join(tree, name), encoding="utf-8", errors="replace") as file:
        return file.read()


def without_comments(text):
    """The text with its comments blanked, so that lines keep their numbers."""
    return COMMENT.sub(lambda match: "\n" * match.group(0).count("\n"), text)


def top(name):
    return name.split("/")[0]


def code(files, *folders):
    return [name for name in files if name.endswith(CODE) and (not folders or top(name) in folders)]


def included(tree, name, header):
    """Path from the top of the tree of a header that `name` includes."""
    beside = os.path.normpath(os.path.join(os.path.dirname(name), header))
    return beside if os.path.isfile(os.path.join(tree, beside)) else os.path.normpath(header)


def may_include(name, header):
    """Whether the file `name` may include `header`; both are paths from the top."""
    if header.startswith("drivers/") and top(name) == "drivers":
        own = "/".join(name.split("/")[:2]) + "/"
        return header.startswith((own, *SHARED_DRIVERS))
    return top(header) == top(name) or header.startswith(WALLS[top(name)])


def walls(tree, files):
    found = []
    for name in code(files, *WALLS):
        text = text_of(tree, name)
        for match in INCLUDE.finditer(text):
            header = included(tree, name, match.group(1))
            if not may_include(name, header):
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{name}:{line}: may not include {header}")
    return found


def vendors(tree, files):
    """Outside vmx/ and svm/ no code knows the vendor's structures."""
    found = []
    for name in code(files, "boot", "kernel", "mm", "drivers", "guests"):
        for number, line in enumerate(without_comments(text_of(tree, name)).splitlines(), 1):
            if VENDOR.search(line):
                found.append(f"{name}:{number}: a vendor's word: {VENDOR.search(line).group(0)}")
    return found


def file_sizes(tree, files):
    found = []
    for name in files:
        if name.endswith((*CODE, ".py", ".dts", ".mk")) or name.startswith("tools/"):
            lines = text_of(tree, name).count("\n")
            if lines > LINES_PER_FILE:
                found.append(f"{name}:{LINES_PER_FILE}: {lines} lines, more than {LINES_PER_FILE}")
    return found


def code_lines(text):
    return sum(1 for line in without_comments(text).splitlines() if line.strip())


def kernel_size(tree, files):
    sizes = {folder: sum(code_lines(text_of(tree, name)) for name in code(files, folder)) for folder in KERNEL}
    if sum(sizes.values()) <= KERNEL_LINES:
        return []
    each = ", ".join(f"{folder} {size}" for folder, size in sizes.items())
    return [f"kernel:1: {sum(sizes.values())} lines of code ({each}), more than {KERNEL_LINES}"]


def pages(_, files):
    """Each top folder has a page of its own."""
    folders = sorted({top(name) for name in files if "/" in name and not name.startswith(".")})
    return [f"{folder}/README.md:1: is missing" for folder in folders if f"{folder}/README.md" not in files]


def left_open(tree, files):
    found = []
    for name in code(files) + [name for name in files if name.endswith((".py", ".mk", ".dts"))]:
        if name == "tools/lib/treerules.py":
            continue
        for number, line in enumerate(text_of(tree, name).splitlines(), 1):
            if OPEN.search(line):
                found.append(f"{name}:{number}: left open: {line.strip()[:80]}")
    return found


RULES = {
    "include-walls": walls,
    "vendor-words": vendors,
    "file-sizes": file_sizes,
    "kernel-size": kernel_size,
    "pages": pages,
    "left-open": left_open,
}
