/* The end of a program. */
#include "drivers/lib/lib.h"

void program_exit(u64 code)
{
	for (;;)
		sys_sys_ctl(CAP_NULL, SYS_CTL_EXIT, code, 0, 0, NULL);
}
