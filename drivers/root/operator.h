/* The operator's console: root's end of its session with the console server. */
#pragma once

#include "drivers/root/member.h"

/* Gives root's end of the session its memory; `s` is the session whose client is root. */
status_t operator_attach(struct session *s);

/*
 * The console takes over from the kernel: the kernel becomes quiet, and from now on the log is
 * forwarded. To be called before the driver of the console's port runs, so that the two do not
 * write to it at once.
 */
void operator_take_over(void);

/* The console or its driver is gone for good: the kernel writes the log again. */
void operator_give_up(void);

/* True between the two. */
bool operator_is_up(void);

/* Queues text for the console; '\n' alone becomes a line end there. What finds no room is dropped
 * and counted. */
void operator_print(const char *text, u32 size);
void operator_printf(const char *text, ...) __attribute__((format(printf, 1, 2)));

/* The same for lines of the log: a prompt that is shown steps aside. They get half of the room. */
void operator_log(const char *text, u32 size);

/* Moves queued text into the ring and typed bytes to the prompt. */
void operator_run(void);

/* True if nothing waits to be shown. */
bool operator_is_drained(void);
