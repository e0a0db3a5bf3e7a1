/* AML writer: see acpi_aml.h. */
#include "guests/vmm/boot/acpi_aml.h"

#define SEGMENT       4 /* characters of a name */
#define LENGTH_BYTES  3 /* package lengths are written in their 20-bit form, which holds any */
#define LENGTH_LEAD   (2u << 6)
#define LENGTH_NIBBLE 4
#define BYTE          8
#define TWO_BYTES     0xff

enum prefix {
	PREFIX_ROOT = '\\',
	PREFIX_DUAL = 0x2e,
	PREFIX_MULTI = 0x2f,
};

enum constant {
	CONSTANT_ZERO = 0x00,
	CONSTANT_ONE = 0x01,
	CONSTANT_BYTE = 0x0a,
	CONSTANT_WORD = 0x0b,
	CONSTANT_DWORD = 0x0c,
	CONSTANT_STRING = 0x0d,
	CONSTANT_QWORD = 0x0e,
};

/* Resource descriptors (6.4.2 and 6.4.3). */
enum descriptor {
	DESCRIPTOR_IRQ = 0x22,
	DESCRIPTOR_IO = 0x47,
	DESCRIPTOR_END = 0x79,
	DESCRIPTOR_DWORD = 0x87,
	DESCRIPTOR_WORD = 0x88,
	DESCRIPTOR_INTERRUPT = 0x89,
	DESCRIPTOR_QWORD = 0x8a,
};

#define IO_DECODE_16       1
#define SPACE_MEMORY       0
#define SPACE_IO           1
#define SPACE_BUS          2
#define WINDOW_FIXED       0x0c /* minimum and maximum are fixed; positive decode; producer */
#define WINDOW_IO_ALL      0x03
#define WINDOW_READ_WRITE  0x01
#define WINDOW_FIELDS      5 /* granularity, minimum, maximum, translation, length */
#define WINDOW_FLAGS       3
#define INTERRUPT_CONSUMER 0x01
#define INTERRUPT_SHARED   0x08
#define METHOD_SERIALIZED  0x08

void aml_byte(struct aml *a, u8 value)
{
	if (a->used >= a->size) {
		a->full = true;
		return;
	}
	a->bytes[a->used++] = value;
}

void aml_raw(struct aml *a, u64 value, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		aml_byte(a, (u8)(value >> i * BYTE));
}

void aml_opcode(struct aml *a, u16 opcode)
{
	if (opcode > TWO_BYTES)
		aml_byte(a, (u8)(opcode >> BYTE));
	aml_byte(a, (u8)opcode);
}

u32 aml_open(struct aml *a, u16 opcode)
{
	u32 mark;

	aml_opcode(a, opcode);
	mark = a->used;
	aml_raw(a, 0, LENGTH_BYTES);
	return mark;
}

void aml_close(struct aml *a, u32 mark)
{
	u32 length = a->used - mark;

	if (a->full)
		return;
	a->bytes[mark] = (u8)(LENGTH_LEAD | (length & ((1u << LENGTH_NIBBLE) - 1)));
	a->bytes[mark + 1] = (u8)(length >> LENGTH_NIBBLE);
	a->bytes[mark + 2] = (u8)(length >> (LENGTH_NIBBLE + BYTE));
}

static unsigned segments_in(const char *path)
{
	unsigned count = 1;

	for (; *path; path++)
		count += *path == '.';
	return count;
}

static const char *segment(struct aml *a, const char *path)
{
	for (unsigned i = 0; i < SEGMENT; i++)
		aml_byte(a, *path && *path != '.' ? (u8)*path++ : '_');
	return *path == '.' ? path + 1 : path;
}

void aml_name(struct aml *a, const char *path)
{
	unsigned count;

	if (*path == PREFIX_ROOT) {
		aml_byte(a, PREFIX_ROOT);
		path++;
	}
	count = segments_in(path);
	if (count == 2) {
		aml_byte(a, PREFIX_DUAL);
	} else if (count > 2) {
		aml_byte(a, PREFIX_MULTI);
		aml_byte(a, (u8)count);
	}
	for (unsigned i = 0; i < count; i++)
		path = segment(a, path);
}

void aml_integer(struct aml *a, u64 value)
{
	if (value <= 1) {
		aml_byte(a, value ? CONSTANT_ONE : CONSTANT_ZERO);
	} else if (value <= UINT8_MAX) {
		aml_byte(a, CONSTANT_BYTE);
		aml_raw(a, value, 1);
	} else if (value <= UINT16_MAX) {
		aml_byte(a, CONSTANT_WORD);
		aml_raw(a, value, 2);
	} else if (value <= UINT32_MAX) {
		aml_byte(a, CONSTANT_DWORD);
		aml_raw(a, value, 4);
	} else {
		aml_byte(a, CONSTANT_QWORD);
		aml_raw(a, value, 8);
	}
}

void aml_string(struct aml *a, const char *text)
{
	aml_byte(a, CONSTANT_STRING);
	while (*text)
		aml_byte(a, (u8)*text++);
	aml_byte(a, 0);
}

void aml_name_integer(struct aml *a, const char *path, u64 value)
{
	aml_opcode(a, AML_NAME);
	aml_name(a, path);
	aml_integer(a, value);
}

static u32 hex_digit(char c)
{
	return (u32)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* "PNP0A03": three letters of five bits and four hexadecimal digits, in big-endian order (19.3.4).
 */
void aml_name_eisa(struct aml *a, const char *path, const char *id)
{
	u32 value = 0;

	for (unsigned i = 0; i < 3; i++)
		value = value << 5 | (u32)(id[i] - '@');
	for (unsigned i = 3; i < 7; i++)
		value = value << 4 | hex_digit(id[i]);
	aml_opcode(a, AML_NAME);
	aml_name(a, path);
	aml_byte(a, CONSTANT_DWORD);
	aml_raw(a, __builtin_bswap32(value), 4);
}

void aml_name_string(struct aml *a, const char *path, const char *text)
{
	aml_opcode(a, AML_NAME);
	aml_name(a, path);
	aml_string(a, text);
}

static u32 open_named(struct aml *a, u16 opcode, const char *path)
{
	u32 mark = aml_open(a, opcode);

	aml_name(a, path);
	return mark;
}

u32 aml_scope(struct aml *a, const char *path)
{
	return open_named(a, AML_SCOPE, path);
}

u32 aml_device(struct aml *a, const char *path)
{
	return open_named(a, AML_DEVICE, path);
}

u32 aml_method(struct aml *a, const char *path, unsigned arguments, bool serialized)
{
	u32 mark = open_named(a, AML_METHOD, path);

	aml_byte(a, (u8)(arguments | (serialized ? METHOD_SERIALIZED : 0)));
	return mark;
}

u32 aml_package(struct aml *a, u8 elements)
{
	u32 mark = aml_open(a, AML_PACKAGE);

	aml_byte(a, elements);
	return mark;
}

struct aml_resources aml_resources_begin(struct aml *a, const char *path)
{
	struct aml_resources r;

	aml_opcode(a, AML_NAME);
	aml_name(a, path);
	r.buffer = aml_open(a, AML_BUFFER);
	aml_byte(a, CONSTANT_WORD);
	r.length = a->used;
	aml_raw(a, 0, sizeof(u16));
	return r;
}

void aml_resources_end(struct aml *a, struct aml_resources r)
{
	u32 length;

	aml_byte(a, DESCRIPTOR_END);
	aml_byte(a, 0); /* no checksum */
	length = a->used - r.length - (u32)sizeof(u16);
	if (!a->full) {
		a->bytes[r.length] = (u8)length;
		a->bytes[r.length + 1] = (u8)(length >> BYTE);
	}
	aml_close(a, r.buffer);
}

void aml_io(struct aml *a, u16 first, u8 length)
{
	aml_byte(a, DESCRIPTOR_IO);
	aml_byte(a, IO_DECODE_16);
	aml_raw(a, first, 2);
	aml_raw(a, first, 2);
	aml_byte(a, 1); /* alignment */
	aml_byte(a, length);
}

void aml_irq(struct aml *a, unsigned line)
{
	aml_byte(a, DESCRIPTOR_IRQ);
	aml_raw(a, 1u << line % 16, 2);
}

void aml_interrupts(struct aml *a, const u8 *numbers, u8 count)
{
	aml_byte(a, DESCRIPTOR_INTERRUPT);
	aml_raw(a, 2u + count * (u32)sizeof(u32), 2);
	aml_byte(a, INTERRUPT_CONSUMER | INTERRUPT_SHARED);
	aml_byte(a, count);
	for (u8 i = 0; i < count; i++)
		aml_raw(a, numbers[i], sizeof(u32));
}

static void window(
	struct aml *a, u8 descriptor, unsigned width, u8 space, u8 flags, u64 first, u64 last)
{
	aml_byte(a, descriptor);
	aml_raw(a, WINDOW_FLAGS + WINDOW_FIELDS * width, 2);
	aml_byte(a, space);
	aml_byte(a, WINDOW_FIXED);
	aml_byte(a, flags);
	aml_raw(a, 0, width);
	aml_raw(a, first, width);
	aml_raw(a, last, width);
	aml_raw(a, 0, width);
	aml_raw(a, last - first + 1, width);
}

void aml_bus_window(struct aml *a, u16 first, u16 last)
{
	window(a, DESCRIPTOR_WORD, sizeof(u16), SPACE_BUS, 0, first, last);
}

void aml_io_window(struct aml *a, u16 first, u16 last)
{
	window(a, DESCRIPTOR_WORD, sizeof(u16), SPACE_IO, WINDOW_IO_ALL, first, last);
}

void aml_memory_window32(struct aml *a, u32 first, u32 last)
{
	window(a, DESCRIPTOR_DWORD, sizeof(u32), SPACE_MEMORY, WINDOW_READ_WRITE, first, last);
}

void aml_memory_window64(struct aml *a, u64 first, u64 last)
{
	window(a, DESCRIPTOR_QWORD, sizeof(u64), SPACE_MEMORY, WINDOW_READ_WRITE, first, last);
}
