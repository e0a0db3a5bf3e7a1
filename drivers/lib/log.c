/* A program's log lines and its failed checks. */
#include "drivers/lib/lib.h"
#include "drivers/protocols/root.h"

void log_line(const char *text, ...)
{
	char line[ROOT_LOG_MAX + 1];
	va_list args;
	size_t size;

	va_start(args, text);
	size = (size_t)format_list(line, sizeof(line), text, args);
	va_end(args);
	log_write(line, size < sizeof(line) ? size : sizeof(line) - 1);
}

void check_failed(const char *file, int line, const char *what)
{
	log_line("%s:%d: check failed: %s", file, line, what);
	program_exit(1);
}

/* Called by code that was compiled with a stack protector, when it finds its frame overwritten. */
_Noreturn void __stack_chk_fail(void);

void __stack_chk_fail(void)
{
	log_line("stack overwritten");
	program_exit(1);
}
