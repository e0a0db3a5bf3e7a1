/*
 * ACPI power management as in the PIIX4: PM1 event and control, PM timer, GPE0, and the APM ports.
 *
 * ACPI specification 6.4, chapter 4.8; Intel 82371AB (PIIX4) datasheet, 7.2 (power management I/O).
 * The reset register 0xCF9 is in dev_pci, because its port lies within PCI's address register.
 */
#pragma once

#include "guests/vmm/dev/device.h"

#define PM_MAGIC   DEVICE_MAGIC('A', 'C', 'P', 'M')
#define PM_VERSION 1

#define PM_TIMER_HZ     3579545ull
#define PM_TIMER_BITS   24
#define PM_SCI_LINE     9
#define PM_BLOCK_SIZE   64u
#define PM_BASE_DEFAULT 0x600u /* where the VMM puts the block when no firmware does */

enum pm_register { /* offsets in the block */
	PM1_STATUS = 0x00,
	PM1_ENABLE = 0x02,
	PM1_CONTROL = 0x04,
	PM_TIMER = 0x08,
	PM_GPE0_STATUS = 0x0c,
	PM_GPE0_ENABLE = 0x0e,
};

enum pm_port {
	PM_APM_CONTROL = 0xb2, /* the FADT's SMI command port */
	PM_APM_STATUS = 0xb3,
};

enum pm_apm_command {
	PM_ACPI_DISABLE = 0xf0,
	PM_ACPI_ENABLE = 0xf1,
};

#define PM1_STS_TIMER    0x0001u
#define PM1_STS_GLOBAL   0x0020u
#define PM1_STS_POWER    0x0100u
#define PM1_STS_SLEEP    0x0200u
#define PM1_STS_RTC      0x0400u
#define PM1_STS_WAKE     0x8000u
#define PM1_EN_MASK      (PM1_STS_TIMER | PM1_STS_GLOBAL | PM1_STS_POWER | PM1_STS_SLEEP | PM1_STS_RTC)
#define PM1_CNT_SCI      0x0001u
#define PM1_CNT_BM_RLD   0x0002u
#define PM1_CNT_TYPE     0x1c00u
#define PM1_CNT_SHIFT    10
#define PM1_CNT_SLEEP    0x2000u
#define PM1_CNT_WRITABLE (PM1_CNT_SCI | PM1_CNT_BM_RLD | PM1_CNT_TYPE)

/* Sleep types that power off: the PIIX4's own soft-off, which OVMF writes, and the usual 5. */
#define PM_SLEEP_TYPE_OFF 0
#define PM_SLEEP_TYPE_S5  5

struct pm {
	struct device_header header;
	u64 timer_seen; /* half periods of the PM timer (toggles of its top bit) dealt with */
	u16 status;
	u16 enable;
	u16 control;
	u16 gpe_status;
	u16 gpe_enable;
	u8 apm_control;
	u8 apm_status;
	u8 reserved[4];
};
DEVICE_STATE(struct pm);

void pm_init(struct pm *s);
void pm_reset(struct machine *m, struct pm *s);

/* `port` is the offset from the block's base, which is in the PCI function (pci_pm_base). */
u32 pm_read(struct machine *m, struct pm *s, u16 port, unsigned size);
void pm_write(struct machine *m, struct pm *s, u16 port, unsigned size, u32 value);

/* Ports 0xB2 and 0xB3. */
u32 pm_apm_read(struct machine *m, struct pm *s, u16 port, unsigned size);
void pm_apm_write(struct machine *m, struct pm *s, u16 port, unsigned size, u32 value);

void pm_timer(struct machine *m, struct pm *s);

/* For direct boot: ACPI mode from the start. */
void pm_enable_acpi(struct machine *m, struct pm *s);

/* The operator presses the power button. */
void pm_power_button(struct machine *m, struct pm *s);
