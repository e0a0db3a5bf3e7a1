/* MSI-X of virtio devices: table, masks, pending bits, vectors; INTx beside it. */
#include "tests/unit/virtio_driver.h"

#define QUEUES  2u
#define VECTORS (QUEUES + 1)
#define ADDRESS 0xfee01000u
#define ENTRY   16u
#define ENABLE  0x8000u
#define MASK    0x4000u

static struct device {
	struct virtio virtio;
} device;

static void process(struct machine *m, struct virtio *d, u32 queue)
{
	struct virtqueue_chain c;

	while (virtio_look(m, d, queue, 0, &c))
		virtio_finish(m, d, queue, c.head, 0);
	virtio_interrupt(m, d, queue);
}

static const struct virtio_model model = {.process = process};

const struct virtio_model *virtio_model(u8 type)
{
	(void)type;
	return &model;
}

static u32 msix; /* where the capability is */

static u32 table(u32 vector, u32 word)
{
	return VIRTIO_OFFSET_MSIX_TABLE + vector * ENTRY + word * 4;
}

static void control(u32 value)
{
	driver_config_space(msix + 2, 2, value);
}

static void start(void)
{
	const struct virtio_setup setup = {
		.magic = DEVICE_MAGIC('T', 'E', 'S', 'T'),
		.bytes = sizeof(device),
		.type = VIRTIO_TYPE_NET,
		.devfn = DRIVER_DEVFN,
		.queues = QUEUES,
		.size = 16,
	};

	CHECK(virtio_init(driver_machine(), &device.virtio, &setup));
	driver_attach(&device.virtio);
	msix = device.virtio.msix;
}

/* MSI-X is on; vector n has data 0x40 + n, queue n vector n, configuration the last one. */
static void start_msix(void)
{
	start();
	control(ENABLE);
	for (u32 i = 0; i < VECTORS; i++) {
		driver_write(table(i, 0), 4, ADDRESS);
		driver_write(table(i, 1), 4, 0);
		driver_write(table(i, 2), 4, 0x40 + i);
		driver_write(table(i, 3), 4, 0);
	}
	driver_start(0, 16);
	for (u32 i = 0; i < QUEUES; i++) {
		driver_write(VIRTIO_QUEUE_SELECT, 2, i);
		driver_write(VIRTIO_QUEUE_VECTOR, 2, i);
		CHECK_EQ(driver_read(VIRTIO_QUEUE_VECTOR, 2), i);
	}
	driver_write(VIRTIO_CONFIG_VECTOR, 2, QUEUES);
	CHECK_EQ(driver_read(VIRTIO_CONFIG_VECTOR, 2), QUEUES);
}

static void use(u32 queue)
{
	const struct driver_part part = {DRIVER_DATA, 8, false};

	driver_add(queue, &part, 1);
	driver_kick(queue);
}

TEST(capability)
{
	start();
	CHECK_EQ(pci_config_read(&driver.m, &driver.pci, DRIVER_DEVFN, msix, 1), 0x11);
	CHECK_EQ(pci_config_read(&driver.m, &driver.pci, DRIVER_DEVFN, msix + 2, 2), VECTORS - 1);
	CHECK_EQ(pci_config_read(&driver.m, &driver.pci, DRIVER_DEVFN, msix + 4, 4),
		VIRTIO_OFFSET_MSIX_TABLE);
	CHECK_EQ(pci_config_read(&driver.m, &driver.pci, DRIVER_DEVFN, msix + 8, 4),
		VIRTIO_OFFSET_MSIX_PENDING);
	control(0xffff);
	CHECK_EQ(pci_config_read(&driver.m, &driver.pci, DRIVER_DEVFN, msix + 2, 2),
		ENABLE | MASK | (VECTORS - 1));
	CHECK_EQ(driver_read(table(0, 3), 4), 1); /* masked at reset */
}

TEST(table_is_words)
{
	start();
	driver_write(table(1, 0), 4, 0xffffffff);
	CHECK_EQ(driver_read(table(1, 0), 4), 0xfffffffc);
	driver_write(table(1, 1), 4, 0x12345678);
	CHECK_EQ(driver_read(table(1, 1), 4), 0x12345678);
	driver_write(table(1, 3), 4, 0xfffffffe);
	CHECK_EQ(driver_read(table(1, 3), 4), 0);
	driver_write(table(1, 2), 2, 0xffff);
	driver_write(table(1, 2) + 1, 4, 0xffff);
	CHECK_EQ(driver_read(table(1, 2), 4), 0);
	driver_write(table(VECTORS, 2), 4, 7); /* beyond the last vector */
	CHECK_EQ(driver_read(table(VECTORS, 2), 4), 0);
	CHECK_EQ(driver_read(VIRTIO_MEMORY_SIZE - 4, 4), 0);
}

TEST(messages_are_sent)
{
	start_msix();
	use(1);
	CHECK_EQ(driver.m.messages, 1);
	CHECK_EQ(driver.m.message[0].address, ADDRESS);
	CHECK_EQ(driver.m.message[0].data, 0x41);
	CHECK_EQ(device.virtio.isr, 0);
	virtio_config_changed(&driver.m, &device.virtio);
	CHECK_EQ(driver.m.messages, 2);
	CHECK_EQ(driver.m.message[1].data, 0x42);
	CHECK(!driver.m.line[PCI_GSI_INTX + 3]);
	CHECK_EQ(driver_read(VIRTIO_OFFSET_ISR, 1), VIRTIO_ISR_CONFIG); /* 4.1.4.5.1 */
}

TEST(no_vector_no_interrupt)
{
	start_msix();
	driver_write(VIRTIO_QUEUE_SELECT, 2, 0);
	driver_write(VIRTIO_QUEUE_VECTOR, 2, VIRTIO_NO_VECTOR);
	driver_write(VIRTIO_CONFIG_VECTOR, 2, VECTORS); /* there is none: refused */
	CHECK_EQ(driver_read(VIRTIO_CONFIG_VECTOR, 2), VIRTIO_NO_VECTOR);
	use(0);
	virtio_config_changed(&driver.m, &device.virtio);
	CHECK_EQ(driver.m.messages, 0);
	CHECK_EQ(device.virtio.pending, 0);
}

TEST(masked_vectors_stay_pending)
{
	start_msix();
	driver_write(table(0, 3), 4, 1);
	use(0);
	use(1);
	CHECK_EQ(driver.m.messages, 1);
	CHECK_EQ(driver_read(VIRTIO_OFFSET_MSIX_PENDING, 4), 1);
	driver_write(VIRTIO_OFFSET_MSIX_PENDING, 4, 0); /* read-only */
	CHECK_EQ(driver_read(VIRTIO_OFFSET_MSIX_PENDING, 4), 1);
	driver_write(table(0, 3), 4, 0);
	CHECK_EQ(driver.m.messages, 2);
	CHECK_EQ(driver.m.message[1].data, 0x40);
	CHECK_EQ(driver_read(VIRTIO_OFFSET_MSIX_PENDING, 4), 0);
}

TEST(function_mask)
{
	start_msix();
	control(ENABLE | MASK);
	use(0);
	use(0); /* one pending bit */
	use(1);
	CHECK_EQ(driver.m.messages, 0);
	CHECK_EQ(driver_read(VIRTIO_OFFSET_MSIX_PENDING, 4), 3);
	control(ENABLE);
	CHECK_EQ(driver.m.messages, 2);
}

TEST(messages_wait_for_bus_master)
{
	start_msix();
	driver_config_space(PCI_COMMAND, 2, PCI_CMD_MEMORY);
	virtio_config_changed(&driver.m, &device.virtio);
	CHECK_EQ(driver.m.messages, 0);
	driver_config_space(PCI_COMMAND, 2, PCI_CMD_MEMORY | PCI_CMD_MASTER);
	CHECK_EQ(driver.m.messages, 1);
}

TEST(intx_while_off)
{
	start();
	driver_start(0, 16);
	use(0);
	CHECK(driver.m.line[PCI_GSI_INTX + 3]);
	control(ENABLE); /* MSI-X on: the pin goes low */
	CHECK(!driver.m.line[PCI_GSI_INTX + 3]);
	control(0);
	CHECK(driver.m.line[PCI_GSI_INTX + 3]);
	driver_config_space(PCI_COMMAND, 2, PCI_CMD_MASTER | PCI_CMD_INTX_DISABLE);
	CHECK(!driver.m.line[PCI_GSI_INTX + 3]);
	driver_config_space(PCI_COMMAND, 2, PCI_CMD_MASTER);
	driver_write(VIRTIO_STATUS, 1, 0);
	CHECK(!driver.m.line[PCI_GSI_INTX + 3]);
}

TEST(broken_device_sends_the_config_vector)
{
	const struct driver_part outside = {DRIVER_RAM, 8, false};

	start_msix();
	driver_add(0, &outside, 1);
	driver_kick(0);
	CHECK_EQ(driver.m.messages, 1);
	CHECK_EQ(driver.m.message[0].data, 0x42);
}
