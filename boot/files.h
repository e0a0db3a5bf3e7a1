/* Reads files of the boot volume into memory, with progress on the console. */
#pragma once

#include "kernel/abi/boot.h"
#include "kernel/abi/status.h"

/* Opens the folder \bulkhead on the volume that the loader came from. Says what is wrong if it
 * fails. */
status_t files_open(void);

void files_close(void);

/*
 * Reads the file file->name whole into pages of its own and fills in the rest of *file. Returns OK,
 * or NOT_FOUND, DAMAGED or NO_MEMORY after a message with the remedy; *file then owns no pages.
 */
status_t files_read(struct boot_file *file);

/* Gives back the pages of a file; one that was not read has none. */
void files_free(struct boot_file *file);
