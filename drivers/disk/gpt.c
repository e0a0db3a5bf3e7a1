/* GUID partition tables: see gpt.h. Sections are of the UEFI Specification 2.10. */
#include "drivers/disk/gpt.h"
#include "drivers/lib/lib.h"

#define SIGNATURE    0x5452415020494645ull /* "EFI PART" */
#define REVISION     0x00010000u
#define ENTRY_MIN    128u
#define POLYNOMIAL   0xedb88320u /* of CRC-32, reflected */
#define FIRST_HEADER 1ull        /* its block */

/* 5.3.2, table 5.5 */
struct header {
	u64 signature;
	u32 revision;
	u32 size;
	u32 checksum; /* of these `size` bytes, with 0 here */
	u32 reserved;
	u64 here;
	u64 other;
	u64 first;
	u64 last;
	u8 disk[16];
	u64 table;
	u32 entries;
	u32 entry_size;
	u32 table_checksum;
} __attribute__((packed));
static_assert(sizeof(struct header) == 92);

/* 5.3.3, table 5.6 */
struct entry {
	u8 type[16]; /* all zero: not in use */
	u8 guid[16];
	u64 first;
	u64 last;
	u64 attributes;
	u16 name[GPT_NAME_UNITS];
} __attribute__((packed));
static_assert(sizeof(struct entry) == ENTRY_MIN);

static u32 crc32(u32 crc, const void *data, u64 size)
{
	const u8 *at = data;

	crc = ~crc;
	for (u64 i = 0; i < size; i++) {
		crc ^= at[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
	}
	return ~crc;
}

/* The checks of 5.3.2 on the header in `block`, which was read from block `here`. */
static bool header_ok(const struct gpt_disk *disk, u64 here, const u8 *block, struct header *h)
{
	static const u32 zero;
	u64 table;
	u32 crc;

	memcpy(h, block, sizeof(*h));
	if (h->signature != SIGNATURE || h->revision < REVISION || h->size < sizeof(*h) ||
		h->size > disk->block_size || h->here != here)
		return false;
	crc = crc32(0, block, offsetof(struct header, checksum));
	crc = crc32(crc, &zero, sizeof(zero));
	crc = crc32(crc, block + offsetof(struct header, reserved),
		h->size - offsetof(struct header, reserved));
	if (crc != h->checksum)
		return false;
	if (h->entries == 0 || h->entry_size < ENTRY_MIN || h->entry_size > GPT_TABLE_MAX ||
		h->entry_size & (h->entry_size - 1) || h->entries > GPT_TABLE_MAX / h->entry_size)
		return false;
	table = ((u64)h->entries * h->entry_size + disk->block_size - 1) / disk->block_size;
	if (h->table <= FIRST_HEADER || h->table >= disk->blocks || table > disk->blocks - h->table)
		return false;
	return h->first > FIRST_HEADER && h->first <= h->last && h->last < disk->blocks - 1;
}

/* Reads header and table of one of the two copies. */
static bool copy_read(struct gpt *g, const struct gpt_disk *disk, u64 here)
{
	static u8 block[GPT_BLOCK_MAX];
	static u8 rest[GPT_BLOCK_MAX];
	struct header h;
	u32 size;
	u32 whole;

	if (!disk->read(disk, here, 1, block) || !header_ok(disk, here, block, &h))
		return false;
	size = h.entries * h.entry_size;
	whole = size / disk->block_size;
	if (whole > 0 && !disk->read(disk, h.table, whole, g->table))
		return false;
	if (size % disk->block_size) {
		if (!disk->read(disk, h.table + whole, 1, rest))
			return false;
		memcpy(g->table + whole * disk->block_size, rest, size % disk->block_size);
	}
	g->checksum = crc32(0, g->table, size);
	g->entries = h.entries;
	g->entry_size = h.entry_size;
	g->first = h.first;
	g->last = h.last;
	memcpy(g->disk, h.disk, sizeof(g->disk));
	return g->checksum == h.table_checksum;
}

static bool same(const struct gpt *a, const struct gpt *b)
{
	return a->checksum == b->checksum && a->entries == b->entries &&
	       a->entry_size == b->entry_size && a->first == b->first && a->last == b->last &&
	       memcmp(a->disk, b->disk, sizeof(a->disk)) == 0 &&
	       memcmp(a->table, b->table, a->entries * a->entry_size) == 0;
}

enum gpt_state gpt_read(struct gpt *g, const struct gpt_disk *disk)
{
	static struct gpt second;
	bool first_ok;
	bool second_ok;

	if (disk->blocks < 4 || disk->block_size < 512 || disk->block_size > GPT_BLOCK_MAX)
		return GPT_NONE;
	first_ok = copy_read(g, disk, FIRST_HEADER);
	second_ok = copy_read(&second, disk, disk->blocks - 1);
	if (first_ok && second_ok)
		return same(g, &second) ? GPT_BOTH : GPT_DIFFER;
	if (second_ok)
		*g = second;
	return first_ok ? GPT_FIRST : second_ok ? GPT_SECOND : GPT_NONE;
}

static bool name_is(const struct entry *e, const char *name)
{
	u32 i = 0;

	for (; i < GPT_NAME_UNITS && name[i]; i++) {
		if (e->name[i] != (u8)name[i])
			return false;
	}
	return !name[i] && (i == GPT_NAME_UNITS || e->name[i] == 0);
}

u32 gpt_find(const struct gpt *g, const struct gpt_wanted *wanted, u64 *first, u64 *last)
{
	static const u8 unused[16];
	u32 found = 0;

	for (u32 i = 0; i < g->entries; i++) {
		struct entry e;

		memcpy(&e, g->table + (u64)i * g->entry_size, sizeof(e));
		if (memcmp(e.type, unused, sizeof(unused)) == 0)
			continue;
		if (wanted->name ? !name_is(&e, wanted->name)
				 : memcmp(e.guid, wanted->guid, sizeof(e.guid)) != 0)
			continue;
		found++;
		*first = e.first;
		*last = e.last;
	}
	if (found == 1 && (*first < g->first || *first > *last || *last > g->last))
		return 0;
	return found;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool gpt_guid(const char *text, u8 guid[16])
{
	/* where each pair of digits goes; UEFI, appendix A */
	static const u8 place[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
	u32 at = 0;

	if (strnlen(text, GPT_GUID_TEXT + 1) != GPT_GUID_TEXT)
		return false;
	for (u32 i = 0; i < 16; i++) {
		int high, low;

		if (i == 4 || i == 6 || i == 8 || i == 10) {
			if (text[at++] != '-')
				return false;
		}
		high = digit(text[at++]);
		low = digit(text[at++]);
		if (high < 0 || low < 0)
			return false;
		guid[place[i]] = (u8)(high << 4 | low);
	}
	return true;
}
