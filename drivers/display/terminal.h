/*
 * A terminal: bytes to cells. What programs for `TERM=linux`, vt102 or xterm send is understood as
 * far as it concerns text:
 *   ECMA-48 5th edition, 8.3: BS HT LF CR SO SI; CUU CUD CUF CUB CNL CPL CHA CUP HVP VPA HPR VPR
 * CHT CBT HTS TBC; ED EL ECH ICH DCH IL DL SU SD REP; IND NEL RI RIS; SGR; DSR DA; SM and RM (IRM,
 *     LNM)
 *   DEC STD 070: DECSC DECRC DECSTBM DECOM DECAWM DECTCEM DECCKM DECALN DECSTR, special graphics
 *   xterm: the second screen (?47, ?1047, ?1049), 256 and true colours, shown as the nearest of 16
 *   UTF-8; what is not in the basic plane is shown as U+FFFD; wide characters take two columns
 * Control strings (OSC, DCS, PM, APC, SOS) are read over. Pure: it has no memory but the state's.
 */
#pragma once

#include "drivers/display/grid.h"

#define TERMINAL_PARAMETERS 16u
#define TERMINAL_ANSWERS    64u

struct terminal_pen {
	u32 row, column;
	u16 look;
	u8 graphics[2]; /* G0, G1: DEC special graphics? */
	u8 shift;       /* which of them is used */
	u8 origin;      /* DECOM */
};

/* All of it stays over a restart of the program. */
struct terminal {
	u32 magic;
	struct terminal_pen pen;
	struct terminal_pen saved;
	u32 top, bottom; /* of the scrolling region, inclusive */
	u8 wrap_next;    /* the last column was written: the next character goes to the next line */
	u8 autowrap;
	u8 insert;
	u8 newline;      /* LNM */
	u8 cursor_shown; /* DECTCEM */
	u8 cursor_keys;  /* DECCKM: cursor keys send SS3 */
	u16 last;        /* the last character, for REP */
	u8 tab[GRID_COLUMNS_MAX / 8];

	/* of what is being read */
	u8 state;
	u8 private; /* the parameters' prefix, < = > ?, or 0 */
	u8 intermediate;
	u8 parameters;
	u32 parameter[TERMINAL_PARAMETERS]; /* at most 9999 */
	u32 code;                           /* of an UTF-8 character, so far */
	u32 least;                          /* value that it must have at least */
	u8 missing;                         /* bytes of it */

	u8 answers; /* bytes for whoever wrote: DSR, DA */
	char answer[TERMINAL_ANSWERS];

	u64 grid_bytes;
	struct grid grid; /* is last: its cells follow */
};

/*
 * Takes up the terminal that lies in `size` bytes at `t` if it is one of that shape, or makes one.
 * True if it was there. *ok is false if the memory is too small.
 */
bool terminal_open(struct terminal *t, u64 size, u32 columns, u32 rows, bool *ok);

/* Handles bytes. */
void terminal_write(struct terminal *t, const char *bytes, u32 count);

/* Takes up to `size` bytes of answers. */
u32 terminal_answer(struct terminal *t, char *bytes, u32 size);

/* --- control.c, for parse.c --- */

/* Shows a character; does a C0 control, an escape sequence, a control sequence. */
void terminal_print(struct terminal *t, u32 code);
void terminal_control(struct terminal *t, u8 byte);
void terminal_escape(struct terminal *t, u8 final);
void terminal_sequence(struct terminal *t, u8 final);

/* As after switching on (RIS), but for what is on the screen. */
void terminal_reset(struct terminal *t);

/* --- colour.c --- */

/* SGR: changes the pen's look by the parameters. */
void terminal_rendition(struct terminal *t);
