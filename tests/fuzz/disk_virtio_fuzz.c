/* Fuzzes the driver of virtio disks: see disk_fuzz.h. */
#include "drivers/virtio_blk/blk.h"
#include "tests/fuzz/disk_fuzz.h"
#include "tests/unit/fake_virtio_blk.h"

static bool step(u32 kind)
{
	return fake_blk_step((enum fake_blk_act)kind);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	/* VERSION_1, SEG_MAX, BLK_SIZE, FLUSH, DISCARD, WRITE_ZEROES; the others by the input */
	u64 features = BIT(32) | BIT(2) | BIT(6) | BIT(9) | BIT(13) | BIT(14);

	if (size < 2)
		return 0;
	features |= data[0] & 1 ? BIT(28) : 0;
	features |= data[0] & 2 ? BIT(29) : 0;
	fake_blk_init(features, data[0] & 4 ? 1 : 3);
	fake_virtio.queue_size = data[0] & 8 ? 128 : 16;
	run(data + 1, size - 1, &virtio_blk_driver, step, FAKE_BLK_ACTS, &fake_virtio.rules);
	return 0;
}
