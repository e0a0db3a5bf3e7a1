/* Power: ACPI S5 and reset by what the loader found in the FADT (ACPI specification, 4.8.3.7
 * and 4.8.3.6). The kernel lets nobody but root have those ports. */
#include "drivers/lib/port.h"
#include "drivers/root/member.h"

#define PM1_SCI_EN       1u
#define PM1_SLP_TYP(t)   ((u16)((t) << 10))
#define PM1_SLP_EN       0x2000u
#define SPACE_IO         1     /* of a generic address */
#define RESET_CONTROL    0xcf9 /* ICH: hard reset */
#define I8042_COMMAND    0x64
#define I8042_RESET      0xfe
#define BOCHS_SHUTDOWN   0x8900 /* Bochs and old QEMU: the text "Shutdown" switches them off */
#define CPUID_HYPERVISOR BIT(31)

static bool port_take(u16 port, u32 count)
{
	status_t s = sys_sys_ctl(ROOT_CAP_SYS, SYS_CTL_PORTS, ROOT_CAP_DOMAIN, port, count, NULL);

	return s == STATUS_OK;
}

/* Bochs has no ACPI tables under OVMF and sets no hypervisor bit; real machines without ACPI do not
 * exist. */
static bool emulated(void)
{
	u32 a = 1, b, c = 0, d;

	asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return !(boot->flags & BOOT_FLAG_ACPI) || c & CPUID_HYPERVISOR;
}

static void sleep_write(u16 control, u16 keep, u8 type)
{
	port_out16(control, (u16)(keep | PM1_SLP_TYP(type) | PM1_SLP_EN));
}

void machine_off(void)
{
	const struct boot_power *p = &boot->power;
	bool both = p->pm1b_control != 0;

	if (p->s5_valid && p->pm1a_control && port_take(p->pm1a_control, 2) &&
		(!both || port_take(p->pm1b_control, 2))) {
		u16 keep = port_in16(p->pm1a_control) & PM1_SCI_EN;

		sleep_write(p->pm1a_control, keep, p->slp_typ_a);
		if (both)
			sleep_write(p->pm1b_control, keep, p->slp_typ_b);
	}
	if (emulated() && port_take(BOCHS_SHUTDOWN, 1))
		for (const char *s = "Shutdown"; *s; s++)
			port_out8(BOCHS_SHUTDOWN, (u8)*s);
}

void machine_reset(void)
{
	const struct boot_power *p = &boot->power;

	if (p->reset_space == SPACE_IO && p->reset_address <= 0xffff &&
		port_take((u16)p->reset_address, 1))
		port_out8((u16)p->reset_address, p->reset_value);
	if (port_take(RESET_CONTROL, 1)) {
		port_out8(RESET_CONTROL, 2);
		port_out8(RESET_CONTROL, 6);
	}
	if (port_take(I8042_COMMAND, 1))
		port_out8(I8042_COMMAND, I8042_RESET);
}
