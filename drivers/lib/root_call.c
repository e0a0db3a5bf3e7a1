/* Calls to root beside the log's. */
#include "drivers/lib/lib.h"
#include "drivers/protocols/root.h"

#define PAUSE_CYCLES 1000000ull /* some hundred microseconds */

void root_call(u32 what, u64 value, u32 tries)
{
	for (u32 i = 0; tries == 0 || i < tries; i++) {
		struct ipc_words words = {.word = {what, value}};
		u64 bits;

		if (sys_ipc_call(thread_self()->root_port, &words) != STATUS_OK ||
			words.word[0] != STATUS_BUSY)
			return;
		sys_event_wait(0, tsc_now() + PAUSE_CYCLES, &bits);
	}
}
