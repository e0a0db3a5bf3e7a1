/* Says hello and switches the machine off; with `halt` on its command line it halts instead, with
 * `reset` it resets, with `fault` it makes its VMM die: first once, then each that handles it. */
#include "small.h"

#define RESET_CONTROL 0xcf9u
#define RESET_FULL    0x06u
#define FAULT         0xe000u /* bulkhead,fault */

void small_main(const char *cmdline)
{
	put_text("hello from a small guest: ");
	put_text(cmdline);
	put_text("\n");
	if (has_word(cmdline, "reset"))
		out8(RESET_CONTROL, RESET_FULL);
	if (has_word(cmdline, "fault")) {
		out8(FAULT, 1);
		put_text("its VMM died once\n");
		out8(FAULT, 2);
	}
	while (has_word(cmdline, "halt"))
		__asm__ volatile("hlt");
}
