"""A system description: read, checked, with the files that it names."""

import os

import dts
import rules
import schema
import shape

HERE = os.path.dirname(os.path.realpath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(TREE, "build")


class Files:
    """Finds files by name: beside the description, in the folders given, then in the build."""

    def __init__(self, source, folders):
        beside = os.path.dirname(source) or "."
        built = [os.path.join(BUILD, folder) for folder in ("programs", "guests")]
        self.folders = [beside, *folders, *built]

    def find(self, name):
        for folder in self.folders:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                return path
        return None


class Description:
    """Reads and checks `source`.

    `errors` and `notes` are lines to show, `files` maps the names of files to where they were found.
    """

    def __init__(self, source, folders=(), memory=None):
        self.source, self.notes, self.files = source, [], {}
        collected = shape.Errors()
        self.errors = collected.lines
        try:
            root = dts.load(source)
        except dts.Problem as problem:
            self.errors.extend(problem.args)
            return
        handles = dts.phandles(root)
        shape.Shape(root, handles, collected)
        checked = rules.Rules(root, handles, collected)
        self.notes = checked.notes
        self.find_files(root, Files(source, folders), collected)
        if memory is not None:
            sizes = {name: os.path.getsize(path) for name, path in self.files.items()}
            checked.fits(memory, sizes)
        self.errors.sort(key=by_place)

    def find_files(self, root, lookup, collected):
        kinds, spelt = schema.kinds(), {}
        for node in root.walk():
            if node.kind is None:
                continue
            for name, (_, what, _) in kinds[node.kind].props.items():
                text = node.text(name)
                if what != "file" or text is None or shape.wrong_text(text, what, None):
                    continue
                path = lookup.find(text)
                if path is None:
                    folders = ", ".join(lookup.folders)
                    collected.add(node, f'file "{text}" is not in {folders}', name)
                    continue
                other = spelt.setdefault(text.lower(), text)
                if other != text:
                    message = f'"{text}" and "{other}" are one name in the image'
                    collected.add(node, message, name)
                self.files[text] = path


def by_place(line):
    """Sorts error lines by file and line number."""
    file, _, rest = line.partition(":")
    number = rest.partition(":")[0]
    return file, int(number) if number.isdigit() else 0
