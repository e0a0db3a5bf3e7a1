/* virtio devices in the machine: BARs, ports, doorbells, interrupts, the console's sessions. */
#include "tests/unit/virtio_guest.h"

#define RNG     PCI_DEVFN(6, 0)
#define CONSOLE PCI_DEVFN(7, 0)

static const u8 seed[RANDOM_SEED] = {1};
static struct console_session session __attribute__((aligned(64)));

static struct virtio *start(void)
{
	static const char names[2][VIRTIO_CONSOLE_NAME] = {"", "second"};
	struct machine *m = &host_machine;
	const struct start_resource r = {
		.address = (u64)&session, .size = sizeof(session), .bit = 7, .value = BIT(3)};

	host_setup(false);
	memset(&session, 0, sizeof(session));
	CHECK(virtio_rng_init(m, &m->state->virtio.entropy, RNG, seed));
	CHECK(backend_console_open(m, 0, &r));
	CHECK(virtio_console_init(m, &m->state->virtio.console, CONSOLE, 2, names));
	machine_virtio_bells(m, &m->state->virtio.entropy.virtio);
	machine_virtio_bells(m, &m->state->virtio.console.virtio);
	pci_configure(m, &m->state->pci, PM_BASE_DEFAULT);
	return &m->state->virtio.entropy.virtio;
}

TEST(direct_boot_places_devices)
{
	start();
	CHECK_EQ(guest_config(RNG, PCI_DEVICE_ID, 2), 0x1044);
	CHECK_EQ(guest_memory(RNG), PCI_MEMORY_FIRST);
	CHECK_EQ(guest_port(RNG), PCI_IO_FIRST);
	CHECK_EQ(guest_port(CONSOLE), PCI_IO_FIRST + VIRTIO_IO_SIZE);
	CHECK_EQ(host.doorbells, 1 + 6);
	CHECK(mmio_backed(&host_machine.vcpu[0], PCI_MEMORY_FIRST));
	CHECK(!mmio_backed(&host_machine.vcpu[0], PCI_MEMORY_FIRST + 2 * VIRTIO_MEMORY_SIZE));
	CHECK_EQ(guest_read(RNG, VIRTIO_NUM_QUEUES, 2), 1);
	CHECK_EQ(guest_read(CONSOLE, VIRTIO_NUM_QUEUES, 2), 6);
}

TEST(each_queue_has_a_bell)
{
	u64 seen = 0;

	start();
	for (u32 i = 0; i < 6; i++) {
		u64 bit = host.doorbell_bits[guest_port(CONSOLE) + 2 * i];

		CHECK(bit && !(seen & bit));
		CHECK_EQ(host.doorbell_bits[guest_port(CONSOLE) + 2 * i + 1], 0);
		seen |= bit;
	}
	CHECK(!(seen & (BIT(START_BIT_OWN) - 1)));
}

TEST(chains_by_event_and_by_exit)
{
	const struct guest_part part = {GUEST_DATA, 32, true};
	u32 id, length;

	start();
	guest_start(RNG, 0);
	guest_add(RNG, 0, &part, 1);
	CHECK(guest_used(0, &id, &length));
	CHECK_EQ(length, 32);
	/* device 6, INTA: PIRQ 1, on pin 17 */
	CHECK(host_machine.state->pci.pirqs & BIT(1));
	CHECK_EQ(guest_read(RNG, VIRTIO_OFFSET_ISR, 1), VIRTIO_ISR_QUEUE);
	CHECK(!(host_machine.state->pci.pirqs & BIT(1)));
	*(u16 *)(host_ram + GUEST_RINGS + GUEST_AVAIL + 6) = 0; /* the same chain, by hand */
	*(u16 *)(host_ram + GUEST_RINGS + GUEST_AVAIL + 2) = 2;
	guest_write_port(RNG, 0);
	CHECK(guest_used(0, &id, &length));
	CHECK_EQ(port_read(&host_machine.vcpu[0], guest_port(RNG), 2), 0xffff);
}

TEST(bars_move)
{
	const struct guest_part part = {GUEST_DATA, 32, true};
	u64 before;
	u16 port;
	u32 id, length;

	start();
	before = guest_memory(RNG);
	port = guest_port(RNG);
	guest_start(RNG, 0);
	guest_config_write(RNG, PCI_BAR0, 4, 0xe8000000);
	guest_config_write(RNG, PCI_BAR0 + 4, 4, 0xd000);
	CHECK_EQ(mmio_read(&host_machine.vcpu[0], before, 4), ~0u);
	CHECK_EQ(guest_read(RNG, VIRTIO_STATUS, 1), 0x0f);
	CHECK_EQ(host.doorbell_bits[port], 0);
	guest_add(RNG, 0, &part, 1);
	CHECK(guest_used(0, &id, &length));
	guest_config_write(RNG, PCI_COMMAND, 2, PCI_CMD_MASTER); /* not decoded */
	CHECK_EQ(guest_read(RNG, VIRTIO_STATUS, 1), 0xff);
	CHECK_EQ(host.doorbells, 6);
	guest_config_write(RNG, PCI_COMMAND, 2, PCI_CMD_MASTER | PCI_CMD_IO | PCI_CMD_MEMORY);
	CHECK_EQ(host.doorbells, 7);
	guest_config_write(
		RNG, PCI_BAR0 + 4, 4, PCI_IO_FIRST + VIRTIO_IO_SIZE); /* over the other */
	CHECK(host_logged("over others"));
	CHECK_EQ(host.doorbells, 6);
	guest_config_write(RNG, PCI_BAR0 + 4, 4, 0xd000);
	CHECK_EQ(host.doorbells, 7);
}

TEST(message_reaches_the_lapic)
{
	const struct guest_part part = {GUEST_DATA, 32, true};
	u8 msix;

	msix = start()->msix;
	guest_start(RNG, 0);
	guest_config_write(RNG, msix + 2, 2, 0x8000);
	guest_write(RNG, VIRTIO_OFFSET_MSIX_TABLE, 4, 0xfee00000);
	guest_write(RNG, VIRTIO_OFFSET_MSIX_TABLE + 8, 4, 0x55);
	guest_write(RNG, VIRTIO_OFFSET_MSIX_TABLE + 12, 4, 0);
	guest_write(RNG, VIRTIO_QUEUE_SELECT, 2, 0);
	guest_write(RNG, VIRTIO_QUEUE_VECTOR, 2, 0);
	lapic_write(&host_machine, &host_machine.lapic[0], LAPIC_SVR, 4, 0x1ff);
	guest_add(RNG, 0, &part, 1);
	CHECK(host_machine.vcpu[0].run->pending.vector[1] & BIT(0x55 - 64));
}

TEST(work_put_off_comes_with_the_timer)
{
	const struct guest_part part = {GUEST_DATA, 0x8000, true};
	u32 id, length;
	u32 used = 0;

	start();
	guest_start(RNG, 0);
	for (u32 i = 0; i < 40; i++) {
		host_machine.state->pci.function[3].config[PCI_COMMAND] &= (u8)~PCI_CMD_MASTER;
		guest_add(RNG, 0, &part, 1);
	}
	host_machine.state->pci.function[3].config[PCI_COMMAND] |= PCI_CMD_MASTER;
	guest_ring(RNG, 0);
	while (guest_used(0, &id, &length))
		used++;
	CHECK_EQ(used, 16);
	CHECK(host_machine.state->timer[MACHINE_TIMER_VIRTIO] != MACHINE_NEVER);
	for (u32 i = 0; i < 5; i++)
		machine_timers(&host_machine);
	while (guest_used(0, &id, &length))
		used++;
	CHECK_EQ(used, 40);
}

TEST(console_bytes)
{
	struct guest_part part = {GUEST_DATA, 5, false};
	u8 bytes[16];
	u32 id, length;

	start();
	guest_start(CONSOLE, 0);
	memcpy(host_ram + GUEST_DATA, "hello", 5);
	guest_add(CONSOLE, 1, &part, 1);
	CHECK(guest_used(1, &id, &length));
	CHECK(host.signals & BIT(3));
	CHECK(backend_console_waiting(&host_machine));
	CHECK_EQ(ring_read(&session.to_server.ring, CONSOLE_RING_SIZE, bytes, 16), 5);
	CHECK(!memcmp(bytes, "hello", 5));
	part.write = true;
	ring_write(&session.to_client.ring, CONSOLE_RING_SIZE, "abcdefgh", 8);
	machine_virtio_event(&host_machine, BIT(7)); /* no buffers: the bytes stay */
	guest_add(CONSOLE, 0, &part, 1);
	CHECK(guest_used(0, &id, &length));
	CHECK_EQ(length, 5);
	CHECK(!memcmp(host_ram + GUEST_DATA, "abcde", 5));
	guest_add(CONSOLE, 0, &part, 1);
	CHECK(guest_used(0, &id, &length));
	CHECK_EQ(length, 3);
	machine_virtio_drain(&host_machine);
}

TEST(console_waits_for_the_server)
{
	struct guest_part part = {GUEST_DATA, 3000, false};
	u8 bytes[CONSOLE_RING_SIZE];
	u32 id, length;

	start();
	guest_start(CONSOLE, 0);
	guest_add(CONSOLE, 1, &part, 1);
	guest_add(CONSOLE, 1, &part, 1);
	CHECK(guest_used(1, &id, &length));
	CHECK(!guest_used(1, &id, &length));
	CHECK_EQ(ring_read(&session.to_server.ring, CONSOLE_RING_SIZE, bytes, sizeof(bytes)),
		CONSOLE_RING_SIZE);
	machine_virtio_event(&host_machine, BIT(7));
	CHECK(guest_used(1, &id, &length));
	session.to_client.ring.head = 1000000; /* a broken ring gives nothing */
	machine_virtio_event(&host_machine, BIT(7));
}

TEST(a_fresh_process_binds_again)
{
	const struct guest_part part = {GUEST_DATA, 32, true};
	u32 id, length;

	start();
	guest_start(RNG, 0);
	memset(&host_machine.virtio, 0, sizeof(host_machine.virtio));
	port_remove(&host_machine.ports, guest_port(RNG));
	port_remove(&host_machine.ports, guest_port(CONSOLE));
	host.doorbells = 0;
	machine_virtio_resume(&host_machine);
	CHECK_EQ(host.doorbells, 7);
	guest_add(RNG, 0, &part, 1);
	CHECK(guest_used(0, &id, &length));
}
