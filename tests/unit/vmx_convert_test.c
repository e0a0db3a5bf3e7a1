/* Tests of VT-x's conversions: access rights, events, control words. */
#include "tests/unit/test.h"
#include "vmx/convert.h"

/* Segments that systems have, in the VMCB's form and in VT-x's */
#define CODE64_ATTRIBUTES 0xa9b /* G L P DPL 0, execute/read, accessed */
#define CODE64_RIGHTS     0xa09b
#define DATA_DPL3         0xcf3
#define DATA_DPL3_RIGHTS  0xc0f3
#define TSS_AVAILABLE     0x089
#define TSS_BUSY          0x08b
#define LIMIT_4G          0xffffffffu
#define LIMIT_64K         0xffffu

TEST(rights_move_the_upper_nibble)
{
	CHECK_EQ(rights_of(CODE64_ATTRIBUTES), CODE64_RIGHTS);
	CHECK_EQ(rights_of(DATA_DPL3), DATA_DPL3_RIGHTS);
	CHECK_EQ(attributes_of(CODE64_RIGHTS), CODE64_ATTRIBUTES);
	CHECK_EQ(attributes_of(DATA_DPL3_RIGHTS), DATA_DPL3);
}

TEST(rights_come_back_for_all_attributes)
{
	for (u32 a = 0; a < 0x1000; a++)
		CHECK_EQ(attributes_of(rights_of((u16)a)), a);
}

TEST(rights_ignore_bits_above_the_form)
{
	CHECK_EQ(rights_of(0xf000 | CODE64_ATTRIBUTES), CODE64_RIGHTS);
	CHECK_EQ(rights_of(0xf000 | CODE64_ATTRIBUTES) & 0x0f00, 0);
}

TEST(rights_not_present_is_unusable_and_keeps_dpl)
{
	u32 rights = rights_of(3 << 5);

	CHECK(rights & RIGHTS_UNUSABLE);
	CHECK_EQ(rights >> 5 & 3, 3);
	CHECK_EQ(attributes_of(RIGHTS_UNUSABLE | DATA_DPL3_RIGHTS) & ATTRIBUTES_PRESENT, 0);
	CHECK_EQ(attributes_of(RIGHTS_UNUSABLE | DATA_DPL3_RIGHTS) >> 5 & 3, 3);
}

TEST(rights_fix_makes_what_entry_wants)
{
	CHECK_EQ(rights_fix(TSS_AVAILABLE, LIMIT_64K, true), TSS_BUSY);
	CHECK_EQ(rights_fix(TSS_BUSY, LIMIT_64K, true), TSS_BUSY);
	CHECK_EQ(rights_fix(0x92, LIMIT_64K, false), 0x93);
	CHECK_EQ(rights_fix(0x82, LIMIT_64K, false), 0x82); /* LDT: no accessed bit */
	CHECK_EQ(rights_fix(RIGHTS_UNUSABLE, LIMIT_4G, false), RIGHTS_UNUSABLE);
}

TEST(rights_fix_granularity_follows_the_limit)
{
	CHECK_EQ(rights_fix(0x93, LIMIT_4G, false), 0x8093);
	CHECK_EQ(rights_fix(0x8093, LIMIT_64K - 1, false), 0x93);
	CHECK_EQ(rights_fix(0x8093, LIMIT_64K, false), 0x8093);
	CHECK_EQ(rights_fix(0x93, LIMIT_64K, false), 0x93);
}

static u64 exception(u32 vector)
{
	return INJECT_VALID | INJECT_TYPE_EXCEPT | vector;
}

static u64 with_error(u64 event, u32 error)
{
	return event | INJECT_ERROR | (u64)error << 32;
}

TEST(event_kinds)
{
	CHECK_EQ(event_to_vmx(INJECT_VALID | INJECT_TYPE_INTR | 0x30, 0, true), 0x80000030);
	CHECK_EQ(event_to_vmx(INJECT_VALID | INJECT_TYPE_NMI | 2, 0, true), 0x80000202);
	CHECK_EQ(event_to_vmx(exception(6), 0, true), 0x80000306);
	CHECK_EQ(event_to_vmx(with_error(exception(14), 2), 0, true), 0x80000b0e);
	CHECK_EQ(event_to_vmx(INJECT_VALID | INJECT_TYPE_SOFT | 0x80, 2, true), 0x80000480);
	CHECK_EQ(event_to_vmx(exception(3), 1, true), 0x80000603);
	CHECK_EQ(event_to_vmx(exception(3), 0, true), 0x80000303);
	CHECK_EQ(event_to_vmx(exception(4), 1, true), 0x80000604);
	CHECK_EQ(event_to_vmx(exception(1), 1, true), 0x80000501);
	CHECK_EQ(event_to_vmx(exception(1), 0, true), 0x80000301);
}

TEST(event_error_code_follows_the_mode)
{
	CHECK_EQ(event_to_vmx(with_error(exception(13), 0xffff), 0, true), 0x80000b0d);
	CHECK_EQ(event_to_vmx(with_error(exception(13), 0), 0, false), 0x8000030d);
	CHECK_EQ(event_to_vmx(exception(13), 0, false), 0x8000030d);
}

/* An event that an exit interrupted can be injected again as it was. */
TEST(event_comes_back)
{
	static const struct {
		u32 info;
		u32 error;
		u64 length;
	} events[] = {
		{0x80000030, 0, 0},
		{0x80000202, 0, 0},
		{0x80000306, 0, 0},
		{0x80000b0e, 0x1f, 0},
		{0x80000480, 0, 2},
		{0x80000501, 0, 1},
		{0x80000603, 0, 1},
		{0x80000604, 0, 1},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(events); i++) {
		u64 event = event_of_vmx(events[i].info, events[i].error);

		CHECK_EQ(event >> 32, events[i].error);
		CHECK_EQ(event_is_soft(events[i].info), events[i].length != 0);
		CHECK_EQ(event_to_vmx(event, events[i].length, true), events[i].info);
	}
}

/* Whatever the VMM writes: entry gets to see it, but for what the two do not have in common. */
TEST(event_any_value)
{
	for (u64 event = 0; event < 0x1000; event++) {
		for (u64 length = 0; length < 17; length++) {
			u32 info = event_to_vmx(
				INJECT_VALID | 0x7ffff000 | event | length << 32, length, true);

			CHECK_EQ(info & ~(INTR_ERROR | INTR_TYPE | INTR_VECTOR), INTR_VALID);
			CHECK_EQ(info & INTR_VECTOR, event & 0xff);
			if (info & INTR_TYPE & ~INTR_HARD_EXCEPTION &&
				(event & INJECT_TYPE_MASK) == INJECT_TYPE_EXCEPT)
				CHECK(length && event_is_soft(info));
			else
				CHECK_EQ(info & (INTR_TYPE | INTR_ERROR),
					event & (INTR_TYPE | INTR_ERROR));
		}
	}
}

TEST(control_adjust_obeys_the_capability)
{
	u32 out;

	/* Bits 1 and 2 must be 1; 0-3 may be. */
	CHECK_EQ(control_adjust(0x0000000f00000006ull, BIT(0), 0, &out), 0);
	CHECK_EQ(out, 7);
	CHECK_EQ(control_adjust(0x0000000f00000006ull, BIT(0) | BIT(4), 0, &out), BIT(4));
	CHECK_EQ(control_adjust(0x0000000f00000006ull, 0, BIT(3) | BIT(5), &out), 0);
	CHECK_EQ(out, 0xe);
	CHECK_EQ(control_adjust(0xffffffff00000000ull, BIT(31), 0, &out), 0);
	CHECK_EQ(out, BIT(31));
}
