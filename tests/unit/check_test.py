#!/usr/bin/env python3
"""Tests tools/check: good descriptions pass, and each way to break one is named with its place."""

import os
import subprocess
import sys
import tempfile

from check.cases import CASES, MORE

HERE = os.path.dirname(os.path.realpath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
CHECK = os.path.join(TREE, "tools", "check")
GOOD = os.path.join(HERE, "check", "good.dts")
DEMO = os.path.join(TREE, "guests", "systems", "demo.dts")
NAMES = ["uart.elf", "display.elf", "i8042.elf", "console.elf", "nvme.elf", "e1000e.elf", "switch.elf", "vmm.elf", "vmlinuz",
         "guest.elf", "a.cpio", "b.cpio", "ramdisk.elf", "tools.img", "system.img"]


class Failure(Exception):
    """A test's expectation was not met."""


def check(*arguments):
    return subprocess.run([CHECK, *arguments], capture_output=True, text=True, check=False)


def expect(condition, message):
    if not condition:
        raise Failure(message)


def broken(edits):
    """The good description with edits made; also the line that "@@" marked."""
    with open(GOOD, encoding="utf-8") as source:
        text = source.read()
    for old, new in edits:
        expect(old in text, f"{old!r} is not in good.dts")
        text = text.replace(old, new, 1)
    before, mark, _ = text.partition("@@")
    expect(mark, "no edit marks a line")
    return text.replace("@@", ""), before.count("\n") + 1


def run_case(folder, name, node, message, edits, options=()):
    """Breaks the good description, and looks for FILE:LINE: node: message, and for no other error."""
    text, line = broken(edits)
    path = os.path.join(folder, "broken.dts")
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    done = check(path, "--files", os.path.join(folder, "files"), *options)
    expect(done.returncode == 1, f"status {done.returncode}, {done.stderr or done.stdout}")
    start = f"{path}:{line}: {node}: "
    found = [one for one in done.stderr.splitlines() if one.startswith(start) and message in one]
    expect(found, f"wanted {start}..{message}.., got\n{done.stderr}")
    expect(name in MORE or len(done.stderr.splitlines()) == 1, f"more than one error:\n{done.stderr}")


def test_good(folder):
    done = check(GOOD, "--files", os.path.join(folder, "files"), "--memory", "1024")
    expect(done.returncode == 0, done.stderr)
    expect("zero-copy lets /domains/nvme reach the memory of /domains/linux-a" in done.stdout,
           f"no note on zero-copy: {done.stdout!r}")


def test_demo(folder):
    done = check(DEMO, "--files", os.path.join(folder, "files"), "--memory", "512")
    expect(done.returncode == 0 and not done.stdout, done.stderr + done.stdout)


def test_beside(folder):
    """Files are found beside the description, without any --files."""
    path = os.path.join(folder, "files", "beside.dts")
    with open(GOOD, encoding="utf-8") as source, open(path, "w", encoding="utf-8") as out:
        out.write(source.read())
    done = check(path)
    expect(done.returncode == 0, done.stderr)


def test_unusable(folder):
    for arguments in ([], [os.path.join(folder, "none.dts")], [GOOD, "--files", "/none"],
                      [GOOD, "--memory", "much"], [GOOD, "--other"]):
        done = check(*arguments)
        expect(done.returncode == 2, f"{arguments}: status {done.returncode}")


def main():
    tests = [(f"check.{function.__name__[5:]}", function)
             for function in (test_good, test_demo, test_beside, test_unusable)]
    for name, node, message, edits, *options in CASES:
        tests.append((f"check.{name}", lambda folder, case=(name, node, message, edits, *options):
                      run_case(folder, *case)))
    failed = 0
    with tempfile.TemporaryDirectory(prefix="bulkhead-check-") as folder:
        os.mkdir(os.path.join(folder, "files"))
        for name in NAMES:
            with open(os.path.join(folder, "files", name), "w", encoding="ascii") as out:
                out.write("x")
        for name, test in tests:
            try:
                test(folder)
            except Failure as failure:
                failed += 1
                print(f"{name}: {failure}")
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
