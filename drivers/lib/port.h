/* I/O ports; a program may use those of its START_PORTS resources, others fault. On the build host
 * a test has the device (port_read, port_write). */
#pragma once

#include "kernel/abi/types.h"

#ifdef HOST_TEST

u32 port_read(u16 port, u32 size);
void port_write(u16 port, u32 size, u32 value);

static inline u8 port_in8(u16 port)
{
	return (u8)port_read(port, 1);
}

static inline u16 port_in16(u16 port)
{
	return (u16)port_read(port, 2);
}

static inline u32 port_in32(u16 port)
{
	return port_read(port, 4);
}

static inline void port_out8(u16 port, u8 value)
{
	port_write(port, 1, value);
}

static inline void port_out16(u16 port, u16 value)
{
	port_write(port, 2, value);
}

static inline void port_out32(u16 port, u32 value)
{
	port_write(port, 4, value);
}

#else

static inline u8 port_in8(u16 port)
{
	u8 value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline u16 port_in16(u16 port)
{
	u16 value;

	asm volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline u32 port_in32(u16 port)
{
	u32 value;

	asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void port_out16(u16 port, u16 value)
{
	asm volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void port_out8(u16 port, u8 value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void port_out32(u16 port, u32 value)
{
	asm volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

#endif
