/* The text of a death. Pure. */
#pragma once

#include "kernel/abi/syscall.h"

#define REPORT_LINES 5
#define REPORT_LINE  160

#define VECTOR_PAGE_FAULT 14

/*
 * Writes why a thread stopped, and for an exception its registers, as lines for the log. Returns
 * their number, at most REPORT_LINES.
 */
u32 report_make(const struct msg_thread *t, char lines[REPORT_LINES][REPORT_LINE]);
