"""Reads a device tree source through dtc, keeping the file and line of every node and property.

`dtc -T -T -O dts` writes the merged tree back in one regular form and says in a comment where each
thing came from. Only that regular form is parsed here; the language itself is left to dtc.
"""

import re
import subprocess

TOKEN = re.compile(
    rb"""\s+
    | /\*(?P<comment>.*?)\*/
    | (?P<string>"(?:\\.|[^"\\])*")
    | /memreserve/[^;]*;
    | /dts-v1/;
    | <(?P<cells>[^>]*)>
    | \[(?P<bytes>[^\]]*)\]
    | (?P<bits>/bits/\s+\d+)
    | (?P<mark>[{};=,])
    | (?P<name>[A-Za-z0-9,._+?\#@/-]+:?)
    """,
    re.X | re.S,
)
PLACE = re.compile(r"\s*(.*?):(\d+):\d+-\d+:\d+(?:,|\s*$)")
ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{1,8})|([0-7]{1,3})|(.))", re.S)
LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f",
           b"v": b"\v"}


class Problem(Exception):
    """A description that dtc itself refuses; holds the lines to show."""


class Prop:
    """A property: `parts` is a list of ("string", text), ("cells", [numbers]), ("bytes", bytes)."""

    def __init__(self, name, parts, place):
        self.name, self.parts, self.place = name, parts, place

    def cells(self):
        """Its numbers, or None when anything but 32-bit cells is in it."""
        if not self.parts or any(kind != "cells" for kind, _ in self.parts):
            return None
        return [number for _, numbers in self.parts for number in numbers]

    def text(self):
        """Its one string, or None."""
        if len(self.parts) == 1 and self.parts[0][0] == "string":
            return self.parts[0][1]
        return None

    def octets(self):
        """Its bytes, or None when it is not written as [..]."""
        if len(self.parts) == 1 and self.parts[0][0] == "bytes":
            return self.parts[0][1]
        return None


class Node:
    """A node with its properties and children in source order."""

    def __init__(self, name, parent):
        self.name, self.parent = name, parent
        self.props, self.children = {}, []
        self.place, self.kind = ("?", 0), None

    @property
    def path(self):
        if self.parent is None:
            return "/"
        return self.parent.path.rstrip("/") + "/" + self.name

    @property
    def base(self):
        return self.name.split("@")[0]

    @property
    def unit(self):
        return self.name.split("@")[1] if "@" in self.name else None

    def cells(self, name):
        prop = self.props.get(name)
        return (prop.cells() if prop else None) or []

    def text(self, name):
        prop = self.props.get(name)
        return prop.text() if prop else None

    def child(self, name):
        return next((child for child in self.children if child.name == name), None)

    def walk(self):
        yield self
        for child in self.children:
            yield from child.walk()


def place_of(comment):
    """The first FILE, LINE in a comment of dtc, or None for things that dtc added itself."""
    found = PLACE.match(comment)
    return (found.group(1), int(found.group(2))) if found else None


def unescape(text):
    """The text of a string token as dtc escapes it (bytes above 127 come as \\xffffffNN)."""

    def one(match):
        if match.group(1):
            return bytes([int(match.group(1), 16) & 0xFF])
        if match.group(2):
            return bytes([int(match.group(2), 8) & 0xFF])
        return LETTERS.get(match.group(3), match.group(3))

    return ESCAPE.sub(one, text[1:-1]).decode("utf-8", "replace")


def tokens(output):
    at = 0
    while at < len(output):
        match = TOKEN.match(output, at)
        if not match or match.end() == at:
            raise Problem(f"cannot read dtc's output at {output[at:at + 40]!r}")
        at = match.end()
        kind = match.lastgroup
        if kind:
            yield kind, match.group(kind) if kind != "comment" else match.group(kind).decode()


def value(kind, text, bits):
    if kind == "string":
        return "string", unescape(text)
    if kind == "cells":
        return ("cells" if bits == 32 else "wide"), [int(word, 0) for word in text.split()]
    return "bytes", bytes.fromhex(text.decode())


def tree(output):
    """Builds the tree from dtc's regular output; returns the root node."""
    root = node = last = None
    name, parts, bits = None, [], 32
    for kind, text in tokens(output):
        if kind == "comment":
            place = place_of(text)
            if isinstance(last, Prop):
                last.place = place
                if place is None:
                    last.place = node.place
            elif last is not None and place:
                last.place = place
            last = None
        elif kind == "name":
            if not text.endswith(b":"):  # a label says nothing that the tree doesn't
                name, parts, bits = text.decode(), [], 32
        elif kind == "bits":
            bits = int(text.split()[1])
        elif kind in ("string", "cells", "bytes"):
            parts.append(value(kind, text, bits))
        elif text == b"{":
            child = Node("" if node is None else name, node)
            if node is None:
                root = child
            else:
                node.children.append(child)
            node, last, name = child, child, None
        elif text == b"}":
            node, name, last = node.parent, None, None
        elif text == b";" and name is not None:
            last = node.props[name] = Prop(name, parts, node.place)
            name = None
    if root is None:
        raise Problem("dtc gave no tree")
    return root


SYNTAX = re.compile(r"(?:Lexical )?[Ee]rror: (.*?):(\d+)\.\S* (.*)")
CHECK = re.compile(r"(.*?):(\d+)\.(\d+)-(?:(\d+)\.)?\d+: ERROR \(\w+\): ([^: ]*)(?::[^: ]+)?: (.*)")
LABEL = re.compile(r'non-existent node or label "([^"]+)"')


def narrow(path, first, last, label):
    """The line from `first` on that refers to a label which exists nowhere."""
    try:
        with open(path, encoding="utf-8", errors="replace") as source:
            lines = source.read().split("\n")
    except OSError:
        return first
    pattern = re.compile(r"&\{?" + re.escape(label) + r"(?![\w/])")
    for number in range(first, min(last, len(lines)) + 1):
        if pattern.search(lines[number - 1]):
            return number
    return first


def complaints(text, source):
    """Turns dtc's error messages into FILE:LINE: NODE: message lines."""
    lines = []
    for line in text.splitlines():
        check, syntax = CHECK.match(line), SYNTAX.match(line)
        if check:
            path, first, end, where, message = (check.group(i) for i in (1, 2, 4, 5, 6))
            first = int(first)
            where = where if where.startswith("/") else "/"
            label = LABEL.search(message)
            if label:
                first = narrow(path, first, int(end or first), label.group(1))
            lines.append(f"{path}:{first}: {where}: {message}")
        elif syntax:
            lines.append(f"{syntax.group(1)}:{syntax.group(2)}: /: {syntax.group(3)}")
        elif line.startswith("FATAL ERROR: Couldn't open"):
            lines.append(f"{source}:1: /: {line[13:]}")
    return lines or [f"{source}:1: /: {line}" for line in text.splitlines() if line.strip()]


def load(source):
    """Reads a description; returns its root node, or raises Problem with the lines to show."""
    command = ["dtc", "-q", "-I", "dts", "-O", "dts", "-T", "-T", source]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        raise Problem(*complaints(done.stderr.decode("utf-8", "replace"), source))
    return tree(done.stdout)


def phandles(root):
    """The nodes by their phandle."""
    return {node.cells("phandle")[0]: node for node in root.walk() if node.cells("phandle")}
