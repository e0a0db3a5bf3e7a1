/*
 * Bytes to characters and control functions. The states are those of ECMA-48, 5.4 and 5.6: an
 * escape sequence is ESC, intermediates, final; a control sequence CSI, parameters, intermediates,
 * final. Controls within a sequence are done at once; CAN and SUB end it.
 */
#include "drivers/display/terminal.h"
#include "drivers/lib/lib.h"

#define MAGIC         0x4d524554u
#define CAN           0x18
#define SUB           0x1a
#define ESC           0x1b
#define BEL           0x07
#define REPLACEMENT   0xfffdu
#define PARAMETER_MAX 9999u

enum state {
	GROUND = 0,
	ESCAPE,
	SEQUENCE, /* after CSI */
	IGNORE,   /* a control sequence that is wrong, to its final */
	STRING,   /* a control string, to ST or BEL */
	STRING_ESCAPE,
	STATES,
};

/* The first byte of a character, or a character of one byte. RFC 3629, 3. */
static void text_first(struct terminal *t, u8 byte)
{
	if (byte < 0x80) {
		terminal_print(t, byte);
	} else if (byte >= 0xc2 && byte < 0xf5) {
		t->missing = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
		t->code = byte & (0x3f >> t->missing);
		t->least = t->missing == 1 ? 0x80 : t->missing == 2 ? 0x800 : 0x10000;
	} else {
		terminal_print(t, REPLACEMENT);
	}
}

static void text(struct terminal *t, u8 byte)
{
	if (t->missing == 0) {
		text_first(t, byte);
		return;
	}
	if ((byte & 0xc0) != 0x80) { /* it was cut: this byte begins another */
		t->missing = 0;
		terminal_print(t, REPLACEMENT);
		text_first(t, byte);
		return;
	}
	t->code = t->code << 6 | (byte & 0x3f);
	if (--t->missing > 0)
		return;
	if (t->code < t->least || (t->code >= 0xd800 && t->code < 0xe000) || t->code > 0x10ffff)
		t->code = REPLACEMENT;
	terminal_print(t, t->code);
}

static void begin(struct terminal *t, enum state state)
{
	t->state = (u8)state;
	t->private = 0;
	t->intermediate = 0;
	t->parameters = 0;
	memset(t->parameter, 0, sizeof(t->parameter));
}

static void escape(struct terminal *t, u8 byte)
{
	if (byte >= 0x20 && byte < 0x30) {
		t->intermediate = byte;
		return;
	}
	t->state = GROUND;
	if (t->intermediate == 0 && byte == '[')
		begin(t, SEQUENCE);
	else if (t->intermediate == 0 && strchr("]PX^_", byte))
		t->state = STRING;
	else
		terminal_escape(t, byte);
}

static void parameter(struct terminal *t, u8 byte)
{
	u32 *value;

	if (t->parameters == 0)
		t->parameters = 1;
	if (byte == ';' || byte == ':') {
		if (t->parameters < TERMINAL_PARAMETERS)
			t->parameters++;
		else
			t->state = IGNORE;
		return;
	}
	value = &t->parameter[t->parameters - 1];
	*value = *value * 10 + (byte - '0');
	if (*value > PARAMETER_MAX)
		*value = PARAMETER_MAX;
}

static void sequence(struct terminal *t, u8 byte)
{
	if (byte >= 0x40) {
		bool whole = t->state == SEQUENCE;

		t->state = GROUND;
		if (whole && byte != 0x7f)
			terminal_sequence(t, byte);
	} else if (byte < 0x30) {
		t->intermediate = byte;
	} else if (byte >= '<') {
		if (t->parameters > 0 || t->private)
			t->state = IGNORE;
		t->private = byte;
	} else if (t->intermediate) {
		t->state = IGNORE;
	} else {
		parameter(t, byte);
	}
}

static void control(struct terminal *t, u8 byte)
{
	if (t->missing) {
		t->missing = 0;
		terminal_print(t, REPLACEMENT);
	}
	if (byte == ESC)
		begin(t, t->state == STRING ? STRING_ESCAPE : ESCAPE);
	else if (byte == CAN || byte == SUB || (byte == BEL && t->state == STRING))
		t->state = GROUND;
	else if (t->state != STRING)
		terminal_control(t, byte);
}

static void take(struct terminal *t, u8 byte)
{
	if (byte < 0x20) {
		control(t, byte);
		return;
	}
	switch (t->state) {
	case GROUND:
		if (byte != 0x7f)
			text(t, byte);
		break;
	case ESCAPE:
		escape(t, byte);
		break;
	case STRING:
		break;
	case STRING_ESCAPE: /* ESC \ is ST; another ESC sequence ends the string too */
		t->state = ESCAPE;
		if (byte == '\\')
			t->state = GROUND;
		else
			escape(t, byte);
		break;
	default:
		sequence(t, byte);
	}
}

void terminal_write(struct terminal *t, const char *bytes, u32 count)
{
	for (u32 i = 0; i < count; i++)
		take(t, (u8)bytes[i]);
}

u32 terminal_answer(struct terminal *t, char *bytes, u32 size)
{
	u32 n = t->answers < size ? t->answers : size;

	memcpy(bytes, t->answer, n);
	memmove(t->answer, t->answer + n, t->answers - n);
	t->answers = (u8)(t->answers - n);
	return n;
}

static bool pen_valid(const struct terminal *t, const struct terminal_pen *p)
{
	return p->row < t->grid.rows && p->column < t->grid.columns && p->shift < 2;
}

static bool valid(const struct terminal *t, u64 bytes, u32 columns, u32 rows)
{
	return t->magic == MAGIC && t->grid_bytes == bytes &&
	       grid_valid(&t->grid, bytes, columns, rows) && pen_valid(t, &t->pen) &&
	       pen_valid(t, &t->saved) && t->top < t->bottom + 1 && t->bottom < rows &&
	       t->state < STATES && t->parameters <= TERMINAL_PARAMETERS && t->missing <= 3 &&
	       t->answers <= TERMINAL_ANSWERS;
}

bool terminal_open(struct terminal *t, u64 size, u32 columns, u32 rows, bool *ok)
{
	u64 bytes = size - offsetof(struct terminal, grid);

	*ok = size >= sizeof(*t);
	if (*ok && valid(t, bytes, columns, rows))
		return true;
	if (!*ok)
		return false;
	memset(t, 0, sizeof(*t));
	*ok = grid_init(&t->grid, bytes, columns, rows);
	if (!*ok)
		return false;
	t->grid_bytes = bytes;
	terminal_reset(t);
	t->magic = MAGIC;
	return false;
}
