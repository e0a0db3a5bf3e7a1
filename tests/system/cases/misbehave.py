"""Programs that fault, leave, fail a check, overflow their stack, exhaust their pool, call at random or loop,
beside a guest, a driver and the operator, who must not notice."""

from boot import Boot, Check, Failed

KEY = r"\x1d"  # Ctrl-]
SHARE = 0.7  # of a CPU; the budget is 0.1, but time that the host takes from the emulator counts too
LINE = r"^\[ *(\d+\.\d+) \d root\]"  # of root's log


def budget_holds(log):
    """The looping program, alone of the highest priority, gets its budget and not more."""
    stats = log.find(r"^looping: running.*\nthread 0: .* run time (\d+) us")
    if not stats:
        raise Failed("no statistics of the looping program")
    times = [float(one) for one in log.all(LINE, stats.start())[:1] + log.all(LINE, start=stats.end())[:1]]
    share = int(stats.group(1)) / 1e6 / (times[-1] - times[0])
    if not 0.01 < share < SHARE:
        raise Failed(f"it had {share:.3f} of the CPU")


def low_priority_goes_on(log):
    """While another writes to the screen without end, what has a low priority on the screen's CPU gets some of it."""
    times = [[int(ran) for ran in log.all(rf"^{name} +(\d+) +0 +0$")] for name in ("loop", "display", "uart", "console")]
    if any(len(ran) < 2 for ran in times):
        raise Failed("no times before and after")
    ran = [one[-1] - one[0] for one in times]
    if sum(ran[1:]) <= 0 or ran[0] < sum(ran) / 20:
        raise Failed("loop, display, uart and console ran {}, {}, {} and {} cycles".format(*ran))


def died(name, how):
    return Check(name, rf"root\] {name} {how}", rf"root\] {name} is not restarted: ")


STEPS = [
    (r"\[undisturbed\] .*/ # ", r"echo first-$((40+1))\n"),
    (r"first-41", KEY + "o"),
    (r"bulkhead> ", r"stats looping\n"),
    (r"process pool: ", r"start faulty\n"),
    (r"faulty is started by the operator(?s:.)*faulty is not restarted", r"start greedy\n"),
    (r"greedy: pool: (?s:.)*greedy ended with code 0", r"restart uart\n"),
    (r"uart is restarted by the operator", r"list\n"),
    (r"MiB of memory are free", KEY + "1"),
    (r"typing goes to undisturbed", r"echo second-$((40+2)); dmesg | grep -cE 'BUG|Oops|stall'\n"),
    (r"second-42", r"poweroff\n"),
    (r"undisturbed: its guest switched itself off", ""),
]

FLOODED = [
    (r"flooding: flood \d", KEY + "o"),
    (r"operator's prompt", r"stats flooding\n"),
    (r"process pool: ", r"stop flooding\n"),
    (r"flooding is stopped by the operator", KEY + r"2\n"),
    (r"typing goes to undisturbed(?s:.)*/ # ", r"dd if=/dev/vdb bs=64k count=8 iflag=direct 2>n | wc -c; for i in 0 1; do "
                                               r"ifconfig eth$i up promisc; echo eth$i-$(cat /sys/class/net/eth$i/carrier); done; "
                                               r"echo first-$((40+1))\n"),
    (r"first-41", KEY + "o"),
    (r"operator's prompt", r"list\n"),
    (r"MiB of memory are free", r"stats storm\n"),
    (r"storm: running, started (?:[3-9]|\d\d) times|storm is restarted \([2-9]\)", r"reboot\n"),
]
FLOODS = r"root\] %s: %s floods their %s session with events"

BOOTS = [
    Boot("misbehave", "misbehave.dts", [
        died("faulty", r"died: page fault \(vector 14, error 0x6, address 0x8\) at rip 0x4"),
        Check("faulty-restarts", r"root\] faulty is restarted \(1\)", r"root\] faulty is restarted \(2\) in 100 ms",
              r"root\] faulty is not restarted: 2 restarts in 60 seconds"),
        Check("registers", r"root\] faulty: rax 0x8, rcx "),
        died("leaver", r"ended with code 7"),
        died("asserter", r"ended with code 1"),
        Check("assertion", r"root\] asserter: drivers/test/modes\.c:\d+: check failed: mode == NULL"),
        died("deep", r"died: page fault"),
        died("deeper", r"\(thread 1\) died: page fault \(vector 14, error 0x6, address 0x103[0-9a-f]{3}\)"),
        Check("used-up", r"root\] deep: the stack of that thread is used up",
              r"root\] deeper: the stack of that thread is used up", lacks="root\\] faulty: the stack"),
        Check("ended", r"root\] ended ended with code 0", lacks=r"root\] ended is restarted"),
        Check("greedy", r"root\] greedy: pool: \d+ ports made, then: the paying domain's pool is empty",
              r"root\] greedy: pool: \d+ ports made, then: the paying domain's pool is empty"),
        Check("wild", r"root\] wild: wild: 200000 calls made, \d+ accepted", r"root\] wild ended with code 0"),
        Check("kept", r"root\] keep: keep: looked \d+ times",
              lacks=r"root\] keep ended"),
        Check("looping-budget", call=budget_holds),
        Check("guest", r"^\[undisturbed\] Hello from guest a", r"^\[undisturbed\] first-41",
              r"^\[undisturbed\] second-42\n(.*\n)*?\[undisturbed\] 0$"),
        Check("states", r"^keep +domain +running", r"^faulty +domain +failed", r"^ended +domain +off",
              r"^leaver +domain +failed", r"^asserter +domain +failed", r"^deep +domain +failed",
              r"^deeper +domain +failed",
              r"^greedy +domain +off", r"^wild +domain +off", r"^looping +domain +running",
              r"^undisturbed +partition +running"),
        Check("off", r"the last guest has switched itself off"),
    ], steps=STEPS, timeout=180),
    Boot("flood", "flood.dts", [
        Check("lines", r"root\] flooding: flood \d+"),
        Check("server", FLOODS % ("undisturbed", "storm", "block")),
        Check("card", FLOODS % ("undisturbed", "storm", "net"), r"^\[undisturbed\] eth0-1$", r"^\[undisturbed\] eth1-0$"),
        Check("server-restarted", r"root\] storm broke the protocol with all its peers$", r"root\] storm is restarted \(1\)",
              r"root\] storm broke the protocol with all its peers: it is restarted when its limit allows it",
              r"root\] storm is restarted \(2\)|storm: running, started [3-9]"),
        *[Check(f"client-of-{server}", FLOODS % (server, "hostile", what), lacks=rf"root\] {server} (is restarted|broke|hangs)")
          for server, what in (("ramdisk", "block"), ("switch", "net"), ("console", "console"))],
        Check("disk", r"^\[undisturbed\] 524288$", r"^\[undisturbed\] first-41"),
        Check("operator", r"^flooding: running, started 1 times", r"^process pool: ", r"root\] flooding is stopped",
              lacks=r"bytes lost"),
        Check("guest", r"^\[undisturbed\] Hello from guest a", r"^\[undisturbed\] first-41"),
    ], steps=FLOODED, resets=True, timeout=150),
    Boot("talk", "talk.dts", [
        Check("shown", r"^\[talker\] x"),
        Check("low-priority", call=low_priority_goes_on),
        Check("screen", lacks=r"root\] (display|console) (hangs|is restarted)"),
    ], steps=[(r"talker\] x", KEY + "o"), (r"typing goes to the op", r"times\n"), (r"talker +\d", r"times\n"),
              (r"talker +\d", r"times\n"), (r"talker +\d", r"times\n"), (r"talker +\d", r"poweroff\n"),
              (r"the operator powers", "")], timeout=60),
    # The checker takes the machine for a larger one than it is.
    Boot("dark", "dark.dts", [
        Check("reason", r"root\] the console is gone: the log is shown here",
              r"root\] .*root\] uart: state: the machine's memory is used up"),
        Check("log", r"root\] 2 of 3 domains and partitions run", r"root\] there: its guest switched itself off"),
    ], memory=70000, machine=["-m", "1024"], until=r"the last guest has switched itself off", timeout=60),
]
