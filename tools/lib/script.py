"""Watches serial output for regular expressions, and says what to type and when to end."""

import re

KEEP = 1 << 16  # bytes of old output that a match may still reach back into
ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.S)
LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"e": b"\x1b", b"0": b"\0"}
PANIC = re.compile(rb"PANIC:")


class Unreadable(Exception):
    """A regular expression or a step that cannot be understood."""


def expression(text):
    try:
        return re.compile(text.encode(), re.M)
    except re.error as error:
        raise Unreadable(f"{text!r}: {error}") from error


def typed(text):
    """The bytes of a TEXT with its escapes: \\n \\r \\t \\e \\0 \\xNN, and \\ before any other."""

    def one(match):
        word = match.group(1)
        return bytes([int(word[1:], 16)]) if len(word) == 3 else LETTERS.get(word, word)

    return ESCAPE.sub(one, text.encode())


def step(text):
    """Splits REGEX=>TEXT into what to wait for and what to type."""
    wanted, arrow, answer = text.partition("=>")
    if not arrow:
        raise Unreadable(f"{text!r}: must be REGEX=>TEXT")
    return expression(wanted), typed(answer)


def steps_of_file(path):
    """A REGEX=>TEXT in each line; empty lines and those that start with # are left out."""
    with open(path, encoding="utf-8") as lines:
        texts = [line.rstrip("\n") for line in lines]
    return [step(text) for text in texts if text and not text.startswith("#")]


class Script:
    """The steps to make in order, then the expression that ends the run (None: run on)."""

    def __init__(self, steps, until):
        self.steps, self.until = list(steps), until
        self.text, self.at, self.panic_at = b"", 0, 0
        self.met = self.panicked = False

    def feed(self, data):
        """Takes output; returns what to type now. Sets `met` and `panicked`."""
        self.text += data
        answer = b""
        while self.steps:
            match = self.steps[0][0].search(self.text, self.at)
            if not match:
                break
            self.at = match.end()
            answer += self.steps.pop(0)[1]
        if not self.steps and self.until and self.until.search(self.text, self.at):
            self.met = True
        if PANIC.search(self.text, self.panic_at):
            self.panicked = True
        self.forget()
        return answer

    def forget(self):
        self.panic_at = max(self.panic_at, len(self.text) - len(b"PANIC:") + 1)
        if len(self.text) > 4 * KEEP:
            gone = len(self.text) - KEEP
            self.text = self.text[gone:]
            self.at, self.panic_at = max(0, self.at - gone), max(0, self.panic_at - gone)

    def waiting_for(self):
        """The expression that has not come yet, or None."""
        if self.steps:
            return self.steps[0][0].pattern.decode()
        return self.until.pattern.decode() if self.until and not self.met else None
