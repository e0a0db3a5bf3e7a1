/* The session of a keyboard's driver: see session.h. */
#include <libfdt.h>

#include "drivers/keyboard/session.h"
#include "drivers/lib/loop.h"

/* The node's `layout`, or "us". */
static const char *layout(const struct start_info *info)
{
	const struct start_resource *r = start_find(info, START_CONFIG, 0);
	const char *name;
	int size;

	if (!r || fdt_check_full((const void *)r->address, r->size) != 0)
		return "us";
	name = fdt_getprop((const void *)r->address, 0, "layout", &size);
	return name && size > 0 && name[size - 1] == 0 ? name : "us";
}

void keyboard_session_open(struct keyboard_session *s, const struct start_info *info)
{
	const struct start_resource *r;

	*s = (struct keyboard_session){0};
	for (u32 i = 0; !s->open && (r = start_find(info, START_SESSION, i)) != NULL; i++) {
		if (r->role != START_SERVER || strcmp(r->protocol, "serial") != 0)
			continue;
		s->channel = channel_open(r);
		s->open = true;
	}
	if (!keyboard_init(&s->keyboard, layout(info)) && s->open)
		log_line(
			"there is no layout \"%.16s\": the keys are those of \"us\"", layout(info));
}

void keyboard_session_key(struct keyboard_session *s, u8 usage, bool pressed)
{
	u8 bytes[KEYBOARD_BYTES];
	u32 n = keyboard_key(&s->keyboard, usage, pressed, bytes);

	if (n > 0 && channel_room(&s->channel) >= n)
		channel_write(&s->channel, bytes, n);
}

void keyboard_session_look(struct keyboard_session *s)
{
	if (s->open)
		loop_look_at(&s->channel, &s->broken);
}
