/* Power: ACPI S5 and reset by what the loader found in the FADT (ACPI specification, 4.8.3.7
 * and 4.8.3.6). */
#include "kernel/kernel.h"

#define PM1_SCI_EN     BIT(0)
#define PM1_SLP_TYP(t) ((u16)((t) << 10))
#define PM1_SLP_EN     BIT(13)
#define RESET_CONTROL  0xcf9 /* ICH: hard reset */
#define I8042_COMMAND  0x64
#define BOCHS_SHUTDOWN                                                                             \
	0x8900 /* Bochs and old QEMU: the text "Shutdown" switches the machine off                 \
		*/
#define CPUID_HYPERVISOR BIT(31)

static bool emulated(void)
{
	u32 a, b, c, d;

	/* Bochs has no ACPI tables under OVMF and sets no hypervisor bit; real machines without
	 * ACPI do not exist. */
	cpuid(1, 0, &a, &b, &c, &d);
	return !(boot->flags & BOOT_FLAG_ACPI) || c & CPUID_HYPERVISOR;
}

void power_off(void)
{
	const struct boot_power *p = &boot->power;

	if (p->s5_valid && p->pm1a_control) {
		u16 keep = in16(p->pm1a_control) & PM1_SCI_EN;

		out16(p->pm1a_control, keep | PM1_SLP_TYP(p->slp_typ_a) | (u16)PM1_SLP_EN);
		if (p->pm1b_control)
			out16(p->pm1b_control, keep | PM1_SLP_TYP(p->slp_typ_b) | (u16)PM1_SLP_EN);
	}
	if (emulated())
		for (const char *s = "Shutdown"; *s; s++)
			out8(BOCHS_SHUTDOWN, (u8)*s);
}

void power_reset(void)
{
	const struct boot_power *p = &boot->power;

	if (p->reset_space == 1)
		out8((u16)p->reset_address, p->reset_value);
	out8(RESET_CONTROL, 2);
	out8(RESET_CONTROL, 6);
	out8(I8042_COMMAND, 0xfe);
	halt();
}
