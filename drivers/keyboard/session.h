/* The session of a keyboard's driver with the screen: `serial`, of which the client reads the bytes
 * of keys (protocols/display.h). */
#pragma once

#include "drivers/keyboard/keyboard.h"
#include "drivers/lib/channel.h"

struct keyboard_session {
	bool open;
	bool broken;
	struct channel channel;
	struct keyboard keyboard;
};

/* Opens the program's session, if it has one, with the `layout` of its node. */
void keyboard_session_open(struct keyboard_session *s, const struct start_info *info);

/* A key was pressed, repeats, or was released. What finds no room is lost as a whole. */
void keyboard_session_key(struct keyboard_session *s, u8 usage, bool pressed);

/* Tells root of a session that has just been found broken. To be called in each turn. */
void keyboard_session_look(struct keyboard_session *s);
