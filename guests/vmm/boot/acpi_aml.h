/*
 * Writes AML: the byte code of ACPI tables (ACPI specification 6.4, chapters 6.4 and 20).
 *
 * Everything appends to a buffer; what does not fit sets `full` and is left out, so that only the
 * end needs a check. What has a package length is opened, filled and closed, the inner before the
 * outer.
 */
#pragma once

#include "kernel/abi/types.h"

struct aml {
	u8 *bytes;
	u32 size; /* of the buffer */
	u32 used;
	bool full;
};

void aml_byte(struct aml *a, u8 value);

/* Appends the `count` low bytes of `value`, lowest first; count is at most 8. */
void aml_raw(struct aml *a, u64 value, unsigned count);

/* Opens a term by its opcode (one byte, or two with the first in the high byte); returns a mark. */
u32 aml_open(struct aml *a, u16 opcode);
void aml_close(struct aml *a, u32 mark);

/* A name: "ABCD", "ABC" (padded with '_'), "\\_SB.PCI0.LNKA" (at most AML_SEGMENTS of them). */
void aml_name(struct aml *a, const char *path);
#define AML_SEGMENTS 8

void aml_integer(struct aml *a, u64 value);
void aml_string(struct aml *a, const char *text);

/* Name (path, integer), Name (path, EISAID (id)), Name (path, string). */
void aml_name_integer(struct aml *a, const char *path, u64 value);
void aml_name_eisa(struct aml *a, const char *path, const char *id);
void aml_name_string(struct aml *a, const char *path, const char *text);

u32 aml_scope(struct aml *a, const char *path);
u32 aml_device(struct aml *a, const char *path);
u32 aml_method(struct aml *a, const char *path, unsigned arguments, bool serialized);
u32 aml_package(struct aml *a, u8 elements);
void aml_opcode(struct aml *a, u16 opcode);

enum aml_opcode {
	AML_NAME = 0x08,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_METHOD = 0x14,
	AML_LOCAL0 = 0x60,
	AML_ARG0 = 0x68,
	AML_STORE = 0x70,
	AML_AND = 0x7b,
	AML_OR = 0x7d,
	AML_CREATE_DWORD_FIELD = 0x8a,
	AML_LESS = 0x95,
	AML_IF = 0xa0,
	AML_RETURN = 0xa4,
	AML_OP_REGION = 0x5b80,
	AML_FIELD = 0x5b81,
	AML_DEVICE = 0x5b82,
};

/* Name (path, ResourceTemplate () {...}): descriptors stand between begin and end. */
struct aml_resources {
	u32 buffer; /* mark */
	u32 length; /* where its size is stored */
};
struct aml_resources aml_resources_begin(struct aml *a, const char *path);
void aml_resources_end(struct aml *a, struct aml_resources r);

void aml_io(struct aml *a, u16 first, u8 length);
void aml_irq(struct aml *a, unsigned line); /* edge, active high, exclusive */

/* Level-triggered, active-high, shared interrupts, as a consumer: bytes AML_INTERRUPT_NUMBER on. */
void aml_interrupts(struct aml *a, const u8 *numbers, u8 count);
#define AML_INTERRUPT_NUMBER 5

/* Address windows of a bridge: buses, I/O ports, memory; first to last inclusive. */
void aml_bus_window(struct aml *a, u16 first, u16 last);
void aml_io_window(struct aml *a, u16 first, u16 last);
void aml_memory_window32(struct aml *a, u32 first, u32 last);
void aml_memory_window64(struct aml *a, u64 first, u64 last);
