/* The virtio transport: capabilities, features, status, queues, reset, PCI-access window. */
#include "tests/unit/virtio_driver.h"

#define QUEUES       3u
#define SIZE         16u
#define FEATURE_A    BIT(0)
#define FEATURE_B    BIT(1)
#define FEATURE_C    BIT(2)
#define CAPABILITIES 0x34
#define VENDOR       0x09

static struct device {
	struct virtio virtio;
	u8 config[8];
	u32 written; /* offset, size and value of the last write to the configuration */
	u32 processed[VIRTIO_QUEUES];
	u32 resets;
	u32 queue_resets;
	u32 starts;
	u32 negotiations;
} device;

static void config(struct machine *m, const struct virtio *d, u8 *bytes)
{
	(void)m;
	(void)d;
	memcpy(bytes, device.config, sizeof(device.config));
}

static void config_write(struct machine *m, struct virtio *d, u32 offset, unsigned size, u32 value)
{
	(void)m;
	(void)d;
	device.written = offset << 24 | size << 16 | value;
}

static void process(struct machine *m, struct virtio *d, u32 queue)
{
	struct virtqueue_chain c;

	device.processed[queue]++;
	while (virtio_look(m, d, queue, 0, &c))
		virtio_finish(m, d, queue, c.head, c.write_bytes);
	virtio_interrupt(m, d, queue);
}

static void queue_reset(struct machine *m, struct virtio *d, u32 queue)
{
	(void)m;
	(void)d;
	(void)queue;
	device.queue_resets++;
}

static void reset(struct machine *m, struct virtio *d)
{
	(void)m;
	(void)d;
	device.resets++;
}

static void begin(struct machine *m, struct virtio *d)
{
	(void)m;
	(void)d;
	device.starts++;
}

static void negotiated(struct machine *m, struct virtio *d)
{
	(void)m;
	(void)d;
	device.negotiations++;
}

static const struct virtio_need needs[] = {{FEATURE_B, FEATURE_A | FEATURE_C}, {0, 0}};

static const struct virtio_model model = {
	.class_code = 0x010203,
	.config_bytes = sizeof(device.config),
	.needs = needs,
	.config = config,
	.config_write = config_write,
	.negotiated = negotiated,
	.start = begin,
	.process = process,
	.queue_reset = queue_reset,
	.reset = reset,
};

const struct virtio_model *virtio_model(u8 type)
{
	return type == VIRTIO_TYPE_BLOCK ? &model : NULL;
}

static void start(void)
{
	const struct virtio_setup setup = {
		.magic = DEVICE_MAGIC('T', 'E', 'S', 'T'),
		.bytes = sizeof(device),
		.type = VIRTIO_TYPE_BLOCK,
		.devfn = DRIVER_DEVFN,
		.queues = QUEUES,
		.size = SIZE,
		.offered = FEATURE_A | FEATURE_B | FEATURE_C,
	};

	memset(&device, 0, sizeof(device));
	CHECK(virtio_init(driver_machine(), &device.virtio, &setup));
	driver_attach(&device.virtio);
}

static u32 config_space(u32 offset, unsigned size)
{
	return pci_config_read(&driver.m, &driver.pci, DRIVER_DEVFN, offset, size);
}

/* Where the n-th vendor capability of a type is; 0: there is none. */
static u32 capability(u8 type, u32 n)
{
	for (u32 at = config_space(CAPABILITIES, 1); at; at = config_space(at + 1, 1)) {
		if (config_space(at, 1) == VENDOR && config_space(at + 3, 1) == type && !n--)
			return at;
	}
	return 0;
}

TEST(function_identifies_itself)
{
	start();
	CHECK_EQ(config_space(PCI_VENDOR_ID, 2), 0x1af4);
	CHECK_EQ(config_space(PCI_DEVICE_ID, 2), 0x1042);
	CHECK_EQ(config_space(PCI_REVISION, 1), 1);
	CHECK_EQ(config_space(PCI_CLASS + 1, 2), 0x0102);
	CHECK(config_space(PCI_SUBSYSTEM_ID, 2) >= 0x40);
	CHECK_EQ(config_space(PCI_INTERRUPT_PIN, 1), 1);
	CHECK(config_space(PCI_STATUS, 2) & PCI_STS_CAPABILITIES);
}

TEST(capabilities_say_where_structures_are)
{
	static const struct {
		u8 type, bar;
		u32 offset, length;
	} expected[] = {{1, 0, VIRTIO_OFFSET_COMMON, 0x40}, {2, 1, 0, 2 * QUEUES},
		{3, 0, VIRTIO_OFFSET_ISR, 1}, {4, 0, VIRTIO_OFFSET_DEVICE, 8}};

	start();
	for (u32 i = 0; i < ARRAY_SIZE(expected); i++) {
		u32 at = capability(expected[i].type, 0);

		CHECK(at != 0);
		CHECK_EQ(config_space(at + 4, 1), expected[i].bar);
		CHECK_EQ(config_space(at + 8, 4), expected[i].offset);
		CHECK_EQ(config_space(at + 12, 4), expected[i].length);
		CHECK_EQ(config_space(at + 2, 1), expected[i].type == 2 ? 20 : 16);
		CHECK_EQ(capability(expected[i].type, 1), 0); /* one of each */
	}
	CHECK_EQ(config_space(capability(2, 0) + 16, 4), 2); /* notify_off_multiplier */
	CHECK(capability(5, 0) != 0);
}

TEST(features_by_windows)
{
	start();
	CHECK_EQ(driver_offered(), FEATURE_A | FEATURE_B | FEATURE_C | VIRTIO_F_ALL);
	driver_write(VIRTIO_DEVICE_FEATURE_SELECT, 4, 2);
	CHECK_EQ(driver_read(VIRTIO_DEVICE_FEATURE_SELECT, 4), 2);
	CHECK_EQ(driver_read(VIRTIO_DEVICE_FEATURE, 4), 0);
	driver_write(VIRTIO_DRIVER_FEATURE_SELECT, 4, 7);
	driver_write(VIRTIO_DRIVER_FEATURE, 4, ~0u);
	CHECK_EQ(driver_read(VIRTIO_DRIVER_FEATURE, 4), 0);
	driver_write(VIRTIO_DRIVER_FEATURE_SELECT, 4, 1);
	driver_write(VIRTIO_DRIVER_FEATURE, 4, 1);
	CHECK_EQ(driver_read(VIRTIO_DRIVER_FEATURE, 4), 1);
	CHECK_EQ(device.virtio.accepted, VIRTIO_F_VERSION_1);
}

TEST(features_ok_is_refused)
{
	start();
	CHECK(!driver_negotiate(0));                              /* no VERSION_1 */
	CHECK(!driver_negotiate(VIRTIO_F_VERSION_1 | BIT(3)));    /* not offered */
	CHECK(!driver_negotiate(VIRTIO_F_VERSION_1 | FEATURE_B)); /* needs A or C */
	CHECK_EQ(device.negotiations, 0);
	CHECK(driver_negotiate(VIRTIO_F_VERSION_1 | FEATURE_B | FEATURE_C));
	CHECK_EQ(device.negotiations, 1);
	driver_write(VIRTIO_DRIVER_FEATURE, 4, 0); /* too late */
	CHECK(virtio_has(&device.virtio, VIRTIO_F_VERSION_1));
}

TEST(driver_ok_needs_features_ok)
{
	start();
	CHECK(!driver_negotiate(0));
	driver_ok();
	CHECK(!(driver_read(VIRTIO_STATUS, 1) & VIRTIO_STATUS_DRIVER_OK));
	CHECK_EQ(device.starts, 0);
	driver_start(0, SIZE);
	CHECK_EQ(driver_read(VIRTIO_STATUS, 1), 0x0f);
	CHECK_EQ(device.starts, 1);
	CHECK_EQ(device.processed[2], 1); /* what was added before */
}

TEST(status_bits_are_only_set)
{
	start();
	driver_start(0, SIZE);
	driver_write(VIRTIO_STATUS, 1, VIRTIO_STATUS_ACKNOWLEDGE);
	CHECK_EQ(driver_read(VIRTIO_STATUS, 1), 0x0f);
	driver_write(VIRTIO_STATUS, 1, VIRTIO_STATUS_NEEDS_RESET); /* not the driver's */
	CHECK(!driver_broken());
	driver_write(VIRTIO_STATUS, 1, VIRTIO_STATUS_FAILED);
	CHECK_EQ(driver_read(VIRTIO_STATUS, 1), 0x8f);
	CHECK(!virtio_live(&driver.m, &device.virtio, 0));
	driver_write(VIRTIO_STATUS, 1, 0);
	CHECK_EQ(driver_read(VIRTIO_STATUS, 1), 0);
	CHECK_EQ(device.resets, 1 + 1);
}

TEST(fields_have_one_width)
{
	start();
	driver_write(VIRTIO_QUEUE_SELECT, 2, 1);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_SELECT, 4), 0);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_SELECT, 1), 0);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_SELECT, 2), 1);
	driver_write(VIRTIO_QUEUE_SELECT, 1, 2);
	driver_write(VIRTIO_QUEUE_SELECT, 4, 2);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_SELECT, 2), 1);
	driver_write(VIRTIO_STATUS, 2, 1);
	driver_write(VIRTIO_STATUS, 4, 1);
	CHECK_EQ(driver_read(VIRTIO_STATUS, 1), 0);
	driver_write(VIRTIO_QUEUE_DESC + 4, 4, 0x12345678);
	driver_write(VIRTIO_QUEUE_DESC, 2, 0xffff);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_DESC, 4), 0);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_DESC + 4, 4), 0x12345678);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_DESC + 2, 4), 0);
	CHECK_EQ(driver_read(VIRTIO_NUM_QUEUES, 2), QUEUES);
	CHECK_EQ(driver_read(VIRTIO_MEMORY_SIZE - 2, 4), ~0u);
}

TEST(queues_that_are_not_there)
{
	start();
	driver_write(VIRTIO_QUEUE_SELECT, 2, QUEUES);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_SELECT, 2), QUEUES);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_SIZE, 2), 0);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_VECTOR, 2), VIRTIO_NO_VECTOR);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_DESC, 4), 0);
	driver_write(VIRTIO_QUEUE_SIZE, 2, 4);
	driver_write(VIRTIO_QUEUE_ENABLE, 2, 1);
	driver_write(VIRTIO_QUEUE_DESC, 4, 4096);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_ENABLE, 2), 0);
	driver_write(VIRTIO_QUEUE_SELECT, 2, 0xffff);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_ENABLE, 2), 0);
	virtio_notify(&driver.m, &device.virtio, QUEUES);
	virtio_notify(&driver.m, &device.virtio, ~0u);
}

TEST(queue_sizes_are_powers_of_two)
{
	start();
	driver_write(VIRTIO_QUEUE_SELECT, 2, 0);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_SIZE, 2), SIZE);
	driver_write(VIRTIO_QUEUE_SIZE, 2, 0);
	driver_write(VIRTIO_QUEUE_SIZE, 2, 3);
	driver_write(VIRTIO_QUEUE_SIZE, 2, 2 * SIZE);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_SIZE, 2), SIZE);
	driver_write(VIRTIO_QUEUE_SIZE, 2, 4);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_SIZE, 2), 4);
}

TEST(enabled_queues_are_fixed)
{
	start();
	CHECK(driver_negotiate(VIRTIO_F_VERSION_1));
	driver_queue(1, 8);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_ENABLE, 2), 1);
	driver_write(VIRTIO_QUEUE_SIZE, 2, 4);
	driver_write(VIRTIO_QUEUE_DESC, 4, 0);
	driver_write(VIRTIO_QUEUE_ENABLE, 2, 0);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_SIZE, 2), 8);
	CHECK(driver_read(VIRTIO_QUEUE_DESC, 4) != 0);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_ENABLE, 2), 1);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_NOTIFY_OFF, 2), 1);
}

TEST(rings_outside_ram_break_the_device)
{
	start();
	CHECK(driver_negotiate(VIRTIO_F_VERSION_1));
	driver_write(VIRTIO_QUEUE_SELECT, 2, 0);
	driver_write(VIRTIO_QUEUE_DESC, 4, DRIVER_RAM);
	driver_write(VIRTIO_QUEUE_DRIVER, 4, 0x2000);
	driver_write(VIRTIO_QUEUE_DEVICE, 4, 0x3000);
	driver_write(VIRTIO_QUEUE_ENABLE, 2, 1);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_ENABLE, 2), 0);
	CHECK(driver_broken());
	CHECK_EQ(device.virtio.isr, 0); /* told when the driver is there */
	driver_ok();
	CHECK_EQ(device.virtio.isr, VIRTIO_ISR_CONFIG);
	driver_start(0, SIZE); /* a reset mends it */
	CHECK(!driver_broken());
}

TEST(chains_are_used_with_an_interrupt)
{
	const struct driver_part part = {DRIVER_DATA, 8, true};
	u32 id, length;

	start();
	driver_start(0, 4);
	for (u32 i = 0; i < 20; i++) {
		u16 head = driver_add(1, &part, 1);

		driver_kick(1);
		CHECK(driver_used(1, &id, &length));
		CHECK_EQ(id, head);
		CHECK_EQ(length, 8);
		CHECK(driver.m.line[PCI_GSI_INTX + 3]); /* device 4, INTA */
		CHECK_EQ(config_space(PCI_STATUS, 2) & PCI_STS_INTX, PCI_STS_INTX);
		CHECK_EQ(driver_read(VIRTIO_OFFSET_ISR, 1), VIRTIO_ISR_QUEUE);
		CHECK(!driver.m.line[PCI_GSI_INTX + 3]);
		CHECK_EQ(driver_read(VIRTIO_OFFSET_ISR, 1), 0);
	}
}

TEST(a_broken_queue_stops_the_device)
{
	const struct driver_part outside = {DRIVER_RAM, 8, true};
	const struct driver_part part = {DRIVER_DATA, 8, true};
	u32 id, length;

	start();
	driver_start(0, SIZE);
	driver_add(0, &outside, 1);
	driver_kick(0);
	CHECK(driver_broken());
	CHECK_EQ(driver_read(VIRTIO_OFFSET_ISR, 1), VIRTIO_ISR_CONFIG);
	driver_add(1, &part, 1);
	driver_kick(1);
	CHECK(!driver_used(1, &id, &length));
	driver_start(0, SIZE);
	driver_add(1, &part, 1);
	driver_kick(1);
	CHECK(driver_used(1, &id, &length));
}

TEST(nothing_without_bus_master)
{
	const struct driver_part part = {DRIVER_DATA, 8, true};
	u32 id, length;

	start();
	driver_start(0, SIZE);
	driver_config_space(PCI_COMMAND, 2, PCI_CMD_MEMORY);
	driver_add(0, &part, 1);
	driver_kick(0);
	CHECK(!driver_used(0, &id, &length));
	driver_config_space(PCI_COMMAND, 2, PCI_CMD_MEMORY | PCI_CMD_MASTER);
	CHECK(driver_used(0, &id, &length));
}

TEST(indirect_and_event_index_are_negotiated)
{
	const struct driver_part part[] = {{DRIVER_DATA, 8, false}, {DRIVER_DATA + 8, 8, true}};
	u32 id, length;

	start();
	driver_start(VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX, SIZE);
	driver_avail(0)[2 + SIZE] = 1; /* interrupts from the second on */
	driver_add_indirect(0, part, 2);
	driver_kick(0);
	CHECK(driver_used(0, &id, &length));
	CHECK_EQ(device.virtio.isr, 0);
	CHECK_EQ(driver_used_ring(0)[2 + SIZE * 4], 1); /* avail_event */
	driver_add_indirect(0, part, 2);
	driver_kick(0);
	CHECK_EQ(device.virtio.isr, VIRTIO_ISR_QUEUE);
	start();
	driver_start(0, SIZE);
	driver_add_indirect(0, part, 2);
	driver_kick(0);
	CHECK(driver_broken());
}

TEST(queue_reset)
{
	const struct driver_part part = {DRIVER_DATA, 8, true};
	u32 id, length;

	start();
	driver_start(VIRTIO_F_RING_RESET, SIZE);
	driver_add(1, &part, 1);
	driver_kick(1);
	CHECK(driver_used(1, &id, &length));
	driver_write(VIRTIO_QUEUE_SELECT, 2, 1);
	driver_write(VIRTIO_QUEUE_RESET, 2, 1);
	CHECK_EQ(device.queue_resets, 1);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_RESET, 2), 0);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_ENABLE, 2), 0);
	driver_kick(1);
	driver_queue(1, 8); /* another size */
	CHECK_EQ(driver_read(VIRTIO_QUEUE_SIZE, 2), 8);
	driver_add(1, &part, 1);
	driver_kick(1);
	CHECK(driver_used(1, &id, &length));
	start();
	driver_start(0, SIZE); /* not negotiated: no such field */
	driver_write(VIRTIO_QUEUE_SELECT, 2, 1);
	driver_write(VIRTIO_QUEUE_RESET, 2, 1);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_ENABLE, 2), 1);
}

TEST(reset_forgets)
{
	start();
	driver_start(0, 4);
	driver_write(VIRTIO_CONFIG_VECTOR, 2, 1);
	driver_write(VIRTIO_STATUS, 1, 0);
	CHECK_EQ(device.virtio.accepted, 0);
	CHECK_EQ(driver_read(VIRTIO_CONFIG_VECTOR, 2), VIRTIO_NO_VECTOR);
	driver_write(VIRTIO_QUEUE_SELECT, 2, 1);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_ENABLE, 2), 0);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_SIZE, 2), SIZE);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_DESC, 4), 0);
}

TEST(configuration_has_a_generation)
{
	u32 before;

	start();
	memcpy(device.config, "01234567", 8);
	driver_start(0, SIZE);
	before = driver_read(VIRTIO_GENERATION, 1);
	CHECK_EQ(driver_read(DRIVER_CONFIG, 4), 0x33323130);
	CHECK_EQ(driver_read(DRIVER_CONFIG + 7, 1), '7');
	CHECK_EQ(driver_read(DRIVER_CONFIG + 6, 4), 0x3736); /* beyond the end: 0 */
	CHECK_EQ(driver_read(VIRTIO_GENERATION, 1), before);
	virtio_config_changed(&driver.m, &device.virtio);
	CHECK_EQ(driver_read(VIRTIO_OFFSET_ISR, 1), VIRTIO_ISR_CONFIG);
	driver_read(DRIVER_CONFIG, 4);
	CHECK(driver_read(VIRTIO_GENERATION, 1) != before);
	driver_write(DRIVER_CONFIG + 3, 1, 0x55);
	CHECK_EQ(device.written, 3u << 24 | 1u << 16 | 0x55);
	device.written = 0;
	driver_write(DRIVER_CONFIG + 6, 4, 0x55);
	CHECK_EQ(device.written, 0);
	virtio_reset(&driver.m, &device.virtio); /* nobody is told before DRIVER_OK */
	virtio_config_changed(&driver.m, &device.virtio);
	CHECK_EQ(device.virtio.isr, 0);
}

/* Accesses through the PCI-access capability. */
static void window(u8 bar, u32 offset, u32 length)
{
	u32 at = capability(5, 0);

	driver_config_space(at + 4, 1, bar);
	driver_config_space(at + 8, 4, offset);
	driver_config_space(at + 12, 4, length);
}

TEST(window_reaches_the_structures)
{
	const struct driver_part part = {DRIVER_DATA, 8, true};
	u32 data = capability(5, 0) + 16;
	u32 id, length;

	start();
	data = capability(5, 0) + 16;
	window(0, VIRTIO_NUM_QUEUES, 2);
	CHECK_EQ(config_space(data, 2), QUEUES);
	window(0, VIRTIO_QUEUE_SELECT, 2);
	driver_config_space(data, 4, 2);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_SELECT, 2), 2);
	window(0, VIRTIO_DEVICE_FEATURE, 4);
	CHECK(config_space(data, 4) != 0);
	window(0, VIRTIO_QUEUE_SELECT + 1, 2); /* not aligned */
	driver_config_space(data, 4, 1);
	window(0, VIRTIO_QUEUE_SELECT, 3); /* no size */
	driver_config_space(data, 4, 1);
	window(5, VIRTIO_QUEUE_SELECT, 2); /* no such BAR */
	driver_config_space(data, 4, 1);
	window(0, ~3u, 4); /* outside */
	driver_config_space(data, 4, 1);
	CHECK_EQ(config_space(data, 4), ~0u);
	CHECK_EQ(driver_read(VIRTIO_QUEUE_SELECT, 2), 2);
	driver_start(0, SIZE);
	driver_add(1, &part, 1);
	window(1, 2, 2);
	driver_config_space(data, 2, 1);
	CHECK(driver_used(1, &id, &length));
	window(1, VIRTIO_IO_SIZE, 2);
	driver_config_space(data, 2, 1);
}

TEST(put_off_work_goes_on)
{
	start();
	driver_start(0, SIZE);
	memset(device.processed, 0, sizeof(device.processed));
	virtio_again(&driver.m, &device.virtio, 2);
	CHECK(fake_due(&driver.m, MACHINE_TIMER_VIRTIO));
	virtio_timer(&driver.m, &device.virtio);
	CHECK_EQ(device.processed[2], 1);
	CHECK_EQ(device.processed[1], 0);
	virtio_timer(&driver.m, &device.virtio);
	CHECK_EQ(device.processed[2], 1);
}

TEST(a_fresh_process_goes_on)
{
	const struct driver_part part = {DRIVER_DATA, 8, true};
	struct device saved;
	u32 id, length;

	start();
	driver_start(0, SIZE);
	driver_add(0, &part, 1);
	driver_add(1, &part, 1);
	virtqueue_fill(&driver.m.memory, &device.virtio.queue[1], 0, 0, 8);
	device.virtio.queue[1].at.avail = 1; /* died before the index was published */
	device.virtio.queue[1].at.used = 1;
	saved = device;
	memset(&device, 0, sizeof(device));
	device = saved;
	virtio_resume(&driver.m, &device.virtio);
	CHECK(driver_used(0, &id, &length));
	CHECK(driver_used(1, &id, &length));
	CHECK(!driver_used(1, &id, &length));
	CHECK_EQ(device.virtio.isr, VIRTIO_ISR_QUEUE);
	/* one that died between noting that it tells the driver and telling it */
	device.virtio.isr = 0;
	device.virtio.queue[1].at.signalled = device.virtio.queue[1].at.used;
	virtio_resume(&driver.m, &device.virtio);
	CHECK_EQ(device.virtio.isr, VIRTIO_ISR_QUEUE);
}
