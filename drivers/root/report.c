/* The text of a death: exception, place and registers. */
#include "drivers/lib/lib.h"
#include "drivers/root/report.h"

/* SDM vol. 3, table 6-1. */
static const char *const vector_name[32] = {
	"division by zero",
	"debug exception",
	"NMI",
	"breakpoint",
	"overflow",
	"bound range exceeded",
	"invalid opcode",
	"no FPU",
	"double fault",
	"coprocessor overrun",
	"invalid TSS",
	"segment not present",
	"stack fault",
	"general protection fault",
	"page fault",
	NULL,
	"x87 error",
	"alignment check",
	"machine check",
	"SIMD error",
	"virtualization exception",
	"control protection fault",
};

u32 report_make(const struct msg_thread *t, char lines[REPORT_LINES][REPORT_LINE])
{
	static const char name[16][4] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
		"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
	const char *what = t->vector < 32 ? vector_name[t->vector] : NULL;
	u32 n = 0;
	int at;

	if (t->fault == FAULT_EXIT) {
		format(lines[n++], REPORT_LINE, "ended with code %lu", t->error);
		return n;
	}
	if (t->fault != FAULT_EXCEPTION) {
		format(lines[n++], REPORT_LINE, "stopped at rip %#lx", t->rip);
		return n;
	}
	at = format(lines[n], REPORT_LINE, "died: %s (vector %u, error %#lx",
		what ? what : "exception", t->vector, t->error);
	if (t->vector == VECTOR_PAGE_FAULT)
		at += format(
			lines[n] + at, (size_t)(REPORT_LINE - at), ", address %#lx", t->address);
	format(lines[n++] + at, (size_t)(REPORT_LINE - at), ") at rip %#lx, rflags %#lx", t->rip,
		t->rflags);
	for (int i = 0; i < 16; i += 4, n++) {
		at = 0;
		for (int k = i; k < i + 4; k++)
			at += format(lines[n] + at, (size_t)(REPORT_LINE - at), "%s%s %#lx",
				k > i ? ", " : "", name[k], t->gpr[k]);
	}
	return n;
}
