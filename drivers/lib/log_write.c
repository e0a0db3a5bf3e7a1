/* The way of a program's log lines: a call to root. */
#include "drivers/lib/lib.h"
#include "drivers/protocols/root.h"

#define TRIES        50
#define PAUSE_CYCLES 1000000ull /* some hundred microseconds */

void log_write(const char *line, size_t size)
{
	const struct start_thread *self = thread_self();

	for (int i = 0; i < TRIES; i++) {
		struct ipc_words io = {
			.word = {ROOT_LOG, size},
			.message_words = (u32)((size + 7) / 8),
		};
		u64 bits;

		memcpy((void *)self->message, line, size);
		if (sys_ipc_call(self->root_port, &io) != STATUS_OK || io.word[0] != STATUS_BUSY)
			return;
		/* Root is behind, or takes no more lines of this program at once (root/pace.h):
		 * it waits here, and loses the line at last. */
		sys_event_wait(0, tsc_now() + PAUSE_CYCLES, &bits);
	}
}
