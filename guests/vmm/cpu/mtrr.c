/* MTRRs: storage and the checks that a write must pass. */
#include "mtrr.h"
#include "x86.h"

#define CAP_FIXED    BIT(8)
#define CAP_WC       BIT(10)
#define DEFAULT_TYPE 0xffull
#define DEFAULT_FE   BIT(10)
#define DEFAULT_E    BIT(11)
#define MASK_VALID   BIT(11)
#define TYPE_COUNT   8

/* Index in fixed[], or MTRR_FIXED for another register. */
static u32 fixed_index(u32 msr)
{
	if (msr == MSR_MTRR_FIXED_64K)
		return 0;
	if (msr == MSR_MTRR_FIXED_16K || msr == MSR_MTRR_FIXED_16K + 1)
		return 1 + msr - MSR_MTRR_FIXED_16K;
	if (msr >= MSR_MTRR_FIXED_4K && msr < MSR_MTRR_FIXED_4K + 8)
		return 3 + msr - MSR_MTRR_FIXED_4K;
	return MTRR_FIXED;
}

/* UC, WC, WT, WP, WB */
static bool type_valid(u64 type)
{
	static const u8 valid[TYPE_COUNT] = {1, 1, 0, 0, 1, 1, 1, 0};

	return type < TYPE_COUNT && valid[type];
}

bool mtrr_is(u32 msr)
{
	return msr == MSR_MTRR_CAP || msr == MSR_MTRR_DEFAULT ||
	       msr - MSR_MTRR_VARIABLE < 2 * MTRR_VARIABLE || fixed_index(msr) < MTRR_FIXED;
}

u64 mtrr_read(const struct mtrr *s, u32 msr)
{
	u32 fixed = fixed_index(msr);

	if (msr == MSR_MTRR_CAP)
		return MTRR_VARIABLE | CAP_FIXED | CAP_WC;
	if (msr == MSR_MTRR_DEFAULT)
		return s->default_type;
	if (fixed < MTRR_FIXED)
		return s->fixed[fixed];
	msr = (msr - MSR_MTRR_VARIABLE) % (2 * MTRR_VARIABLE);
	return msr & 1 ? s->mask[msr / 2] : s->base[msr / 2];
}

bool mtrr_write(struct mtrr *s, u32 msr, u64 value, u32 physical_bits)
{
	u64 address = (BIT(physical_bits) - 1) & ~(PAGE_SIZE - 1);
	u32 fixed = fixed_index(msr);

	if (msr == MSR_MTRR_CAP)
		return false;
	if (msr == MSR_MTRR_DEFAULT) {
		if ((value & ~(DEFAULT_TYPE | DEFAULT_FE | DEFAULT_E)) ||
			!type_valid(value & DEFAULT_TYPE))
			return false;
		s->default_type = value;
		return true;
	}
	if (fixed < MTRR_FIXED) {
		for (u32 i = 0; i < 64; i += 8) {
			if (!type_valid(value >> i & 0xff))
				return false;
		}
		s->fixed[fixed] = value;
		return true;
	}
	msr = (msr - MSR_MTRR_VARIABLE) % (2 * MTRR_VARIABLE);
	if (msr & 1) {
		if (value & ~(address | MASK_VALID))
			return false;
		s->mask[msr / 2] = value;
	} else {
		if ((value & ~(address | DEFAULT_TYPE)) || !type_valid(value & DEFAULT_TYPE))
			return false;
		s->base[msr / 2] = value;
	}
	return true;
}
