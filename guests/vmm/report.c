/* A vCPU's registers in the log, when the guest cannot go on. */
#include "vcpu.h"
#include "console.h"
#include "guests/vmm/debug/debug.h"
#include "guests/vmm/cpu/emulate.h"
#include "lock.h"

#define CODE_BYTES 16
#define REASON_MAX 120

static void report_segment(const char *name, const struct run_segment *s)
{
	log_line("  %s %04x base %016llx limit %08x attributes %03x", name, s->selector,
		(unsigned long long)s->base, s->limit, s->attributes);
}

static void report_code(struct vcpu *v)
{
	static const char digits[] = "0123456789abcdef";
	u8 code[CODE_BYTES];
	char text[3 * CODE_BYTES + 1];
	u32 count = emulate_peek(v, code, sizeof(code));

	for (u32 i = 0; i < count; i++) {
		text[3 * i] = ' ';
		text[3 * i + 1] = digits[code[i] >> 4];
		text[3 * i + 2] = digits[code[i] & 15];
	}
	text[3 * count] = 0;
	log_line("  code at rip:%s", count ? text : " not readable");
}

void vcpu_report(struct vcpu *v, const char *what)
{
	static const char names[16][4] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
		"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
	struct run_page *run = v->run;
	unsigned long long g[16];

	vcpu_need(v, GROUP_ALL_REG);
	for (u32 i = 0; i < 16; i++)
		g[i] = run->gpr[i];
	log_line("vcpu %u %s", v->index, what);
	log_line("  exit %u, number %llu, length %u, details %llx %llx %llx", run->exit_kind,
		(unsigned long long)run->sequence, run->exit_length,
		(unsigned long long)run->exit.raw[0], (unsigned long long)run->exit.raw[1],
		(unsigned long long)run->exit.raw[2]);
	for (u32 i = 0; i < 16; i += 4)
		log_line("  %s %016llx %s %016llx %s %016llx %s %016llx", names[i], g[i],
			names[i + 1], g[i + 1], names[i + 2], g[i + 2], names[i + 3], g[i + 3]);
	log_line("  rip %016llx rflags %08llx shadow %x activity %u inject %llx",
		(unsigned long long)run->rip, (unsigned long long)run->rflags, run->shadow,
		run->activity, (unsigned long long)run->inject);
	log_line("  cr0 %08llx cr2 %016llx cr3 %016llx cr4 %08llx efer %04llx xcr0 %llx",
		(unsigned long long)run->cr0, (unsigned long long)run->cr2,
		(unsigned long long)run->cr3, (unsigned long long)run->cr4,
		(unsigned long long)run->efer, (unsigned long long)run->xcr0);
	report_segment("cs  ", &run->cs);
	report_segment("ss  ", &run->ss);
	report_segment("ds  ", &run->ds);
	report_segment("es  ", &run->es);
	report_segment("fs  ", &run->fs);
	report_segment("gs  ", &run->gs);
	report_segment("tr  ", &run->tr);
	report_segment("ldtr", &run->ldtr);
	log_line("  gdtr base %016llx limit %04x idtr base %016llx limit %04x",
		(unsigned long long)run->gdtr.base, run->gdtr.limit,
		(unsigned long long)run->idtr.base, run->idtr.limit);
	report_code(v);
}

void vcpu_fail(struct vcpu *v, const char *why)
{
	char text[REASON_MAX];

	if (v->machine->stop || v->debug.why == DEBUG_WHY_FAILED)
		return;
	if (!debug_failed(v))
		machine_end(v->machine, MACHINE_FAILED);
	machine_lock(v);
	console_flush(v->machine);
	console_publish(v->machine); /* so that what the guest wrote comes before the report */
	format(text, sizeof(text), "stopped: %s", why);
	vcpu_report(v, text);
}
