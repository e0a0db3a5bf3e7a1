/* What IOMMUs have refused: lines in the log, and the end of the program whose function tried it.
 */
#pragma once

#include "drivers/lib/lib.h"

struct member;

/*
 * Takes what is new from the kernel. A flood makes a few lines a second, and the rest is counted. A
 * domain that runs is ended at the first access that counts against it (fault_counts), unless its
 * node says `dma-faults-allowed`; see drivers/README.md.
 */
void faults_run(void);

/* When faults_run is to be called though nothing happened. */
cycles_t faults_deadline(void);

/* A fresh program of `m` is about to begin, its functions are quiet: what they did until now counts
 * against it no more. */
void faults_begin(const struct member *m);

/* --- faults_text.c: pure --- */

#define FAULT_LINE 160

/* A fault as a line; `owner` is the name of whoever has the function, NULL: nobody. */
void fault_text(const struct msg_dma_fault *f, const char *owner, char line[FAULT_LINE]);

/*
 * True if only a program that is wrong, or a device that is, makes such an access: to what it was
 * not given. One of a function that is not started may be what was under way when it was stopped.
 */
bool fault_counts(const struct msg_dma_fault *f);
