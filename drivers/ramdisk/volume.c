/* Volumes in memory: pages written over a file or over zeroes. */
#include "drivers/ramdisk/volume.h"

#define NO_PAGE ~0u

static u8 *page_at(const struct volume *v, u32 entry)
{
	return v->page + (u64)(entry - 1) * VOLUME_PAGE_BYTES;
}

static bool is_page(const struct volume *v, u32 entry)
{
	return entry != VOLUME_BELOW && entry <= v->pages;
}

u32 volume_attach(struct volume *v, void *memory, u64 overlay)
{
	u64 pages = volume_pages(overlay);
	u64 entries = volume_pages(v->bytes);
	u32 dropped = 0;

	check(v->bytes <= VOLUME_BYTES_MAX && overlay <= VOLUME_BYTES_MAX);
	v->map = memory;
	v->used = (u64 *)((u8 *)memory + volume_map_bytes(v->bytes));
	v->page = (u8 *)v->used + volume_used_bytes(pages);
	v->pages = (u32)pages;
	v->taken = 0;
	v->next = 0;
	memset(v->used, 0, (pages + 63) / 64 * 8);
	for (u64 i = 0; i < entries; i++) {
		u32 entry = v->map[i];
		u32 n = entry - 1;

		if (entry == VOLUME_BELOW || entry == VOLUME_ZERO)
			continue;
		if (!is_page(v, entry) || v->used[n / 64] & BIT(n % 64)) {
			v->map[i] = VOLUME_BELOW;
			dropped++;
			continue;
		}
		v->used[n / 64] |= BIT(n % 64);
		v->taken++;
	}
	return dropped;
}

/* What lies under the pages that were written. */
static void read_below(const struct volume *v, u64 at, u8 *to, u64 size)
{
	u64 have = 0;

	if (v->file && at < v->file_size) {
		have = v->file_size - at < size ? v->file_size - at : size;
		memcpy(to, v->file + at, have);
	}
	memset(to + have, 0, size - have);
}

/* Bytes from `at` to the end of its page, at most `size`. */
static u64 in_page(u64 at, u64 size)
{
	u64 left = VOLUME_PAGE_BYTES - at % VOLUME_PAGE_BYTES;

	return left < size ? left : size;
}

void volume_read(const struct volume *v, u64 at, u8 *to, u64 size)
{
	while (size > 0) {
		u64 n = in_page(at, size);
		u32 entry = v->map ? v->map[at / VOLUME_PAGE_BYTES] : VOLUME_BELOW;

		if (entry == VOLUME_BELOW)
			read_below(v, at, to, n);
		else if (entry == VOLUME_ZERO)
			memset(to, 0, n);
		else
			memcpy(to, page_at(v, entry) + at % VOLUME_PAGE_BYTES, n);
		at += n;
		to += n;
		size -= n;
	}
}

static u32 take_page(struct volume *v)
{
	u32 words = (v->pages + 63) / 64;

	if (v->taken == v->pages)
		return NO_PAGE;
	for (u32 i = 0; i < words; i++) {
		u32 word = (v->next + i) % words;
		u64 room = ~v->used[word];
		u32 n;

		if (room == 0)
			continue;
		n = word * 64 + (u32)__builtin_ctzll(room);
		if (n >= v->pages)
			continue;
		v->used[word] |= BIT(n % 64);
		v->taken++;
		v->next = word;
		return n + 1;
	}
	return NO_PAGE;
}

/* Sets the entry of a page of the volume, and frees the page that it named. */
static void set_entry(struct volume *v, u64 index, u32 entry)
{
	u32 old = v->map[index];

	__atomic_store_n(&v->map[index], entry, __ATOMIC_RELEASE);
	if (is_page(v, old)) {
		u32 n = old - 1;

		v->used[n / 64] &= ~BIT(n % 64);
		v->taken--;
	}
}

/* Writes within one page; `from` NULL: zeroes. */
static bool write_page(struct volume *v, u64 at, const u8 *from, u64 size)
{
	u64 index = at / VOLUME_PAGE_BYTES;
	u32 entry = v->map[index];
	u8 *page;

	if (is_page(v, entry)) {
		page = page_at(v, entry) + at % VOLUME_PAGE_BYTES;
		if (from)
			memcpy(page, from, size);
		else
			memset(page, 0, size);
		return true;
	}
	entry = take_page(v);
	if (entry == NO_PAGE)
		return false;
	page = page_at(v, entry);
	if (size < VOLUME_PAGE_BYTES) {
		if (v->map[index] == VOLUME_ZERO)
			memset(page, 0, VOLUME_PAGE_BYTES);
		else
			read_below(v, index * VOLUME_PAGE_BYTES, page, VOLUME_PAGE_BYTES);
	}
	if (from)
		memcpy(page + at % VOLUME_PAGE_BYTES, from, size);
	else
		memset(page + at % VOLUME_PAGE_BYTES, 0, size);
	set_entry(v, index, entry);
	return true;
}

bool volume_write(struct volume *v, u64 at, const u8 *from, u64 size)
{
	while (size > 0) {
		u64 n = in_page(at, size);

		if (!write_page(v, at, from, n))
			return false;
		at += n;
		from += n;
		size -= n;
	}
	return true;
}

/* True if the page reads as zeroes without a page of its own. */
static bool is_zero(const struct volume *v, u64 index)
{
	return v->map[index] == VOLUME_ZERO ||
	       (v->map[index] == VOLUME_BELOW &&
		       (!v->file || index * VOLUME_PAGE_BYTES >= v->file_size));
}

/* The last page of a volume may be shorter than the others: it is whole, too, up to the end. */
static bool whole(const struct volume *v, u64 at, u64 n)
{
	return at % VOLUME_PAGE_BYTES == 0 && (n == VOLUME_PAGE_BYTES || at + n == v->bytes);
}

bool volume_zero(struct volume *v, u64 at, u64 size)
{
	while (size > 0) {
		u64 n = in_page(at, size);
		u64 index = at / VOLUME_PAGE_BYTES;

		if (whole(v, at, n))
			set_entry(v, index, VOLUME_ZERO);
		else if (!is_zero(v, index) && !write_page(v, at, NULL, n))
			return false;
		at += n;
		size -= n;
	}
	return true;
}

void volume_discard(struct volume *v, u64 at, u64 size)
{
	while (size > 0) {
		u64 n = in_page(at, size);

		if (whole(v, at, n))
			set_entry(v, at / VOLUME_PAGE_BYTES, VOLUME_ZERO);
		at += n;
		size -= n;
	}
}
