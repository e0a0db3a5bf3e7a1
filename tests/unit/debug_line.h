/* The other end of a VMM's debugger line: packets to it, and what it answered. */
#pragma once

#include "drivers/protocols/console.h"
#include "tests/unit/machine_host.h"

extern struct console_session line_session;

/* Makes a machine with a line; its vCPUs are not held. Returns the first vCPU. */
struct vcpu *line_setup(u32 vcpus);

/* Opens the line, once more if need be; with it, the guest waits for a debugger. */
void line_open(void);
void line_open_waiting(void);

/* Attaches by a `?`; all vCPUs are held then. True: the answer was as it should be. */
bool line_attach(void);

/* Puts bytes, or a packet with its checksum, onto the line. */
void line_send(const char *bytes, u32 count);
void line_packet(const char *text);

/* Holds the vCPUs that are to be held, and has the line attended to. */
void line_hold(void);

/* One that was resumed leaves its hold. */
void line_leave(struct vcpu *v);

/* All that was answered since the last call, as it was on the line. */
char *line_answer(void);

/* The data of the packet that was answered since. */
char *line_data(void);

/* Sends a packet; the data of the answer's, "" if there was none. */
char *line_ask(const char *text);

/* The data of the next packet, without a question, when the vCPUs are held. */
char *line_next(void);

#define ASK(text, answer)                                                                          \
	do {                                                                                       \
		const char *got_ = line_ask(text);                                                 \
		if (strcmp(got_, answer) != 0)                                                     \
			test_fail(__FILE__, __LINE__, "%s: %s", #text, got_);                      \
	} while (0)

#define EXPECT(answer)                                                                             \
	do {                                                                                       \
		const char *got_ = line_next();                                                    \
		if (strcmp(got_, answer) != 0)                                                     \
			test_fail(__FILE__, __LINE__, "%s, not %s", got_, answer);                 \
	} while (0)

#define SAID(answer)                                                                               \
	do {                                                                                       \
		const char *got_ = line_data();                                                    \
		if (strcmp(got_, answer) != 0)                                                     \
			test_fail(__FILE__, __LINE__, "%s, not %s", got_, answer);                 \
	} while (0)
