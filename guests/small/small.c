/* The library of small guests. */
#include "small.h"

#define COM1         0x3f8u
#define COM1_LCR     (COM1 + 3)
#define COM1_LSR     (COM1 + 5)
#define LCR_8N1      0x03u
#define LSR_DR       0x01u
#define LSR_THRE     0x20u
#define GATES        256
#define GATE_PRESENT 0x8e00u /* interrupt gate, ring 0 */
#define CODE_64      0x08u
#define STUB_SIZE    16

struct gate {
	u16 low, selector, flags, middle;
	u32 high, reserved;
};

struct __attribute__((packed)) table_pointer {
	u16 limit;
	u64 base;
};

/* hvm_start_info of PVH */
struct pvh_info {
	u32 magic, version, flags, modules;
	u64 module_list, cmdline, rsdp, memmap;
};

struct fault fault;
u64 recover_rip;
u64 recover_rsp;
static struct gate idt[GATES];
static u32 passed, failed; /* put_verdict */
extern u8 trap_stubs[];

void small_start(const struct pvh_info *info);
void trap(struct trap_frame *frame);

void put_text(const char *text)
{
	for (; *text; text++) {
		while (!(in8(COM1_LSR) & LSR_THRE))
			;
		out8(COM1, (u8)*text);
	}
}

void put_number(u64 value)
{
	char text[21];
	char *p = text + sizeof(text) - 1;

	*p = 0;
	do {
		*--p = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	put_text(p);
}

void put_hex(u64 value)
{
	char text[17];
	char *p = text + sizeof(text) - 1;

	*p = 0;
	do {
		*--p = "0123456789abcdef"[value & 15];
		value >>= 4;
	} while (value);
	put_text(p);
}

void put_verdict(bool good)
{
	put_text(good ? "PASS " : "FAIL ");
	passed += good;
	failed += !good;
}

void put_sum(const char *guest)
{
	put_text(guest);
	put_text(": ");
	put_number(passed);
	put_text(" passed, ");
	put_number(failed);
	put_text(" failed\n");
}

void wait_key(void)
{
	while (!(in8(COM1_LSR) & LSR_DR))
		__asm__ volatile("pause");
	in8(COM1);
}

bool has_word(const char *cmdline, const char *word)
{
	while (*cmdline) {
		const char *w = word;

		while (*w && *cmdline == *w) {
			cmdline++;
			w++;
		}
		if (!*w && (*cmdline == ' ' || !*cmdline))
			return true;
		while (*cmdline && *cmdline != ' ')
			cmdline++;
		while (*cmdline == ' ')
			cmdline++;
	}
	return false;
}

void power_off(void)
{
	out16(PM1_CONTROL, PM1_POWER_OFF);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void set_gate(u32 vector, void (*handler)(void))
{
	u64 address = (u64)handler;

	idt[vector] = (struct gate){
		(u16)address, CODE_64, GATE_PRESENT, (u16)(address >> 16), (u32)(address >> 32), 0};
}

void trap(struct trap_frame *frame)
{
	u64 address;

	if (recover_rip) {
		__asm__ volatile("mov %%cr2, %0" : "=r"(address));
		fault = (struct fault){frame->vector, frame->error, address, frame->rflags};
		frame->rip = recover_rip;
		frame->rsp = recover_rsp;
		return;
	}
	put_text("unexpected exception ");
	put_number(frame->vector);
	put_text(" at ");
	put_hex(frame->rip);
	put_text("\n");
	power_off();
}

void load_idt(void)
{
	struct table_pointer pointer = {sizeof(idt) - 1, (u64)idt};

	__asm__ volatile("lidt %0" : : "m"(pointer));
}

void small_start(const struct pvh_info *info)
{
	for (u32 i = 0; i < 32; i++)
		set_gate(i, (void (*)(void))(trap_stubs + i * STUB_SIZE));
	load_idt();
	out8(COM1_LCR, LCR_8N1);
	small_main(info->cmdline ? (const char *)info->cmdline : "");
	power_off();
}
