/*
 * A guest that notices when anybody else writes its memory: it marks all of it from 16 MiB on, in
 * each block of 512 bytes (what a disk writes at least), and looks through it again and again.
 * `mib=N` on the command line is the end of its memory.
 */
#include "small.h"

#define FIRST 0x1000000ull /* above the guest itself */
#define BLOCK 512ull

static u64 end_of_memory(const char *cmdline)
{
	u64 mib = 0;

	while (*cmdline && *cmdline != '=')
		cmdline++;
	while (*cmdline && *++cmdline >= '0' && *cmdline <= '9')
		mib = mib * 10 + (u64)(*cmdline - '0');
	return mib << 20;
}

/* What stands at `address`: nowhere else, and never 0. */
static u64 mark(u64 address)
{
	return ~address;
}

void small_main(const char *cmdline)
{
	u64 end = end_of_memory(cmdline);

	for (u64 at = FIRST; at < end; at += BLOCK)
		*(volatile u64 *)at = mark(at);
	for (u64 pass = 0;; pass++) {
		put_text("keeper: pass ");
		put_number(pass);
		put_text("\n");
		for (u64 at = FIRST; at < end; at += BLOCK) {
			if (*(volatile u64 *)at == mark(at))
				continue;
			put_text("keeper: somebody wrote ");
			put_hex(at);
			put_text("\n");
			*(volatile u64 *)at = mark(at);
		}
	}
}
