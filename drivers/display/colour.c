/* SGR (ECMA-48, 8.3.117; ISO 8613-6, 13.1.8): what characters look like. */
#include "drivers/display/terminal.h"

/* Colours of xterm's table of 256 that stand for the 16, by their parts of red, green and blue. */
static u32 nearest(u32 red, u32 green, u32 blue)
{
	u32 most = red > green ? red : green;
	u32 least;

	most = most > blue ? most : blue;
	least = red < green ? red : green;
	least = least < blue ? least : blue;
	if (most < 0x40)
		return 0;
	if (most - least < 0x28) /* a grey */
		return most < 0x90 ? 8 : most < 0xd8 ? 7 : 15;
	return (red > most / 2 + least / 4 ? 1u : 0) | (green > most / 2 + least / 4 ? 2u : 0) |
	       (blue > most / 2 + least / 4 ? 4u : 0) | (most > 0xd8 ? 8u : 0);
}

/* One of the 256: 16, a cube of 6 by 6 by 6, 24 greys. */
static u32 of_table(u32 i)
{
	static const u8 level[] = {0, 0x5f, 0x87, 0xaf, 0xd7, 0xff};

	if (i < 16)
		return i;
	if (i >= 232)
		return nearest(8 + (i - 232) * 10, 8 + (i - 232) * 10, 8 + (i - 232) * 10);
	i -= 16;
	return nearest(level[i / 36], level[i / 6 % 6], level[i % 6]);
}

/* The colour that 38 or 48 names from parameter *i on, which becomes its last one; 16: none. */
static u32 extended(const struct terminal *t, u32 *i)
{
	const u32 *p = &t->parameter[*i + 1];
	u32 left = t->parameters - *i - 1;

	if (left >= 2 && p[0] == 5) {
		*i += 2;
		return p[1] < 256 ? of_table(p[1]) : 16;
	}
	if (left >= 4 && p[0] == 2) {
		*i += 4;
		return nearest(p[1] & 0xff, p[2] & 0xff, p[3] & 0xff);
	}
	*i = t->parameters;
	return 16;
}

static void set_colour(u16 *look, bool background, u32 colour)
{
	if (colour > 15)
		return;
	if (background)
		*look = (u16)((*look & ~LOOK_BACKGROUND(15)) | LOOK_BACKGROUND(colour));
	else
		*look = (u16)((*look & ~LOOK_FOREGROUND(15)) | LOOK_FOREGROUND(colour));
}

static void set_flag(u16 *look, u32 parameter)
{
	switch (parameter) {
	case 1:
		*look |= LOOK_BOLD;
		break;
	case 4:
		*look |= LOOK_UNDERLINE;
		break;
	case 7:
		*look |= LOOK_REVERSE;
		break;
	case 8:
		*look |= LOOK_HIDDEN;
		break;
	case 21:
	case 22:
		*look &= (u16)~LOOK_BOLD;
		break;
	case 24:
		*look &= (u16)~LOOK_UNDERLINE;
		break;
	case 27:
		*look &= (u16)~LOOK_REVERSE;
		break;
	case 28:
		*look &= (u16)~LOOK_HIDDEN;
		break;
	default:
		break;
	}
}

void terminal_rendition(struct terminal *t)
{
	u16 *look = &t->pen.look;

	if (t->parameters == 0)
		*look = LOOK_PLAIN;
	for (u32 i = 0; i < t->parameters; i++) {
		u32 p = t->parameter[i];

		if (p == 0)
			*look = LOOK_PLAIN;
		else if (p == 38 || p == 48)
			set_colour(look, p == 48, extended(t, &i));
		else if (p >= 30 && p <= 39)
			set_colour(look, false, p == 39 ? 7 : p - 30);
		else if (p >= 40 && p <= 49)
			set_colour(look, true, p == 49 ? 0 : p - 40);
		else if (p >= 90 && p <= 97)
			set_colour(look, false, p - 90 + 8);
		else if (p >= 100 && p <= 107)
			set_colour(look, true, p - 100 + 8);
		else
			set_flag(look, p);
	}
}
