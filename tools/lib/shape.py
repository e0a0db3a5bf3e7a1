"""Checks a description against the table in schema.py: kinds of nodes, properties, their types."""

import re

import schema

ADDED_BY_DTC = ("phandle", "linux,phandle")
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,62}")
TAKEN = ("kernel.elf", "system.dtb", "files.txt", "root.elf")


class Errors:
    """Collects FILE:LINE: NODE: message lines."""

    def __init__(self):
        self.lines = []

    def add(self, node, message, prop=None):
        """Notes an error of a node, at the place of one of its properties if that is given."""
        place = node.place
        if prop is not None and prop in node.props:
            place = node.props[prop].place
        line = f"{place[0]}:{place[1]}: {node.path}: {message}"
        if line not in self.lines:
            self.lines.append(line)


class Shape:
    """Walks the tree once, gives every node its kind, and notes what the table does not allow."""

    def __init__(self, root, handles, errors):
        self.kinds = schema.kinds()
        self.handles, self.errors = handles, errors
        self.references = []
        root.kind = "root"
        self.visit(root)
        for node, name, kinds in self.references:  # now every node has its kind
            self.check_references(node, name, kinds)

    def visit(self, node):
        kind = self.kinds[node.kind]
        for name, prop in node.props.items():
            if name in kind.props:
                self.check_type(node, name, prop, *kind.props[name][1:])
            elif name not in ADDED_BY_DTC:
                self.errors.add(node, f'unknown property "{name}"', name)
        for name, (required, _, _) in kind.props.items():
            if required and name not in node.props:
                self.errors.add(node, f'property "{name}" is missing')
        for name, (many, _) in kind.children.items():
            count = sum(child.base == name for child in node.children)
            if many == "required" and count == 0:
                self.errors.add(node, f'node "{name}" is missing')
            if many != "many" and count > 1:
                self.errors.add(node, f'more than one node "{name}"')
        for child in node.children:
            child.kind = self.kind_of(kind, child)
            if child.kind:
                self.visit(child)

    def kind_of(self, kind, child):
        """The kind of a child, or None after noting why it has none."""
        _, name = kind.children.get(child.base) or kind.children.get("*") or (None, None)
        if name is None:
            self.errors.add(child, f'unknown node "{child.base}" in {child.parent.path}')
            return None
        if name != "by-compatible":
            return name
        compatible = child.text("compatible")
        if "compatible" not in child.props:
            self.errors.add(child, 'property "compatible" is missing')
            return None
        for pattern, found in kind.compatibles:
            if compatible is not None and re.fullmatch(pattern, compatible):
                return found
        self.errors.add(
            child, f'unknown kind of node: compatible "{compatible}"', "compatible"
        )
        return None

    def check_type(self, node, name, prop, what, values):
        message = None
        if what == "flag":
            if prop.parts:
                message = "takes no value"
        elif what in ("string", "file"):
            message = wrong_text(prop.text(), what, values)
        elif what == "u32":
            message = wrong_number(prop.cells(), values)
        elif what == "cells":
            message = wrong_count(prop.cells(), values)
        elif what == "bytes":
            if prop.octets() is None or len(prop.octets()) != int(values):
                message = f"must be {values} bytes, [00 11 ..]"
        elif what in ("ref", "refs"):
            cells = prop.cells()
            if cells is None or (what == "ref" and len(cells) != 1):
                one = "one reference, <&label>" if what == "ref" else "references, <&label ..>"
                message = f"must be {one}"
            else:
                self.references.append((node, name, values))
        if message:
            self.errors.add(node, f'property "{name}" {message}', name)

    def check_references(self, node, name, kinds):
        for cell in node.cells(name):
            target = self.handles.get(cell)
            if target is None:
                self.errors.add(node, f'property "{name}" points nowhere ({cell:#x})', name)
            elif target.kind not in kinds.split("|"):
                wanted = schema.spoken(kinds)
                self.errors.add(
                    node, f'property "{name}" points at {target.path}, not at a {wanted}', name
                )


def wrong_text(text, what, values):
    if text is None:
        return "must be one string"
    if what == "file":
        if not FILE_NAME.fullmatch(text):
            return f'"{text}" must be a plain file name of letters, digits and . _ + -, up to 63 long'
        if text.lower() in TAKEN:
            return f'"{text}" is a name that the image uses itself'
    elif values and text not in values.split("|"):
        return f'is "{text}", must be ' + " or ".join(f'"{one}"' for one in values.split("|"))
    return None


def wrong_number(cells, values):
    if cells is None or len(cells) != 1:
        return "must be one number, <N>"
    if values:
        low, high = values.split("..")
        if cells[0] < int(low) or (high and cells[0] > int(high)):
            if low == high:
                return f"is {cells[0]}, must be {low}"
            return f"is {cells[0]}, must be " + (f"{low} to {high}" if high else f"{low} or more")
    return None


def wrong_count(cells, values):
    count = int(values.rstrip("*"))
    if cells is None:
        return f"must be {count} numbers, <..>"
    if values.endswith("*"):
        if len(cells) % count:
            return f"has {len(cells)} numbers, must have a multiple of {count}"
    elif len(cells) != count:
        return f"has {len(cells)} numbers, must have {count}"
    return None
