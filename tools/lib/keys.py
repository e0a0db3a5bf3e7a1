"""Text to keys of a US keyboard, for machines that are used from their screen.

A key is (modifiers, name) in QEMU's words; in the text, `<alt-f2>` or `<up>` names one.
"""

import re

NAMED = re.compile(rb"<((?:(?:shift|ctrl|alt)-)*)([a-z0-9_]{2,}|[a-z0-9])>")
NAMES = {"pgup", "pgdn", "home", "end", "up", "down", "left", "right", "insert", "delete", "esc", "tab", "ret",
         "backspace", "caps_lock", "num_lock", "spc", *(f"f{n}" for n in range(1, 13))}
PLAIN = {" ": "spc", "-": "minus", "=": "equal", "[": "bracket_left", "]": "bracket_right", "\\": "backslash",
         ";": "semicolon", "'": "apostrophe", "`": "grave_accent", ",": "comma", ".": "dot", "/": "slash",
         "\r": "ret", "\n": "ret", "\t": "tab", "\x1b": "esc", "\x7f": "backspace"}
SHIFTED = dict(zip('!@#$%^&*()_+{}|:"~<>?', "1234567890-=[]\\;'`,./"))


def key_of(one):
    """The key for a character, or None."""
    if one.isascii() and (one.islower() or one.isdigit()):
        return (), one
    if one in PLAIN:
        return (), PLAIN[one]
    if one in SHIFTED:
        return ("shift",), key_of(SHIFTED[one])[1]
    if one.isascii() and one.isupper():
        return ("shift",), one.lower()
    code = ord(one)
    return (("ctrl",), key_of(chr(code | 0x60 if 0 < code < 27 else code | 0x40))[1]) if code < 0x20 else None


def keys_of(text):
    """The keys for bytes, in order; bytes that no key gives are left out."""
    found, at = [], 0
    while at < len(text):
        match = NAMED.match(text, at)
        name = match.group(2).decode() if match else None
        if match and (name in NAMES or (len(name) == 1 and match.group(1))):
            found.append((tuple(match.group(1).decode().split("-")[:-1]), name))
            at = match.end()
            continue
        key = key_of(chr(text[at]))
        found += [key] if key else []
        at += 1
    return found
