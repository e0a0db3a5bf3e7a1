"""Random system calls, as many as are asked for, beside a guest and a program that watches over its memory; used by tests/soak."""

import os

from boot import TREE, Boot, Check

KEY = r"\x1d"  # Ctrl-]
# misbehave.dts has all of them, but makes few calls.
SYSTEM = """/dts-v1/;
/include/ "{tree}/tests/system/misbehave.dts"
/ {{ domains {{ wild {{ args = "wild {count} {seed}"; }}; }}; }};
"""
RATE = 10000  # calls a second, on a machine that does much else


def boot(name, folder, count, seed):
    """A boot with `count` calls; its description is written into `folder`."""
    system = os.path.join(os.path.realpath(folder), f"{name}.dts")
    os.makedirs(folder, exist_ok=True)
    with open(system, "w", encoding="ascii") as out:
        out.write(SYSTEM.format(tree=TREE, count=count, seed=seed))
    return Boot(name, system, [
        Check("calls", rf"root\] wild: wild: {count} calls made, [1-9]\d* accepted", r"root\] wild ended with code 0",
              r"^\[undisturbed\] second-42\n(.*\n)*?\[undisturbed\] 0$"),
        Check("keep", r"root\] keep: keep: looked \d+ times", lacks=r"root\] keep ended"),
    ], steps=[
        (r"(?s)\[undisturbed\] / # .*wild ended with code 0|wild ended with code 0.*\[undisturbed\] / # ",
         r"echo second-$((40+2)); dmesg | grep -cE 'BUG|Oops|stall'\n"),
        (r"second-42", r"poweroff\n"),
        (r"undisturbed: its guest switched itself off", KEY + "o"),
        (r"operator's prompt", r"poweroff\n"),
    ], timeout=120 + count // RATE)
