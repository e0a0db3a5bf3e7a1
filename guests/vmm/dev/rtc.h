/*
 * MC146818 real-time clock with 128 bytes of CMOS RAM, ports 0x70 and 0x71.
 *
 * Motorola MC146818A datasheet; Intel 82371SB (PIIX3) datasheet, 2.5.6 (index port, NMI bit).
 * The time is machine_wall_clock plus an offset that setting the clock changes. Between looks at
 * the wall clock it follows machine_now, so that seconds begin where the update cycle ends.
 */
#pragma once

#include "guests/vmm/dev/device.h"

#define RTC_MAGIC   DEVICE_MAGIC('R', 'T', 'C', ' ')
#define RTC_VERSION 1
#define RTC_LINE    8

enum rtc_port {
	RTC_INDEX = 0x70,
	RTC_DATA = 0x71,
};

#define RTC_INDEX_MASK   0x7fu
#define RTC_INDEX_NO_NMI 0x80u

enum rtc_register {
	RTC_SECONDS = 0x00,
	RTC_SECONDS_ALARM = 0x01,
	RTC_MINUTES = 0x02,
	RTC_MINUTES_ALARM = 0x03,
	RTC_HOURS = 0x04,
	RTC_HOURS_ALARM = 0x05,
	RTC_DAY_OF_WEEK = 0x06, /* 1 is Sunday */
	RTC_DAY_OF_MONTH = 0x07,
	RTC_MONTH = 0x08,
	RTC_YEAR = 0x09,
	RTC_A = 0x0a,
	RTC_B = 0x0b,
	RTC_C = 0x0c,
	RTC_D = 0x0d,
	RTC_RESET_CODE = 0x0f,
	RTC_SUMMED = 0x10, /* first and last byte of what the checksum is of */
	RTC_EQUIPMENT = 0x14,
	RTC_BASE_KIB = 0x15,     /* two bytes: RAM below 640 KiB */
	RTC_EXTENDED_KIB = 0x17, /* two bytes: RAM above 1 MiB, at most 65535 */
	RTC_SUMMED_LAST = 0x2d,
	RTC_CHECKSUM = 0x2e,      /* two bytes, high first */
	RTC_EXTENDED_KIB2 = 0x30, /* the same as RTC_EXTENDED_KIB */
	RTC_CENTURY = 0x32,
	RTC_ABOVE_16M = 0x34, /* two bytes: 64 KiB units of RAM above 16 MiB and below 4 GiB */
	RTC_BOOT_ORDER2 = 0x38,
	RTC_BOOT_ORDER1 = 0x3d,
	RTC_ABOVE_4G = 0x5b, /* three bytes: 64 KiB units of RAM above 4 GiB */
	RTC_CPUS = 0x5f,     /* processors other than the first */
	RTC_REGISTERS = 0x80,
};

#define RTC_A_UIP     0x80u
#define RTC_A_DIVIDER 0x70u
#define RTC_A_RUNNING 0x20u                /* divider setting for the 32.768 kHz crystal */
#define RTC_A_RESET   0x60u                /* these bits both set: the divider is held in reset */
#define RTC_A_INITIAL (RTC_A_RUNNING | 6u) /* 1024 Hz */
#define RTC_A_RATE    0x0fu
#define RTC_B_SET     0x80u
#define RTC_B_PIE     0x40u
#define RTC_B_AIE     0x20u
#define RTC_B_UIE     0x10u
#define RTC_B_BINARY  0x04u
#define RTC_B_24H     0x02u
#define RTC_B_SQWE    0x08u
#define RTC_B_DSE     0x01u /* daylight saving: kept, without effect */
#define RTC_C_IRQF    0x80u
#define RTC_C_PF      0x40u
#define RTC_C_AF      0x20u
#define RTC_C_UF      0x10u
#define RTC_D_VALID   0x80u
#define RTC_ALARM_ANY 0xc0u /* an alarm byte with both bits matches any value */
#define RTC_HOUR_PM   0x80u

#define RTC_EQUIPMENT_FPU   0x02u
#define RTC_BASE_KIB_VALUE  640u
#define RTC_BOOT_NO_FLOPPY  0x01u /* RTC_BOOT_ORDER2: don't look for a floppy's signature */
#define RTC_BOOT_DISK_CDROM 0x32u /* RTC_BOOT_ORDER1: first the disk (2), then the CD-ROM (3) */

#define RTC_UIP_NS     2228000ull /* UIP shows 244 us before an update, which takes 1984 us */
#define RTC_CRYSTAL_HZ 32768u

struct rtc {
	struct device_header header;
	s64 offset;  /* seconds that the guest's clock is ahead of machine_wall_clock */
	s64 base;    /* the guest's Unix time at base_ns */
	s64 base_ns; /* machine_now at which that second began; may lie before 0 */
	u64 updates; /* seconds since base_ns whose update was dealt with */
	u64 periods; /* periods since base_ns that were dealt with */
	u8 index;    /* port 0x70 as written */
	u8 line;     /* level of line 8 */
	u8 synced;   /* base is set */
	u8 reserved[5];
	u8 ram[RTC_REGISTERS]; /* time registers are current only while the clock is stopped */
};
DEVICE_STATE(struct rtc);

struct rtc_memory {
	u64 below_4g; /* bytes of RAM from 0 up */
	u64 above_4g; /* bytes of RAM from 4 GiB up */
	u32 cpus;
};

/* Also fills the bytes that firmware reads. */
void rtc_init(struct rtc *s, const struct rtc_memory *memory);
void rtc_reset(struct machine *m, struct rtc *s);
u32 rtc_read(struct machine *m, struct rtc *s, u16 port, unsigned size);
void rtc_write(struct machine *m, struct rtc *s, u16 port, unsigned size, u32 value);
void rtc_timer(struct machine *m, struct rtc *s);
