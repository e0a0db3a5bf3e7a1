/* What IOMMUs have refused, as lines in the log. */
#pragma once

#include "drivers/lib/lib.h"

/* Takes what is new from the kernel; a flood makes a few lines a second, and the rest is counted.
 */
void faults_run(void);

/* When faults_run is to be called though nothing happened. */
cycles_t faults_deadline(void);

/* --- faults_text.c: pure --- */

#define FAULT_LINE 160

/* A fault as a line; `owner` is the name of whoever has the function, NULL: nobody. */
void fault_text(const struct msg_dma_fault *f, const char *owner, char line[FAULT_LINE]);
