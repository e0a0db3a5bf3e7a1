/* The one list of status codes that the kernel and the services return. */
#pragma once

#include "types.h"

/* X(name, value, text) */
#define STATUS_LIST(X)                                                                             \
	X(OK, 0, "success")                                                                        \
	X(EVENT, 1, "an event bit of the mask is set")                                             \
	X(TIMEOUT, 2, "the deadline passed")                                                       \
	X(BAD_CALL, 3, "no such system call or operation")                                         \
	X(BAD_CAP, 4, "the slot is out of range or was never filled")                              \
	X(GONE, 5, "the object was destroyed")                                                     \
	X(BAD_KIND, 6, "the capability names another kind of object")                              \
	X(DENIED, 7, "the capability lacks the right")                                             \
	X(BAD_ARG, 8, "an argument is out of range or malformed")                                  \
	X(NO_MEMORY, 9, "the paying domain's pool is empty")                                       \
	X(BUSY, 10, "the object is in use in a way that forbids this")                             \
	X(EXISTS, 11, "the slot or the address is taken already")                                  \
	X(BAD_CPU, 12, "the object belongs to another CPU")                                        \
	X(DEADLOCK, 13, "the call would wait for itself")                                          \
	X(BAD_STATE, 14, "the object is not in the state that this needs")                         \
	X(NOT_FOUND, 15, "nothing is there")                                                       \
	X(NOT_SUPPORTED, 16, "this machine or this version cannot do that")                        \
	X(OVERLAP, 17, "the range overlaps one that is given out")                                 \
	X(NO_SPACE, 18, "a fixed table is full")                                                   \
	X(DAMAGED, 19, "data failed a check")

typedef enum status {
#define STATUS_ENUM(name, value, text) STATUS_##name = (value),
	STATUS_LIST(STATUS_ENUM)
#undef STATUS_ENUM
} status_t;

/* Returns the text for `s`; never NULL, whatever `s` is. */
static inline const char *status_text(u64 s)
{
	switch (s) {
#define STATUS_CASE(name, value, text)                                                             \
	case (value):                                                                              \
		return text;
		STATUS_LIST(STATUS_CASE)
#undef STATUS_CASE
	}
	return "unknown status";
}
