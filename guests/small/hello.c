/* Says hello and switches the machine off; with `halt` on its command line it halts instead, with
 * `reset` it resets. */
#include "small.h"

#define RESET_CONTROL 0xcf9u
#define RESET_FULL    0x06u

void small_main(const char *cmdline)
{
	put_text("hello from a small guest: ");
	put_text(cmdline);
	put_text("\n");
	if (has_word(cmdline, "reset"))
		out8(RESET_CONTROL, RESET_FULL);
	while (has_word(cmdline, "halt"))
		__asm__ volatile("hlt");
}
