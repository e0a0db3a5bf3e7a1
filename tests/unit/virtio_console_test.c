/* virtio console: bytes both ways with back-pressure, ports, control messages, size. */
#include "guests/vmm/virtio/console.h"
#include "tests/unit/virtio_driver.h"

#define CONTROL_RX 2u
#define CONTROL_TX 3u
#define MESSAGES   (DRIVER_DATA + 0x8000)
#define MESSAGE    64u

static struct virtio_console console;
static char out[VIRTIO_CONSOLE_PORTS][4096];
static u32 out_used[VIRTIO_CONSOLE_PORTS];
static u32 room;
static u32 pulls[VIRTIO_CONSOLE_PORTS];

const struct virtio_model *virtio_model(u8 type)
{
	return type == VIRTIO_TYPE_CONSOLE ? &virtio_console_model : NULL;
}

u32 virtio_console_backend_put(struct machine *m, u32 port, const u8 *bytes, u32 count)
{
	u32 taken = count < room ? count : room;

	(void)m;
	CHECK(out_used[port] + taken <= sizeof(out[port]));
	memcpy(out[port] + out_used[port], bytes, taken);
	out_used[port] += taken;
	room -= taken;
	return taken;
}

void virtio_console_backend_pull(struct machine *m, u32 port)
{
	(void)m;
	pulls[port]++;
}

static void begin(u8 ports, const char names[][VIRTIO_CONSOLE_NAME])
{
	memset(out_used, 0, sizeof(out_used));
	memset(pulls, 0, sizeof(pulls));
	room = ~0u;
	CHECK(virtio_console_init(driver_machine(), &console, DRIVER_DEVFN, ports, names));
	driver_attach(&console.virtio);
}

static void start(void)
{
	static const char names[1][VIRTIO_CONSOLE_NAME] = {""};

	begin(1, names);
	driver_start(0, 16);
}

static void write_text(u32 queue, const char *text)
{
	const struct driver_part part = {DRIVER_DATA, (u32)strlen(text), false};

	memcpy(driver_ram + DRIVER_DATA, text, part.length);
	driver_add(queue, &part, 1);
	driver_kick(queue);
}

TEST(bytes_go_out)
{
	u32 id, length;

	start();
	write_text(1, "hello");
	CHECK(driver_used(1, &id, &length));
	CHECK_EQ(length, 0);
	CHECK_EQ(out_used[0], 5);
	CHECK(!memcmp(out[0], "hello", 5));
}

TEST(bytes_wait_for_room)
{
	u32 id, length;

	start();
	room = 3;
	write_text(1, "abcdefgh");
	CHECK(!driver_used(1, &id, &length));
	CHECK(virtio_console_waiting(&driver.m, &console, 0));
	room = 2;
	virtio_console_ready(&driver.m, &console, 0);
	room = 10;
	virtio_console_ready(&driver.m, &console, 0);
	CHECK(driver_used(1, &id, &length));
	CHECK_EQ(out_used[0], 8);
	CHECK(!memcmp(out[0], "abcdefgh", 8));
	CHECK(!virtio_console_waiting(&driver.m, &console, 0));
	virtio_console_ready(&driver.m, &console, 77);
}

TEST(bytes_come_in)
{
	const struct driver_part part[] = {{DRIVER_DATA, 3, true}, {DRIVER_DATA + 16, 8, true}};
	u32 id, length;

	start();
	CHECK_EQ(virtio_console_receive(&driver.m, &console, 0, (const u8 *)"hello", 5), 0);
	driver_add(0, &part[0], 1);
	driver_add(0, &part[1], 1);
	driver_kick(0);
	CHECK(pulls[0] > 0);
	CHECK_EQ(virtio_console_receive(&driver.m, &console, 0, (const u8 *)"hello", 5), 5);
	CHECK(driver_used(0, &id, &length));
	CHECK_EQ(length, 3);
	CHECK(driver_used(0, &id, &length));
	CHECK_EQ(length, 2);
	CHECK(!memcmp(driver_ram + DRIVER_DATA, "hel", 3));
	CHECK(!memcmp(driver_ram + DRIVER_DATA + 16, "lo", 2));
	CHECK_EQ(virtio_console_receive(&driver.m, &console, 9, (const u8 *)"x", 1), 0);
}

TEST(buffers_of_the_wrong_kind)
{
	const struct driver_part read = {DRIVER_DATA, 3, false};
	const struct driver_part written = {DRIVER_DATA, 3, true};

	start();
	driver_add(0, &read, 1);
	CHECK_EQ(virtio_console_receive(&driver.m, &console, 0, (const u8 *)"x", 1), 0);
	CHECK(driver_broken());
	start();
	driver_add(1, &written, 1);
	driver_kick(1);
	CHECK(driver_broken());
}

TEST(emergency_write)
{
	static const char names[1][VIRTIO_CONSOLE_NAME] = {""};

	begin(1, names); /* nothing is negotiated */
	CHECK(driver_offered() & VIRTIO_CONSOLE_F_EMERG_WRITE);
	driver_write(DRIVER_CONFIG + 8, 4, 0x12345600 | '!');
	CHECK_EQ(out_used[0], 1);
	CHECK_EQ(out[0][0], '!');
	driver_write(DRIVER_CONFIG, 4, 'x');
	CHECK_EQ(out_used[0], 1);
}

/* --- several ports --- */

static const char names[3][VIRTIO_CONSOLE_NAME] = {"", "log", "a.name.as.long.as.it.may.be.here"};

static void message_buffers(u32 count)
{
	for (u32 i = 0; i < count; i++) {
		const struct driver_part part = {MESSAGES + i * MESSAGE, MESSAGE, true};

		driver_add(CONTROL_RX, &part, 1);
	}
	driver_kick(CONTROL_RX);
}

static void say(u32 id, u16 event, u16 value)
{
	const struct virtio_console_control c = {id, event, value};
	const struct driver_part part = {DRIVER_DATA, sizeof(c), false};
	u32 used_id, length;

	memcpy(driver_ram + DRIVER_DATA, &c, sizeof(c));
	driver_add(CONTROL_TX, &part, 1);
	driver_kick(CONTROL_TX);
	CHECK(driver_used(CONTROL_TX, &used_id, &length));
}

static u32 heard; /* messages so far */

static bool hear(u32 id, u16 event, u32 length)
{
	struct virtio_console_control c;
	u32 used_id, used_length;

	if (!driver_used(CONTROL_RX, &used_id, &used_length))
		return false;
	memcpy(&c, driver_ram + MESSAGES + heard++ * MESSAGE, sizeof(c));
	CHECK_EQ(c.id, id);
	CHECK_EQ(c.event, event);
	CHECK_EQ(used_length, length);
	return true;
}

static void start_ports(void)
{
	heard = 0;
	begin(3, names);
	driver_start(VIRTIO_CONSOLE_F_MULTIPORT, 16);
	CHECK_EQ(driver_read(VIRTIO_NUM_QUEUES, 2), 8);
	CHECK_EQ(driver_read(DRIVER_CONFIG + 4, 4), 3);
}

TEST(ports_are_added)
{
	start_ports();
	say(0, VIRTIO_CONSOLE_PORT_READY, 1); /* before it was added: ignored */
	say(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	message_buffers(2); /* the third waits */
	CHECK(hear(0, VIRTIO_CONSOLE_DEVICE_ADD, 8));
	CHECK(hear(1, VIRTIO_CONSOLE_DEVICE_ADD, 8));
	CHECK(!hear(2, VIRTIO_CONSOLE_DEVICE_ADD, 8));
	for (u32 i = 2; i < 12; i++) {
		const struct driver_part part = {MESSAGES + i * MESSAGE, MESSAGE, true};

		driver_add(CONTROL_RX, &part, 1);
	}
	driver_kick(CONTROL_RX);
	CHECK(hear(2, VIRTIO_CONSOLE_DEVICE_ADD, 8));
	say(0, VIRTIO_CONSOLE_PORT_READY, 1);
	CHECK(hear(0, VIRTIO_CONSOLE_CONSOLE_PORT, 8));
	CHECK(hear(0, VIRTIO_CONSOLE_PORT_OPEN, 8));
	say(1, VIRTIO_CONSOLE_PORT_READY, 1);
	CHECK(hear(1, VIRTIO_CONSOLE_PORT_OPEN, 8));
	CHECK(hear(1, VIRTIO_CONSOLE_PORT_NAME, 8 + 3));
	CHECK(!memcmp(driver_ram + MESSAGES + (heard - 1) * MESSAGE + 8, "log", 3));
	say(2, VIRTIO_CONSOLE_PORT_READY, 1);
	CHECK(hear(2, VIRTIO_CONSOLE_PORT_OPEN, 8));
	CHECK(hear(2, VIRTIO_CONSOLE_PORT_NAME, 8 + 31));
	say(0, VIRTIO_CONSOLE_DEVICE_READY, 1); /* again: no port twice */
	say(7, VIRTIO_CONSOLE_PORT_READY, 1);
	say(~0u, VIRTIO_CONSOLE_PORT_OPEN, 1);
	say(0, 99, 1);
	CHECK(!hear(0, 0, 0));
	CHECK(!driver_broken());
}

TEST(ports_are_opened)
{
	const struct driver_part part = {DRIVER_DATA + 0x100, 8, true};

	start_ports();
	message_buffers(16);
	say(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	say(1, VIRTIO_CONSOLE_PORT_READY, 1);
	driver_add(4, &part, 1);
	CHECK_EQ(virtio_console_receive(&driver.m, &console, 1, (const u8 *)"x", 1), 0);
	say(1, VIRTIO_CONSOLE_PORT_OPEN, 1);
	CHECK(pulls[1] > 0);
	CHECK_EQ(virtio_console_receive(&driver.m, &console, 1, (const u8 *)"x", 1), 1);
	CHECK_EQ(driver_ram[DRIVER_DATA + 0x100], 'x');
	say(1, VIRTIO_CONSOLE_PORT_OPEN, 0);
	CHECK(!virtio_console_open(&console, 1));
	write_text(5, "out");
	CHECK_EQ(out_used[1], 3);
}

TEST(short_messages_break_the_device)
{
	const struct driver_part part = {DRIVER_DATA, 7, false};
	const struct driver_part small = {DRIVER_DATA, 7, true};

	start_ports();
	driver_add(CONTROL_TX, &part, 1);
	driver_kick(CONTROL_TX);
	CHECK(driver_broken());
	start_ports();
	driver_add(CONTROL_RX, &small, 1);
	say(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	CHECK(driver_broken());
}

TEST(size)
{
	start();
	CHECK(!(driver_offered() & VIRTIO_CONSOLE_F_SIZE));
	driver_write(VIRTIO_STATUS, 1, 0);
	virtio_console_resize(&driver.m, &console, 80, 25);
	CHECK(driver_offered() & VIRTIO_CONSOLE_F_SIZE);
	driver_start(VIRTIO_CONSOLE_F_SIZE, 16);
	CHECK_EQ(driver_read(DRIVER_CONFIG, 2), 80);
	CHECK_EQ(driver_read(DRIVER_CONFIG + 2, 2), 25);
	virtio_console_resize(&driver.m, &console, 100, 30);
	CHECK_EQ(driver_read(VIRTIO_OFFSET_ISR, 1), VIRTIO_ISR_CONFIG);
	start_ports();
	message_buffers(16);
	say(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	heard = 3;
	for (u32 i = 0, id, length; i < 3; i++)
		driver_used(CONTROL_RX, &id, &length);
	virtio_console_resize(&driver.m, &console, 100, 30);
	CHECK(hear(0, VIRTIO_CONSOLE_RESIZE, 12));
	CHECK_EQ(*(u16 *)(driver_ram + MESSAGES + 3 * MESSAGE + 8), 100);
	CHECK(!hear(0, 0, 0));
}

TEST(half_sent_chains_survive)
{
	struct virtio_console saved;
	u32 id, length;

	start();
	room = 4;
	write_text(1, "abcdefgh");
	saved = console;
	memset(&console, 0, sizeof(console));
	console = saved;
	room = 100;
	virtio_resume(&driver.m, &console.virtio);
	CHECK(driver_used(1, &id, &length));
	CHECK_EQ(out_used[0], 8);
	CHECK(!memcmp(out[0], "abcdefgh", 8));
}
