/* The operator's line editor. */
#include "drivers/lib/lib.h"
#include "drivers/root/prompt.h"

#define PROMPT "bulkhead> "

#define KEY_CTRL_C    0x03
#define KEY_CTRL_D    0x04
#define KEY_BACKSPACE 0x08
#define KEY_CTRL_L    0x0c
#define KEY_CTRL_U    0x15
#define KEY_DELETE    0x7f

static void say(const struct prompt *p, const char *text)
{
	p->print(text, (u32)strlen(text));
}

static void rub_out(struct prompt *p)
{
	if (p->length == 0)
		return;
	p->length--;
	say(p, "\b \b");
}

void prompt_hide(struct prompt *p)
{
	if (p->open)
		say(p, "\r\033[K"); /* erase to the end of the line */
}

void prompt_show(struct prompt *p)
{
	if (!p->open)
		return;
	say(p, PROMPT);
	p->print(p->line, p->length);
}

/* The first key shows the prompt, if the console has not asked for it. */
static void open_prompt(struct prompt *p)
{
	if (p->open)
		return;
	p->open = true;
	prompt_show(p);
}

void prompt_byte(struct prompt *p, u8 byte)
{
	bool after_cr = p->cr;

	p->cr = byte == '\r';
	if (byte == '\n' && after_cr)
		return;
	switch (byte) {
	case '\r':
	case '\n':
		say(p, "\r\n");
		p->line[p->length] = 0;
		p->length = 0;
		p->open = false;
		p->command(p->line);
		p->open = true;
		say(p, PROMPT);
		break;
	case KEY_BACKSPACE:
	case KEY_DELETE:
		rub_out(p);
		break;
	case KEY_CTRL_U:
		while (p->length > 0)
			rub_out(p);
		break;
	case KEY_CTRL_C:
		p->length = 0;
		say(p, "^C\r\n" PROMPT);
		break;
	case KEY_CTRL_D:
		prompt_hide(p);
		p->open = false;
		break;
	case KEY_CTRL_L:
		prompt_hide(p);
		p->open = true;
		prompt_show(p);
		break;
	default:
		if (byte < ' ' || byte > '~' || p->length == PROMPT_LINE_MAX)
			break;
		open_prompt(p);
		p->line[p->length++] = (char)byte;
		p->print((const char *)&byte, 1);
	}
}
