/* Fuzzes the driver of Intel's gigabit Ethernet cards: see card_fuzz.h. */
#include "drivers/e1000/e1000.h"
#include "tests/fuzz/card_fuzz.h"
#include "tests/unit/fake_e1000.h"

static bool transmit(u32 way)
{
	return fake_e1000_transmit((enum fake_e1000_act)way);
}

static bool receive(const u8 *frame, u32 bytes, u32 way)
{
	return fake_e1000_receive(frame, bytes, (enum fake_e1000_act)way);
}

static void mend_card(void)
{
	fake_e1000.gone = false;
	fake_e1000.link = true;
}

static void came_out(const u8 *frame, u32 bytes)
{
	card_work_out(&w, frame, bytes);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const struct card_model model = {
		.transmit = transmit,
		.receive = receive,
		.ways = FAKE_E1000_ACTS,
		.mend = mend_card,
		.rules = &fake_e1000.rules,
	};

	if (size < 2)
		return 0;
	fake_e1000_init(data[0] & 1, data[0] & 2 ? 5 : 0);
	fake_e1000.lazy = data[0] & 4;
	fake_e1000.keeps_address = data[0] & 8;
	fake_e1000.sent = came_out;
	run(data + 1, size - 1, &e1000_driver, &model);
	return 0;
}
