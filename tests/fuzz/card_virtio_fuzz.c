/* Fuzzes the driver of virtio network cards: see card_fuzz.h. */
#include "drivers/virtio_net/net.h"
#include "tests/fuzz/card_fuzz.h"
#include "tests/unit/fake_virtio_net.h"

static bool transmit(u32 way)
{
	return fake_vnet_transmit((enum fake_vnet_act)way);
}

static bool receive(const u8 *frame, u32 bytes, u32 way)
{
	return fake_vnet_receive(frame, bytes, (enum fake_vnet_act)way);
}

static void mend_card(void)
{
	fake_vnet.link = true;
}

static void came_out(const u8 *frame, u32 bytes)
{
	card_work_out(&w, frame + sizeof(struct net_header), bytes - sizeof(struct net_header));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const struct card_model model = {
		.transmit = transmit,
		.receive = receive,
		.ways = FAKE_VNET_ACTS,
		.mend = mend_card,
		.rules = &fake_virtio.rules,
	};
	/* VERSION_1, MAC, STATUS; the others by the input */
	u64 features = BIT(32) | BIT(5) | BIT(16);

	if (size < 2)
		return 0;
	features |= data[0] & 1 ? BIT(29) : 0;
	features |= data[0] & 2 ? BIT(0) | BIT(1) : 0;
	features |= data[0] & 4 ? BIT(7) | BIT(8) | BIT(11) | BIT(15) : 0;
	features |= data[0] & 8 ? BIT(17) | BIT(18) : 0;
	fake_vnet_init(features, data[0] & 16 ? 3 : 1);
	fake_virtio.queue_size = data[0] & 32 ? 256 : 16;
	fake_vnet.sent = came_out;
	run(data + 1, size - 1, &virtio_net_driver, &model);
	return 0;
}
