/* Framing, escapes, checksums and numbers of the remote serial protocol. */
#include "packet.h"
#include "drivers/lib/lib.h"

#define INTERRUPT   0x03
#define ESCAPE      '}'
#define ESCAPE_BIT  0x20
#define NUMBER_MAX  16
#define DATA_MAX    (GDB_PACKET_MAX - 1) /* of a reply, before `#` and its checksum */
#define REPLY_ERROR "E7e"                /* in place of one that is too long */
#define NIBBLE      4
#define NIBBLE_MASK 15

enum packet_state {
	BETWEEN,
	DATA,
	SUM_HIGH,
	SUM_LOW,
};

static const char digits[] = "0123456789abcdef";

int gdb_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static void start(struct gdb_packet *p)
{
	p->state = DATA;
	p->size = 0;
	p->sum = 0;
	p->broken = false;
}

static enum gdb_event between(struct gdb_packet *p, u8 byte)
{
	switch (byte) {
	case '$':
		start(p);
		return GDB_NOTHING;
	case '+':
		return GDB_ACK;
	case '-':
		return GDB_NAK;
	case INTERRUPT:
		return GDB_INTERRUPT;
	}
	return GDB_NOTHING;
}

static enum gdb_event finish(struct gdb_packet *p)
{
	p->state = BETWEEN;
	if (p->broken || p->want != p->sum)
		return GDB_BAD;
	p->data[p->size] = 0;
	return GDB_PACKET;
}

enum gdb_event gdb_feed(struct gdb_packet *p, u8 byte)
{
	int digit = gdb_digit((char)byte);

	switch (p->state) {
	case DATA:
		if (byte == '$') { /* the packet before it was cut off */
			start(p);
		} else if (byte == '#') {
			p->state = SUM_HIGH;
		} else if (p->size == GDB_PACKET_MAX) {
			p->broken = true;
		} else {
			p->data[p->size++] = (char)byte;
			p->sum = (u8)(p->sum + byte);
		}
		return GDB_NOTHING;
	case SUM_HIGH:
		p->broken |= digit < 0;
		p->want = (u8)((u8)digit << NIBBLE);
		p->state = SUM_LOW;
		return GDB_NOTHING;
	case SUM_LOW:
		p->broken |= digit < 0;
		p->want |= (u8)(digit & NIBBLE_MASK);
		return finish(p);
	default:
		return between(p, byte);
	}
}

void gdb_begin(struct gdb_reply *r)
{
	r->text[0] = '$';
	r->size = 1;
	r->sum = 0;
	r->overflow = false;
}

static void put(struct gdb_reply *r, char c)
{
	if (r->size > DATA_MAX) {
		r->overflow = true;
		return;
	}
	r->text[r->size++] = c;
	r->sum = (u8)(r->sum + (u8)c);
}

void gdb_put(struct gdb_reply *r, const void *bytes, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		char c = ((const char *)bytes)[i];

		if (c == '$' || c == '#' || c == ESCAPE || c == '*') {
			put(r, ESCAPE);
			c ^= ESCAPE_BIT;
		}
		put(r, c);
	}
}

void gdb_put_text(struct gdb_reply *r, const char *text)
{
	gdb_put(r, text, (u32)strlen(text));
}

void gdb_put_hex(struct gdb_reply *r, const void *bytes, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		u8 byte = ((const u8 *)bytes)[i];

		put(r, digits[byte >> NIBBLE]);
		put(r, digits[byte & NIBBLE_MASK]);
	}
}

void gdb_put_number(struct gdb_reply *r, u64 value)
{
	u32 shift = 64;

	do
		shift -= NIBBLE;
	while (shift && !(value >> shift));
	for (;; shift -= NIBBLE) {
		put(r, digits[value >> shift & NIBBLE_MASK]);
		if (!shift)
			return;
	}
}

void gdb_end(struct gdb_reply *r)
{
	if (r->overflow) {
		gdb_begin(r);
		gdb_put_text(r, REPLY_ERROR);
	}
	r->text[r->size++] = '#';
	r->text[r->size++] = digits[r->sum >> NIBBLE];
	r->text[r->size++] = digits[r->sum & NIBBLE_MASK];
}

bool gdb_number(const char **at, u64 *value)
{
	u32 count = 0;

	*value = 0;
	for (int digit; (digit = gdb_digit(**at)) >= 0; (*at)++) {
		if (++count > NUMBER_MAX)
			return false;
		*value = *value << NIBBLE | (u64)digit;
	}
	return count != 0;
}

bool gdb_bytes(const char **at, void *bytes, u32 count)
{
	for (u32 i = 0; i < count; i++) {
		int high = gdb_digit((*at)[0]);
		int low = high < 0 ? -1 : gdb_digit((*at)[1]);

		if (low < 0)
			return false;
		((u8 *)bytes)[i] = (u8)(high << NIBBLE | low);
		*at += 2;
	}
	return true;
}
