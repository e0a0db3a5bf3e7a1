/* virtio entropy device. */
#include "guests/vmm/virtio/rng.h"
#include "tests/unit/virtio_driver.h"

static struct virtio_rng rng;

const struct virtio_model *virtio_model(u8 type)
{
	return type == VIRTIO_TYPE_ENTROPY ? &virtio_rng_model : NULL;
}

static void start(void)
{
	static const u8 seed[RANDOM_SEED] = {9, 8, 7};

	CHECK(virtio_rng_init(driver_machine(), &rng, DRIVER_DEVFN, seed));
	driver_attach(&rng.virtio);
	driver_start(0, 64);
}

TEST(gives_bytes)
{
	const struct driver_part part[] = {
		{DRIVER_DATA, 100, true}, {DRIVER_DATA + 0x100, 9, true}};
	static const u8 zero[16];
	u32 id, length;

	start();
	driver_add(0, part, 2);
	driver_kick(0);
	CHECK(driver_used(0, &id, &length));
	CHECK_EQ(length, 109);
	CHECK(memcmp(driver_ram + DRIVER_DATA, zero, 16) != 0);
	CHECK(memcmp(driver_ram + DRIVER_DATA, driver_ram + DRIVER_DATA + 16, 16) != 0);
	CHECK(memcmp(driver_ram + DRIVER_DATA + 0x100, zero, 8) != 0);
	CHECK_EQ(driver_ram[DRIVER_DATA + 0x109], 0);
}

TEST(takes_no_readable_buffers)
{
	const struct driver_part part = {DRIVER_DATA, 100, false};

	start();
	driver_add(0, &part, 1);
	driver_kick(0);
	CHECK(driver_broken());
}

TEST(work_for_one_event_is_bounded)
{
	const struct driver_part part = {DRIVER_DATA, 0x10000, true};
	u32 id, length;
	u32 used = 0;

	start();
	for (u32 i = 0; i < 40; i++)
		driver_add(0, &part, 1);
	driver_kick(0);
	while (driver_used(0, &id, &length)) {
		CHECK_EQ(length, VIRTIO_RNG_MOST);
		used++;
	}
	CHECK_EQ(used, VIRTIO_RNG_EVENT / VIRTIO_RNG_MOST);
	while (fake_due(&driver.m, MACHINE_TIMER_VIRTIO))
		virtio_timer(&driver.m, &rng.virtio);
	while (driver_used(0, &id, &length))
		used++;
	CHECK_EQ(used, 40);
}
