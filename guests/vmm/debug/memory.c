/* Guest memory as a debugger sees it, and breakpoints in it. */
#include "debug.h"
#include "guests/vmm/cpu/gwalk.h"
#include "guests/vmm/vcpu.h"

#define HLT           0xf4
#define DR7_EXACT     (BIT(8) | BIT(9)) /* LE and GE; beside them DR7_FIXED */
#define DR7_GLOBAL(i) BIT((i)*2 + 1)
#define DR7_TYPE(i)   (16 + (i)*4) /* R/W: 0 execution, 1 writes, 3 accesses */
#define DR7_LENGTH(i) (18 + (i)*4)
#define DR7_WRITES    1ull
#define DR7_ACCESSES  3ull

bool debug_translate(struct vcpu *v, u64 linear, gpa_t *gpa)
{
	const struct run_page *run = v->run;
	const struct gwalk_mode mode = {
		.cr0 = run->cr0,
		.cr3 = run->cr3,
		.cr4 = run->cr4,
		.efer = run->efer,
		.rflags = run->rflags | RFLAGS_AC, /* SMAP is no hindrance */
		.gpa_bits = v->cpuid->physical_bits,
	};
	u32 unused = 64 - (run->cr4 & CR4_LA57 ? 57 : 48);
	u32 error;

	if (!(run->efer & EFER_LMA))
		linear = (u32)linear;
	else if ((u64)((s64)(linear << unused) >> unused) != linear)
		return false;
	return gwalk(&v->machine->memory, &mode, linear, GWALK_PEEK, gpa, &error);
}

/* The breakpoint at a guest-physical address, or NULL. */
static struct debug_soft *soft_at(const struct machine *m, gpa_t gpa)
{
	for (u32 i = 0; i < DEBUG_SOFT_MAX; i++) {
		struct debug_soft *s = &m->state->debug.soft[i];

		if (s->used && s->gpa == gpa)
			return s;
	}
	return NULL;
}

bool debug_soft_any(const struct machine *m)
{
	bool any = false;

	for (u32 i = 0; i < DEBUG_SOFT_MAX; i++)
		any |= m->state->debug.soft[i].used != 0;
	return any;
}

bool debug_soft_at(const struct machine *m, gpa_t gpa)
{
	return soft_at(m, gpa) != NULL;
}

/* A piece within a page; false: it is no RAM. */
static bool move(struct vcpu *v, u64 linear, u8 *data, u32 size, bool write)
{
	const struct machine *m = v->machine;
	gpa_t gpa;
	u8 *ram;

	if (!debug_translate(v, linear, &gpa))
		return false;
	ram = gmem_at(&m->memory, gpa, size);
	if (!ram)
		return false;
	for (u32 i = 0; i < DEBUG_SOFT_MAX; i++) {
		struct debug_soft *s = &m->state->debug.soft[i];
		u64 offset = s->gpa - gpa;

		if (!s->used || offset >= size || ram[offset] != HLT)
			continue;
		if (write) { /* the new byte is for later */
			s->original = data[offset];
			data[offset] = HLT;
		}
	}
	memcpy(write ? ram : data, write ? data : ram, size);
	for (u32 i = 0; i < DEBUG_SOFT_MAX && !write; i++) {
		struct debug_soft *s = &m->state->debug.soft[i];

		if (s->used && s->gpa - gpa < size && data[s->gpa - gpa] == HLT)
			data[s->gpa - gpa] = (u8)s->original;
	}
	return true;
}

static u32 move_all(struct vcpu *v, u64 linear, u8 *data, u32 size, bool write)
{
	u32 done = 0;

	while (done < size) {
		u64 left = PAGE_SIZE - ((linear + done) & (PAGE_SIZE - 1));
		u32 piece = size - done < left ? size - done : (u32)left;

		if (!move(v, linear + done, data + done, piece, write))
			break;
		done += piece;
	}
	return done;
}

u32 debug_read(struct vcpu *v, u64 linear, void *data, u32 size)
{
	return move_all(v, linear, data, size, false);
}

u32 debug_write(struct vcpu *v, u64 linear, const void *data, u32 size)
{
	u8 piece[64];
	u32 done = 0;

	while (done < size) {
		u32 count = size - done < sizeof(piece) ? size - done : (u32)sizeof(piece);
		u32 went;

		memcpy(piece, (const u8 *)data + done, count);
		went = move_all(v, linear + done, piece, count, true);
		done += went;
		if (went < count)
			break;
	}
	return done;
}

static bool soft_set(struct vcpu *v, u64 linear)
{
	struct debug_state *d = &v->machine->state->debug;
	gpa_t gpa;
	u8 *byte;

	if (!debug_translate(v, linear, &gpa))
		return false;
	byte = gmem_at(&v->machine->memory, gpa, 1);
	if (!byte || debug_soft_at(v->machine, gpa))
		return byte;
	for (u32 i = 0; i < DEBUG_SOFT_MAX; i++) {
		struct debug_soft *s = &d->soft[i];

		if (s->used)
			continue;
		s->linear = linear;
		s->gpa = gpa;
		s->original = *byte;
		__atomic_store_n(&s->used, 1, __ATOMIC_RELEASE);
		__atomic_store_n(byte, HLT, __ATOMIC_RELEASE);
		return true;
	}
	return false;
}

/* Where the guest has written something else since, that stays. */
static void soft_remove(struct machine *m, struct debug_soft *s)
{
	u8 *byte = gmem_at(&m->memory, s->gpa, 1);

	if (byte && *byte == HLT)
		__atomic_store_n(byte, (u8)s->original, __ATOMIC_RELEASE);
	__atomic_store_n(&s->used, 0, __ATOMIC_RELEASE);
}

/* The address it was set for, as the guest may have mapped something else there since. */
static void soft_clear(struct vcpu *v, u64 linear)
{
	for (u32 i = 0; i < DEBUG_SOFT_MAX; i++) {
		struct debug_soft *s = &v->machine->state->debug.soft[i];

		if (s->used && s->linear == linear)
			soft_remove(v->machine, s);
	}
}

/* The largest aligned piece at `linear` that a debug register covers. */
static u64 hard_piece(u64 linear, u64 length)
{
	u64 piece = 8;

	while (piece > length || linear & (piece - 1))
		piece /= 2;
	return piece;
}

static bool hard_set(struct machine *m, enum debug_point type, u64 linear, u64 length)
{
	struct debug_state *d = &m->state->debug;
	struct debug_state before = *d;

	while (length) {
		u64 piece = hard_piece(linear, length);
		struct debug_hard *free = NULL;

		for (u32 i = 0; i < DEBUG_HARD_MAX; i++) {
			if (!d->hard[i].length)
				free = &d->hard[i];
		}
		if (!free) {
			memcpy(d->hard, before.hard, sizeof(d->hard));
			return false;
		}
		*free = (struct debug_hard){piece, linear, type};
		linear += piece;
		length -= piece;
	}
	return true;
}

static void hard_clear(struct machine *m, enum debug_point type, u64 linear, u64 length)
{
	struct debug_hard *hard = m->state->debug.hard;

	while (length) {
		u64 piece = hard_piece(linear, length);

		for (u32 i = 0; i < DEBUG_HARD_MAX; i++) {
			if (hard[i].type == type && hard[i].linear == linear &&
				hard[i].length == piece)
				hard[i] = (struct debug_hard){0};
		}
		linear += piece;
		length -= piece;
	}
}

bool debug_point_set(struct vcpu *v, enum debug_point type, u64 linear, u64 length)
{
	if (type == DEBUG_SOFT)
		return soft_set(v, linear);
	if (type == DEBUG_EXEC)
		length = 1;
	if (!length || length > 8 * DEBUG_HARD_MAX)
		return false;
	hard_clear(v->machine, type, linear, length); /* again is as good as once */
	return hard_set(v->machine, type, linear, length);
}

bool debug_point_clear(struct vcpu *v, enum debug_point type, u64 linear, u64 length)
{
	if (type == DEBUG_SOFT) {
		soft_clear(v, linear);
		return true;
	}
	if (type == DEBUG_EXEC)
		length = 1;
	if (length > 8 * DEBUG_HARD_MAX)
		return false;
	hard_clear(v->machine, type, linear, length);
	return true;
}

void debug_points_clear(struct machine *m)
{
	struct debug_state *d = &m->state->debug;

	for (u32 i = 0; i < DEBUG_SOFT_MAX; i++) {
		if (d->soft[i].used)
			soft_remove(m, &d->soft[i]);
	}
	memset(d->hard, 0, sizeof(d->hard));
}

u64 debug_dr7(const struct machine *m)
{
	const struct debug_hard *hard = m->state->debug.hard;
	u64 dr7 = 0;

	for (u32 i = 0; i < DEBUG_HARD_MAX; i++) {
		u64 bytes = hard[i].length == 8 ? 2 : hard[i].length - 1; /* as DR7 counts */

		if (!hard[i].length)
			continue;
		dr7 |= DR7_FIXED | DR7_EXACT | DR7_GLOBAL(i) | bytes << DR7_LENGTH(i);
		if (hard[i].type != DEBUG_EXEC)
			dr7 |= (hard[i].type == DEBUG_WRITE ? DR7_WRITES : DR7_ACCESSES)
			       << DR7_TYPE(i);
	}
	return dr7;
}
