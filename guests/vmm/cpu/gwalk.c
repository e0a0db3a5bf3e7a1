/* The walk itself: one loop over the levels of three formats. */
#include "gwalk.h"
#include "x86.h"

#define ENTRY_P  BIT(0)
#define ENTRY_RW BIT(1)
#define ENTRY_US BIT(2)
#define ENTRY_A  BIT(5)
#define ENTRY_D  BIT(6)
#define ENTRY_PS BIT(7)
#define ENTRY_NX BIT(63)

#define ADDRESS_MASK 0x000ffffffffff000ull /* bits 51:12 */
#define PSE36_LOW    13 /* bits of a 4 MiB page's entry that hold address bits 39:32 */
#define PSE36_COUNT  8
#define PSE_RESERVED BIT(21)
#define LEAF_PAT     BIT(12) /* of a large page */
#define MAX_LEVELS   5
#define MAX_RESTARTS 16 /* after lost races for accessed and dirty bits */

/*
 * A level of a format. Reserved bits are beside those that depend on the processor: of an entry
 * that leads to a table or is a page of 4 KiB, and of a leaf above that.
 */
struct gwalk_level {
	u8 shift;    /* of the linear address */
	bool large;  /* PS makes a leaf here (4 MiB pages: with CR4.PSE) */
	bool rights; /* RW, US and A exist here */
	u64 reserved;
	u64 reserved_large;
};

struct gwalk_format {
	u8 levels;
	u8 entry_size;
	u8 index_bits;
	u64 root; /* bits of CR3 that locate the table */
	struct gwalk_level level[MAX_LEVELS];
};

#define LARGE_RESERVED(shift) ((BIT(shift) - 1) & ADDRESS_MASK & ~LEAF_PAT)
#define NO_SOFTWARE_BITS      (BIT(63) - BIT(52)) /* PAE has none in 62:52 */
/*
 * PDPTE of PAE (SDM vol. 3, table 4-8), but bit 5 passes: QEMU 7.2 sets it as an accessed bit when
 * it walks. A processor that minds it has refused the entry before this walk.
 */
#define PDPTE_RESERVED                                                                             \
	(ENTRY_RW | ENTRY_US | ENTRY_D | ENTRY_PS | BIT(8) | ENTRY_NX | NO_SOFTWARE_BITS)

static const struct gwalk_format format_32 = {
	2, 4, 10, 0xfffff000, {{22, true, true, 0, PSE_RESERVED}, {12, false, true, 0, 0}}};
static const struct gwalk_format format_pae = {3, 8, 9, 0xffffffe0,
	{{30, false, false, PDPTE_RESERVED, 0},
		{21, true, true, NO_SOFTWARE_BITS, LARGE_RESERVED(21) | NO_SOFTWARE_BITS},
		{12, false, true, NO_SOFTWARE_BITS, 0}}};
static const struct gwalk_format format_4level = {4, 8, 9, ADDRESS_MASK,
	{{39, false, true, ENTRY_PS, 0}, {30, true, true, 0, LARGE_RESERVED(30)},
		{21, true, true, 0, LARGE_RESERVED(21)}, {12, false, true, 0, 0}}};
static const struct gwalk_format format_5level = {5, 8, 9, ADDRESS_MASK,
	{{48, false, true, ENTRY_PS, 0}, {39, false, true, ENTRY_PS, 0},
		{30, true, true, 0, LARGE_RESERVED(30)}, {21, true, true, 0, LARGE_RESERVED(21)},
		{12, false, true, 0, 0}}};

struct gwalk_step {
	gpa_t at;
	u64 entry;
};

static u64 entry_read(const struct gmem *g, gpa_t at, u32 size)
{
	const void *p = gmem_at(g, at, size);

	if (!p)
		return size == 4 ? UINT32_MAX : UINT64_MAX;
	if (size == 4)
		return __atomic_load_n((const u32 *)p, __ATOMIC_RELAXED);
	return __atomic_load_n((const u64 *)p, __ATOMIC_RELAXED);
}

/* Sets bits of an entry unless it changed since it was read; false: it did. */
static bool entry_set(const struct gmem *g, const struct gwalk_step *s, u64 bits, u32 size)
{
	void *p = gmem_at(g, s->at, size);
	u64 old = s->entry;
	u32 old_low = (u32)old;

	if ((old & bits) == bits || !p)
		return true;
	if (size == 4)
		return __atomic_compare_exchange_n((u32 *)p, &old_low, old_low | (u32)bits, false,
			__ATOMIC_RELAXED, __ATOMIC_RELAXED);
	return __atomic_compare_exchange_n(
		(u64 *)p, &old, old | bits, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static gpa_t leaf_address(
	const struct gwalk_format *f, const struct gwalk_level *level, u64 entry, u64 linear)
{
	u64 offset = linear & (BIT(level->shift) - 1);

	if (f->entry_size == 4 && level->shift == 22)
		return (entry & ~(BIT(22) - 1)) | offset |
		       (entry >> PSE36_LOW & (BIT(PSE36_COUNT) - 1)) << 32;
	return (entry & ADDRESS_MASK & ~(BIT(level->shift) - 1)) | offset;
}

/* Do the rights that all levels agree on allow the access? (SDM vol. 3, 4.6) */
static bool access_allowed(const struct gwalk_mode *mode, u64 rights, bool nx, u32 access)
{
	bool user_page = rights & ENTRY_US;

	if ((access & GWALK_FETCH) && nx)
		return false;
	if (access & GWALK_USER) {
		if (!user_page)
			return false;
	} else if (user_page) {
		if ((access & GWALK_FETCH) && (mode->cr4 & CR4_SMEP))
			return false;
		if (!(access & GWALK_FETCH) && (mode->cr4 & CR4_SMAP) &&
			!(mode->rflags & RFLAGS_AC))
			return false;
	}
	if ((access & GWALK_WRITE) && !(rights & ENTRY_RW))
		return !(access & GWALK_USER) && !(mode->cr0 & CR0_WP);
	return true;
}

static u32 error_code(const struct gwalk_mode *mode, u32 access, u64 bits)
{
	u64 error = bits;

	if (access & GWALK_WRITE)
		error |= PF_WRITE;
	if (access & GWALK_USER)
		error |= PF_USER;
	/* reported only where fetches can be told from reads */
	if ((access & GWALK_FETCH) &&
		((mode->cr4 & CR4_SMEP) || ((mode->efer & EFER_NXE) && (mode->cr4 & CR4_PAE))))
		error |= PF_FETCH;
	return (u32)error;
}

static bool accessed_dirty(const struct gmem *g, const struct gwalk_format *f,
	const struct gwalk_step *step, u32 last, u32 access)
{
	for (u32 i = 0; i <= last; i++) {
		u64 bits = f->level[i].rights ? ENTRY_A : 0;

		if (i == last && (access & GWALK_WRITE))
			bits |= ENTRY_D;
		if (!entry_set(g, &step[i], bits, f->entry_size))
			return false;
	}
	return true;
}

static const struct gwalk_format *format_of(const struct gwalk_mode *mode)
{
	if (mode->efer & EFER_LMA)
		return mode->cr4 & CR4_LA57 ? &format_5level : &format_4level;
	return mode->cr4 & CR4_PAE ? &format_pae : &format_32;
}

bool gwalk(const struct gmem *g, const struct gwalk_mode *mode, u64 linear, u32 access, gpa_t *gpa,
	u32 *error)
{
	const struct gwalk_format *f = format_of(mode);
	u64 reserved = 0;
	bool pages_large = f != &format_32 || (mode->cr4 & CR4_PSE);

	if (!(mode->cr0 & CR0_PG)) {
		*gpa = linear;
		return true;
	}
	if (f != &format_32) {
		reserved = ADDRESS_MASK & ~(BIT(mode->gpa_bits) - 1);
		if (!(mode->efer & EFER_NXE))
			reserved |= ENTRY_NX;
	}
	for (u32 restart = 0;; restart++) {
		struct gwalk_step step[MAX_LEVELS];
		gpa_t table = mode->cr3 & f->root;
		u64 rights = ENTRY_RW | ENTRY_US | ENTRY_A;
		u64 nx = 0;
		u64 entry;
		u32 i = 0;

		for (;; i++) {
			const struct gwalk_level *level = &f->level[i];
			u64 index = linear >> level->shift & (BIT(f->index_bits) - 1);
			bool large;

			step[i].at = table + index * f->entry_size;
			entry = step[i].entry = entry_read(g, step[i].at, f->entry_size);
			if (!(entry & ENTRY_P)) {
				*error = error_code(mode, access, 0);
				return false;
			}
			large = level->large && (entry & ENTRY_PS) && pages_large;
			if (entry &
				(reserved | (large ? level->reserved_large : level->reserved))) {
				*error = error_code(mode, access, PF_PRESENT | PF_RESERVED);
				return false;
			}
			if (level->rights) {
				rights &= entry;
				nx |= entry & ENTRY_NX;
			}
			if (large || i + 1 == f->levels)
				break;
			table = entry & ADDRESS_MASK;
		}
		if (!access_allowed(mode, rights, nx, access)) {
			*error = error_code(mode, access, PF_PRESENT);
			return false;
		}
		if (!(access & GWALK_PEEK) &&
			(!(rights & ENTRY_A) || ((access & GWALK_WRITE) && !(entry & ENTRY_D))) &&
			!accessed_dirty(g, f, step, i, access) && restart < MAX_RESTARTS)
			continue; /* another CPU of the guest changed an entry meanwhile */
		*gpa = leaf_address(f, &f->level[i], entry, linear);
		return true;
	}
}
