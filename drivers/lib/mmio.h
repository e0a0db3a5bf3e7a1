/*
 * Registers of a device in memory (START_REGISTERS): each function is one access of its size, in
 * the order of the program. On the build host a test has the device (mmio_read, mmio_write).
 */
#pragma once

#include "kernel/abi/types.h"

#ifdef HOST_TEST

u32 mmio_read(const volatile void *at, u32 size);
void mmio_write(volatile void *at, u32 size, u32 value);

static inline u8 mmio_read8(const volatile void *at)
{
	return (u8)mmio_read(at, 1);
}

static inline u16 mmio_read16(const volatile void *at)
{
	return (u16)mmio_read(at, 2);
}

static inline u32 mmio_read32(const volatile void *at)
{
	return mmio_read(at, 4);
}

static inline void mmio_write8(volatile void *at, u8 value)
{
	mmio_write(at, 1, value);
}

static inline void mmio_write16(volatile void *at, u16 value)
{
	mmio_write(at, 2, value);
}

static inline void mmio_write32(volatile void *at, u32 value)
{
	mmio_write(at, 4, value);
}

#else

static inline u8 mmio_read8(const volatile void *at)
{
	u8 value;

	asm volatile("movb %1, %0" : "=q"(value) : "m"(*(const volatile u8 *)at) : "memory");
	return value;
}

static inline u16 mmio_read16(const volatile void *at)
{
	u16 value;

	asm volatile("movw %1, %0" : "=r"(value) : "m"(*(const volatile u16 *)at) : "memory");
	return value;
}

static inline u32 mmio_read32(const volatile void *at)
{
	u32 value;

	asm volatile("movl %1, %0" : "=r"(value) : "m"(*(const volatile u32 *)at) : "memory");
	return value;
}

static inline void mmio_write8(volatile void *at, u8 value)
{
	asm volatile("movb %1, %0" : "=m"(*(volatile u8 *)at) : "q"(value) : "memory");
}

static inline void mmio_write16(volatile void *at, u16 value)
{
	asm volatile("movw %1, %0" : "=m"(*(volatile u16 *)at) : "r"(value) : "memory");
}

static inline void mmio_write32(volatile void *at, u32 value)
{
	asm volatile("movl %1, %0" : "=m"(*(volatile u32 *)at) : "r"(value) : "memory");
}

#endif

/* Two accesses: 64-bit registers of virtio (4.1.3.1) and NVMe (2.1) may be accessed so. */
static inline u64 mmio_read64(const volatile void *at)
{
	u64 low = mmio_read32(at);

	return low | (u64)mmio_read32((const volatile u8 *)at + 4) << 32;
}

static inline void mmio_write64(volatile void *at, u64 value)
{
	mmio_write32(at, (u32)value);
	mmio_write32((volatile u8 *)at + 4, (u32)(value >> 32));
}
