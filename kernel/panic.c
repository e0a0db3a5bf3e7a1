/* The end: registers, a symbolised backtrace and the last log lines on the serial port and the
 * screen. */
#include <stdarg.h>
#include "kernel/kernel.h"

u32 panicking;

struct symbol { /* Elf64_Sym; the loader has left functions only, with names that exist */
	u32 name, reserved;
	u64 value, size;
};

static void print_symbol(u64 address)
{
	u64 count = boot ? boot->symtab_size / sizeof(struct symbol) : 0;
	const struct symbol *s = count ? window_va(boot->symtab) : NULL;
	const struct symbol *best = NULL;

	for (u64 i = 0; i < count; i++)
		if (s[i].value <= address && (!best || s[i].value > best->value))
			best = &s[i];
	log_text("  %016lx", address);
	if (best && address < (u64)image_end)
		log_text(" %s+0x%lx", (const char *)window_va(boot->strtab) + best->name,
			address - best->value);
	log_text("\n");
}

static bool is_stack(u64 p)
{
	return IS_ALIGNED(p, 8) &&
	       ((p >= AREA_BASE && p < AREA_BASE + AREA_STRIDE * BOOT_MAX_CPUS) ||
		       (p >= (u64)image_start && p < (u64)image_end));
}

static void backtrace(u64 rbp, u64 rip)
{
	log_text("backtrace:\n");
	if (rip)
		print_symbol(rip);
	for (int i = 0; i < 24 && is_stack(rbp) && is_stack(rbp + 8); i++) {
		const u64 *frame = (const u64 *)rbp;

		if (!frame[1])
			break;
		print_symbol(frame[1]);
		if (frame[0] <= rbp)
			break;
		rbp = frame[0];
	}
}

static bool panic_begin(void)
{
	if (__atomic_exchange_n(&panicking, 1, __ATOMIC_SEQ_CST))
		return false;
	for (unsigned i = 0; i < cpu_count; i++)
		if (cpus[i] != cpu_self())
			lapic_ipi(cpus[i]->apic_id, VECTOR_IPI);
	log_quiet(false);
	log_tail();
	return true;
}

void halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

void panic(const char *format, ...)
{
	va_list args;

	if (panic_begin()) {
		log_text("PANIC: ");
		va_start(args, format);
		log_text_v(format, args);
		va_end(args);
		log_text("\ncpu %u cr2 %016lx cr3 %016lx\n", cpu_count ? cpu_self()->index : 0,
			read_cr2(), read_cr3());
		backtrace((u64)__builtin_frame_address(0), 0);
	}
	halt();
}

void must(status_t s, const char *what)
{
	if (s != STATUS_OK)
		panic("%s: %s", what, status_text(s));
}

void panic_regs(const u64 *f, const char *what)
{
	static const char *const names[] = {"r15", "r14", "r13", "r12", "r11", "r10", "r9 ", "r8 ",
		"rdi", "rsi", "rbp", "rbx", "rdx", "rcx", "rax"};

	if (panic_begin()) {
		log_text("PANIC: %s in the kernel, vector %lu error %lx\n", what, f[15], f[16]);
		log_text("rip %016lx cs %lx rflags %lx rsp %016lx cr2 %016lx cr3 %016lx\n", f[17],
			f[18], f[19], f[20], read_cr2(), read_cr3());
		for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
			log_text("%s %016lx%s", names[i], f[i], i % 4 == 3 ? "\n" : " ");
		log_text("\n");
		backtrace(f[10], f[17]);
	}
	halt();
}
