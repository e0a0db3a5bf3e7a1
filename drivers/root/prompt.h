/* The operator's line editor: bytes in, echo out, whole lines to a function. Pure. */
#pragma once

#include "kernel/abi/types.h"

#define PROMPT_LINE_MAX 120u

struct prompt {
	void (*print)(const char *text, u32 size); /* to the operator's console */
	void (*command)(char *line); /* a whole line, NUL-terminated, may be changed */
	u32 length;
	bool open; /* the prompt is on the screen, behind the last line */
	bool cr;   /* the last byte was a carriage return: a line feed after it is no second line */
	char line[PROMPT_LINE_MAX + 1];
};

/*
 * Takes one byte: printable ones are echoed; CR or LF runs the line; BS and DEL take back one
 * character, ^U all; ^L shows prompt and line anew and ^D puts them away (the console server sends
 * these when the operator comes and goes).
 */
void prompt_byte(struct prompt *p, u8 byte);

/* Clears the line on the screen for other text, and shows it again; both do nothing while no prompt
 * is shown. */
void prompt_hide(struct prompt *p);
void prompt_show(struct prompt *p);
