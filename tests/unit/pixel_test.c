/* Tests of pixel formats by their masks. */
#include "boot/pixel.h"
#include "tests/unit/test.h"

static u32 with(u32 red, u32 green, u32 blue, u32 reserved)
{
	return pixel_format((u32[]){red, green, blue, reserved});
}

TEST(formats)
{
	u32 deep = with(0x3ff00000, 0xffc00, 0x3ff, 0xc0000000);

	CHECK_EQ(with(0xff0000, 0xff00, 0xff, 0xff000000),
		BOOT_PIXEL(
			BOOT_PIXEL_FIELD(16, 8), BOOT_PIXEL_FIELD(8, 8), BOOT_PIXEL_FIELD(0, 8)));
	CHECK_EQ(BOOT_PIXEL_OF(deep, 0), BOOT_PIXEL_FIELD(20, 10));
	CHECK_EQ(BOOT_PIXEL_OF(deep, 1), BOOT_PIXEL_FIELD(10, 10));
	CHECK_EQ(BOOT_PIXEL_OF(deep, 2), BOOT_PIXEL_FIELD(0, 10));
	CHECK_EQ(
		BOOT_PIXEL_OF(with(0x80000000, 0x7fff8000, 0x7fff, 0), 0), BOOT_PIXEL_FIELD(31, 1));
}

TEST(refused)
{
	CHECK_EQ(with(0, 0, 0, 0), BOOT_PIXEL_NONE);
	CHECK_EQ(with(0xf800, 0x7e0, 0x1f, 0), BOOT_PIXEL_NONE);        /* 16 bits */
	CHECK_EQ(with(0xff0000, 0xff00, 0xff, 0), BOOT_PIXEL_NONE);     /* 24 bits */
	CHECK_EQ(with(0xff000000, 0, 0xff, 0), BOOT_PIXEL_NONE);        /* no green */
	CHECK_EQ(with(0xff000000, 0x1ff00, 0x1ff, 0), BOOT_PIXEL_NONE); /* one bit of two colours */
	CHECK_EQ(with(0xff0000, 0xff00, 0xff, 0xff008000), BOOT_PIXEL_NONE);
	CHECK_EQ(with(0xff000000, 0xef00, 0xff, 0), BOOT_PIXEL_NONE); /* scattered */
	CHECK_EQ(with(0xffff8000, 0x7f00, 0xff, 0), BOOT_PIXEL_NONE); /* too many */
	CHECK_EQ(with(0xffffffff, 0, 0, 0), BOOT_PIXEL_NONE);
}
