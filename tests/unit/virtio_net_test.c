/* virtio network device: frames both ways, merging, offloads, control queue, filters, steering. */
#include "guests/vmm/virtio/net.h"
#include "tests/unit/virtio_driver.h"

#define RX      0u
#define TX      1u
#define CONTROL 2u
#define HEADER  12u
#define BUFFERS (DRIVER_DATA + 0x20000)
#define COMMAND DRIVER_DATA
#define ACK     (DRIVER_DATA + 0x800)
#define CTRL    (VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_CTRL_RX | VIRTIO_NET_F_CTRL_VLAN)
#define TSO     (VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4)

static struct virtio_net card;
static u8 sent[NET_FRAME_MAX + HEADER];
static u32 sent_bytes;
static u32 sends;
static u32 room;
static u32 pulls;
static u32 wants;

static const u8 own[6] = {2, 0, 0, 0, 0, 1};

const struct virtio_model *virtio_model(u8 type)
{
	return type == VIRTIO_TYPE_NET ? &virtio_net_model : NULL;
}

u8 *virtio_net_backend_buffer(struct machine *m, u8 number, u32 bytes)
{
	(void)m;
	CHECK_EQ(number, 1);
	CHECK(bytes <= sizeof(sent));
	return room ? sent : NULL;
}

void virtio_net_backend_send(struct machine *m, u8 number, u32 bytes)
{
	(void)m;
	(void)number;
	room--;
	sends++;
	sent_bytes = bytes;
}

void virtio_net_backend_pull(struct machine *m, u8 number)
{
	(void)m;
	(void)number;
	pulls++;
}

void virtio_net_backend_wants(struct machine *m, u8 number, u32 takes)
{
	(void)m;
	(void)number;
	wants = takes;
}

static void start_pairs(u8 pairs, u64 features)
{
	sends = 0;
	pulls = 0;
	wants = ~0u;
	room = ~0u;
	CHECK(virtio_net_init(driver_machine(), &card, 1, DRIVER_DEVFN, pairs, own));
	driver_attach(&card.virtio);
	virtio_net_connected(&driver.m, &card, NET_TAKES_ALL, 1500);
	virtio_net_link(&driver.m, &card, true);
	driver_start(features, 256);
}

static void start(u64 features)
{
	start_pairs(1, features);
}

/* Transmits a header and `bytes` of frame, in two buffers. */
static void transmit(const struct net_header *h, u32 bytes)
{
	const struct driver_part part[] = {
		{DRIVER_DATA, HEADER, false}, {DRIVER_DATA + HEADER, bytes, false}};

	memcpy(driver_ram + DRIVER_DATA, h, sizeof(*h));
	for (u32 i = 0; i < bytes; i++)
		driver_ram[DRIVER_DATA + HEADER + i] = (u8)(i + 1);
	driver_add(TX, part, 2);
	driver_kick(TX);
}

static bool transmitted(void)
{
	u32 id, length;

	return driver_used(TX, &id, &length) && length == 0;
}

TEST(configuration)
{
	start(VIRTIO_NET_F_MAC | VIRTIO_NET_F_STATUS | VIRTIO_NET_F_MTU);
	CHECK_EQ(driver_read(DRIVER_CONFIG, 1), 2);
	CHECK_EQ(driver_read(DRIVER_CONFIG + 5, 1), 1);
	CHECK_EQ(driver_read(DRIVER_CONFIG + 6, 2), VIRTIO_NET_S_LINK_UP);
	CHECK_EQ(driver_read(DRIVER_CONFIG + 10, 2), 1500);
	CHECK(!(driver_offered() & VIRTIO_NET_F_MQ));
	virtio_net_link(&driver.m, &card, false);
	CHECK_EQ(driver_read(VIRTIO_OFFSET_ISR, 1), VIRTIO_ISR_CONFIG);
	CHECK_EQ(driver_read(DRIVER_CONFIG + 6, 2), 0);
	virtio_net_connected(&driver.m, &card, 0, 9000); /* the MTU does not change */
	CHECK_EQ(driver_read(DRIVER_CONFIG + 10, 2), 1500);
	driver_write(VIRTIO_STATUS, 1, 0);
	CHECK(!(driver_offered() & VIRTIO_NET_F_CSUM));
}

TEST(features_need_others)
{
	start(0);
	CHECK(!driver_negotiate(VIRTIO_F_VERSION_1 | VIRTIO_NET_F_GUEST_TSO4));
	CHECK(!driver_negotiate(VIRTIO_F_VERSION_1 | VIRTIO_NET_F_HOST_TSO4));
	CHECK(!driver_negotiate(VIRTIO_F_VERSION_1 | VIRTIO_NET_F_CTRL_RX));
	CHECK(!driver_negotiate(VIRTIO_F_VERSION_1 | VIRTIO_NET_F_HOST_ECN | VIRTIO_NET_F_CSUM));
	CHECK(driver_negotiate(
		VIRTIO_F_VERSION_1 | VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO6 | TSO));
	CHECK_EQ(wants, NET_TAKES_CSUM | NET_TAKES_TSO4);
}

TEST(frames_go_out)
{
	struct net_header h = {.num_buffers = 7};

	start(0);
	transmit(&h, 60);
	CHECK(transmitted());
	CHECK_EQ(sends, 1);
	CHECK_EQ(sent_bytes, 72);
	CHECK_EQ(sent[10] | sent[11], 0); /* num_buffers */
	CHECK_EQ(sent[12], 1);
	CHECK_EQ(sent[71], 60);
}

TEST(frames_wait_for_room)
{
	const struct net_header h = {0};

	start(0);
	room = 1;
	transmit(&h, 60);
	transmit(&h, 60);
	CHECK(transmitted());
	CHECK(!transmitted());
	room = 5;
	virtio_net_ready(&driver.m, &card);
	CHECK(transmitted());
	room = 0;
	transmit(&h, 60);
	CHECK(!transmitted());
	virtio_net_link(&driver.m, &card, false); /* the cable is out: dropped */
	CHECK(transmitted());
	CHECK_EQ(sends, 2);
}

TEST(headers_that_are_dropped)
{
	static const struct net_header wrong[] = {
		{.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 65},
		{.flags = NET_NEEDS_CSUM, .csum_start = 0xffff, .csum_offset = 0xffff},
		{.gso_type = NET_GSO_TCPV4, .gso_size = 10}, /* without a checksum to finish */
		{.flags = NET_NEEDS_CSUM, .gso_type = NET_GSO_TCPV4},
		{.flags = NET_NEEDS_CSUM, .gso_type = 3, .gso_size = 10},
		{.flags = NET_NEEDS_CSUM, .gso_type = NET_GSO_TCPV6, .gso_size = 10},
		{.flags = NET_NEEDS_CSUM, .gso_type = NET_GSO_TCPV4 | NET_GSO_ECN, .gso_size = 10},
	};
	const struct net_header fine = {.flags = NET_NEEDS_CSUM,
		.gso_type = NET_GSO_TCPV4,
		.gso_size = 10,
		.csum_start = 34,
		.csum_offset = 16};
	const struct net_header plain = {0};

	start(VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_MTU);
	for (u32 i = 0; i < ARRAY_SIZE(wrong); i++) {
		transmit(&wrong[i], 100);
		CHECK(transmitted());
	}
	transmit(&plain, 13);
	transmit(&plain, 1500 + 14 + 4 + 1);
	CHECK_EQ(sends, 0);
	transmit(&fine, 4000);
	CHECK_EQ(sends, 1);
	start(0); /* nothing negotiated */
	transmit(&fine, 100);
	CHECK_EQ(sends, 0);
	CHECK(!driver_broken());
}

TEST(transmit_buffers_of_the_wrong_kind)
{
	const struct driver_part written = {DRIVER_DATA, 100, true};
	const struct driver_part small = {DRIVER_DATA, 11, false};

	start(0);
	driver_add(TX, &written, 1);
	driver_kick(TX);
	CHECK(driver_broken());
	start(0);
	driver_add(TX, &small, 1);
	driver_kick(TX);
	CHECK(driver_broken());
}

/* --- reception --- */

static u8 incoming[NET_FRAME_MAX + HEADER];
static const u8 broadcast[6] = {255, 255, 255, 255, 255, 255};

/* Receives a frame of `bytes` for `mac` in pieces of `piece` bytes. */
static enum virtio_net_result receive(
	const struct net_header *h, const u8 *mac, u32 bytes, u32 piece)
{
	struct virtio_net_frame frame = {0};

	for (u32 i = 0; i < bytes; i++)
		incoming[HEADER + i] = (u8)(i * 3);
	memcpy(incoming, h, HEADER);
	memcpy(incoming + HEADER, mac, 6);
	for (u32 at = 0; at < bytes + HEADER; at += piece) {
		frame.piece[frame.pieces].at = incoming + at;
		frame.piece[frame.pieces++].length =
			bytes + HEADER - at < piece ? bytes + HEADER - at : piece;
	}
	return virtio_net_receive(&driver.m, &card, &frame);
}

static const struct net_header plain = {0};

static enum virtio_net_result receive_plain(const u8 *mac)
{
	return receive(&plain, mac, 60, 1000);
}

static void post(u32 queue, u32 count, u32 bytes)
{
	for (u32 i = 0; i < count; i++) {
		const struct driver_part part = {BUFFERS + i * bytes, bytes, true};

		driver_add(queue, &part, 1);
	}
	driver_kick(queue);
}

TEST(frames_come_in)
{
	const struct net_header h = {.header_length = 9999};
	u32 id, length;

	start(0);
	CHECK_EQ(receive(&h, own, 60, 1000), VIRTIO_NET_WAIT);
	post(RX, 2, 1526);
	CHECK(pulls > 0);
	CHECK_EQ(receive(&h, own, 1000, 33), VIRTIO_NET_TAKEN);
	CHECK(driver_used(RX, &id, &length));
	CHECK_EQ(length, 1012);
	CHECK(!memcmp(driver_ram + BUFFERS + HEADER, incoming + HEADER, 1000));
	CHECK_EQ(*(u16 *)(driver_ram + BUFFERS + 10), 1); /* num_buffers */
	CHECK_EQ(*(u16 *)(driver_ram + BUFFERS + 2), 1000);
	CHECK_EQ(card.virtio.isr, 0);
	virtio_net_received(&driver.m, &card);
	CHECK_EQ(card.virtio.isr, VIRTIO_ISR_QUEUE);
	CHECK_EQ(receive(&h, own, 1515, 1000), VIRTIO_NET_DROPPED); /* larger than the buffer */
	CHECK_EQ(receive(&h, own, 13, 1000), VIRTIO_NET_DROPPED);
	CHECK_EQ(receive(&h, own, 60, 1000), VIRTIO_NET_TAKEN);
}

TEST(buffers_are_merged)
{
	u32 id, length;

	start(VIRTIO_NET_F_MRG_RXBUF);
	post(RX, 3, 512);
	CHECK_EQ(receive(&plain, own, 2000, 500), VIRTIO_NET_WAIT); /* four are needed */
	CHECK(!driver_used(RX, &id, &length));
	CHECK_EQ(driver_used_ring(RX)[1], 0);
	CHECK_EQ(receive(&plain, own, 1100, 77), VIRTIO_NET_TAKEN);
	CHECK_EQ(driver_used_ring(RX)[1], 3);
	CHECK_EQ(*(u16 *)(driver_ram + BUFFERS + 10), 3);
	for (u32 i = 0; i < 3; i++) {
		CHECK(driver_used(RX, &id, &length));
		CHECK_EQ(length, i < 2 ? 512 : 1112 - 1024);
	}
	CHECK(!memcmp(driver_ram + BUFFERS + HEADER, incoming + HEADER, 1100));
}

TEST(merging_asks_for_the_notification_of_more)
{
	start(VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_EVENT_IDX);
	post(RX, 3, 512);
	CHECK_EQ(receive(&plain, own, 2000, 500), VIRTIO_NET_WAIT);
	CHECK_EQ(driver_used_ring(RX)[2 + 256 * 4], 3); /* avail_event */
}

TEST(receive_buffers_of_the_wrong_kind)
{
	const struct driver_part read = {DRIVER_DATA, 1526, false};

	start(0);
	driver_add(RX, &read, 1);
	CHECK_EQ(receive_plain(own), VIRTIO_NET_DROPPED);
	CHECK(driver_broken());
	start(VIRTIO_NET_F_MRG_RXBUF);
	post(RX, 1, 11);
	CHECK_EQ(receive_plain(own), VIRTIO_NET_DROPPED);
	CHECK(driver_broken());
}

TEST(offloads_are_negotiated)
{
	const struct net_header csum = {
		.flags = NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
	const struct net_header valid = {.flags = NET_DATA_VALID};
	const struct net_header tso = {.flags = NET_NEEDS_CSUM,
		.gso_type = NET_GSO_TCPV4,
		.gso_size = 1000,
		.csum_start = 34,
		.csum_offset = 16};

	start(0);
	post(RX, 4, 1526);
	CHECK_EQ(receive(&csum, own, 100, 1000), VIRTIO_NET_DROPPED);
	CHECK_EQ(receive(&valid, own, 100, 1000), VIRTIO_NET_TAKEN);
	CHECK_EQ(driver_ram[BUFFERS], 0); /* a flag that the driver does not know */
	start(TSO | VIRTIO_NET_F_MRG_RXBUF);
	post(RX, 64, 1526);
	CHECK_EQ(receive(&csum, own, 100, 1000), VIRTIO_NET_TAKEN);
	CHECK_EQ(receive(&tso, own, 40000, 4096), VIRTIO_NET_TAKEN);
	CHECK_EQ(driver_ram[BUFFERS + 1526 + 1], NET_GSO_TCPV4);
	start(VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_MRG_RXBUF);
	post(RX, 64, 1526);
	CHECK_EQ(receive(&tso, own, 40000, 4096), VIRTIO_NET_DROPPED);
}

/* --- control queue --- */

static u8 command(u8 class, u8 code, const void *data, u32 bytes)
{
	const struct driver_part part[] = {{COMMAND, 2 + bytes, false}, {ACK, 1, true}};
	u32 id, length;

	driver_ram[COMMAND] = class;
	driver_ram[COMMAND + 1] = code;
	if (bytes)
		memcpy(driver_ram + COMMAND + 2, data, bytes);
	driver_ram[ACK] = 0xaa;
	driver_add(CONTROL, part, 2);
	driver_kick(CONTROL);
	CHECK(driver_used(CONTROL, &id, &length));
	CHECK_EQ(length, 1);
	return driver_ram[ACK];
}

static u8 mode(u8 code, u8 on)
{
	return command(VIRTIO_NET_CTRL_RX, code, &on, 1);
}

TEST(receive_modes)
{
	static const u8 other[6] = {2, 0, 0, 0, 0, 9};
	static const u8 group[6] = {1, 0, 0x5e, 0, 0, 1};

	start(CTRL | VIRTIO_NET_F_CTRL_RX_EXTRA);
	post(RX, 64, 1526);
	CHECK_EQ(receive_plain(own), VIRTIO_NET_TAKEN);
	CHECK_EQ(receive_plain(broadcast), VIRTIO_NET_TAKEN);
	CHECK_EQ(receive_plain(other), VIRTIO_NET_DROPPED);
	CHECK_EQ(receive_plain(group), VIRTIO_NET_DROPPED);
	CHECK_EQ(mode(VIRTIO_NET_RX_ALLMULTI, 1), VIRTIO_NET_OK);
	CHECK_EQ(receive_plain(group), VIRTIO_NET_TAKEN);
	CHECK_EQ(mode(VIRTIO_NET_RX_NOMULTI, 1), VIRTIO_NET_OK);
	CHECK_EQ(receive_plain(group), VIRTIO_NET_DROPPED);
	CHECK_EQ(mode(VIRTIO_NET_RX_ALLUNI, 1), VIRTIO_NET_OK);
	CHECK_EQ(receive_plain(other), VIRTIO_NET_TAKEN);
	CHECK_EQ(mode(VIRTIO_NET_RX_NOUNI, 1), VIRTIO_NET_OK);
	CHECK_EQ(receive_plain(own), VIRTIO_NET_DROPPED);
	CHECK_EQ(mode(VIRTIO_NET_RX_NOBCAST, 1), VIRTIO_NET_OK);
	CHECK_EQ(receive_plain(broadcast), VIRTIO_NET_DROPPED);
	CHECK_EQ(mode(VIRTIO_NET_RX_PROMISC, 1), VIRTIO_NET_OK);
	CHECK_EQ(receive_plain(other), VIRTIO_NET_TAKEN);
	CHECK_EQ(mode(VIRTIO_NET_RX_PROMISC, 2), VIRTIO_NET_ERR);
	CHECK_EQ(mode(6, 1), VIRTIO_NET_ERR);
	CHECK_EQ(command(VIRTIO_NET_CTRL_RX, 0, NULL, 0), VIRTIO_NET_ERR);
	start(0); /* without CTRL_RX all comes in */
	post(RX, 4, 1526);
	CHECK_EQ(receive_plain(other), VIRTIO_NET_TAKEN);
	start(CTRL);
	CHECK_EQ(mode(VIRTIO_NET_RX_NOUNI, 1), VIRTIO_NET_ERR); /* RX_EXTRA not negotiated */
}

TEST(mac_tables)
{
	u8 data[8 + 6 * 100] = {0};
	const u8 unicast[6] = {2, 0, 0, 0, 0, 5};
	const u8 group[6] = {1, 0, 0x5e, 0, 0, 7};
	u32 many = 70;

	start(CTRL);
	post(RX, 64, 1526);
	data[0] = 1;
	memcpy(data + 4, unicast, 6);
	data[10] = 1;
	memcpy(data + 14, group, 6);
	CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, 0, data, 20), VIRTIO_NET_OK);
	CHECK_EQ(receive_plain(unicast), VIRTIO_NET_TAKEN);
	CHECK_EQ(receive_plain(group), VIRTIO_NET_TAKEN);
	CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, 0, data, 19), VIRTIO_NET_ERR);
	data[0] = 200; /* more than there is */
	CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, 0, data, 20), VIRTIO_NET_ERR);
	memset(data, 255, 4);
	CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, 0, data, 20), VIRTIO_NET_ERR);
	CHECK_EQ(receive_plain(unicast), VIRTIO_NET_TAKEN); /* as before */
	memset(data, 0, sizeof(data));
	memcpy(data, &many, 4); /* more than fit: all unicast */
	CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, 0, data, 8 + 6 * many), VIRTIO_NET_OK);
	CHECK_EQ(receive_plain(unicast), VIRTIO_NET_TAKEN);
	CHECK_EQ(receive_plain(group), VIRTIO_NET_DROPPED);
	driver_start(CTRL, 256); /* empty after a reset */
	post(RX, 4, 1526);
	CHECK_EQ(receive_plain(unicast), VIRTIO_NET_DROPPED);
}

TEST(mac_address)
{
	const u8 new[6] = {2, 0, 0, 0, 0, 0x77};

	start(CTRL | VIRTIO_NET_F_CTRL_MAC_ADDR);
	post(RX, 4, 1526);
	CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, 1, new, 6), VIRTIO_NET_OK);
	CHECK_EQ(driver_read(DRIVER_CONFIG + 5, 1), 0x77);
	CHECK_EQ(receive_plain(new), VIRTIO_NET_TAKEN);
	CHECK_EQ(receive_plain(own), VIRTIO_NET_DROPPED);
	CHECK_EQ(command(VIRTIO_NET_CTRL_MAC, 1, new, 5), VIRTIO_NET_ERR);
	driver_write(VIRTIO_STATUS, 1, 0);
	CHECK_EQ(driver_read(DRIVER_CONFIG + 5, 1), 1);
}

TEST(vlans)
{
	const u16 seven = 7;
	const u16 beyond = 4096;
	struct virtio_net_frame frame = {.pieces = 1, .piece = {{incoming, HEADER + 60}}};

	start(CTRL);
	post(RX, 8, 1526);
	memset(incoming, 0, sizeof(incoming));
	memcpy(incoming + HEADER, own, 6);
	incoming[HEADER + 12] = 0x81;
	incoming[HEADER + 14] = 0xe0; /* priority */
	incoming[HEADER + 15] = 7;
	CHECK_EQ(virtio_net_receive(&driver.m, &card, &frame), VIRTIO_NET_DROPPED);
	CHECK_EQ(command(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_VLAN_ADD, &seven, 2), VIRTIO_NET_OK);
	CHECK_EQ(virtio_net_receive(&driver.m, &card, &frame), VIRTIO_NET_TAKEN);
	CHECK_EQ(command(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_VLAN_DEL, &seven, 2), VIRTIO_NET_OK);
	CHECK_EQ(virtio_net_receive(&driver.m, &card, &frame), VIRTIO_NET_DROPPED);
	CHECK_EQ(command(VIRTIO_NET_CTRL_VLAN, VIRTIO_NET_VLAN_ADD, &beyond, 2), VIRTIO_NET_ERR);
	CHECK_EQ(command(VIRTIO_NET_CTRL_VLAN, 2, &seven, 2), VIRTIO_NET_ERR);
	CHECK_EQ(receive_plain(own), VIRTIO_NET_TAKEN); /* untagged */
}

TEST(announcement)
{
	start(VIRTIO_NET_F_STATUS | VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_GUEST_ANNOUNCE);
	virtio_net_announce(&driver.m, &card);
	CHECK_EQ(driver_read(VIRTIO_OFFSET_ISR, 1), VIRTIO_ISR_CONFIG);
	CHECK_EQ(driver_read(DRIVER_CONFIG + 6, 2), VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE);
	CHECK_EQ(command(VIRTIO_NET_CTRL_ANNOUNCE, 0, NULL, 0), VIRTIO_NET_OK);
	CHECK_EQ(driver_read(DRIVER_CONFIG + 6, 2), VIRTIO_NET_S_LINK_UP);
	CHECK_EQ(command(VIRTIO_NET_CTRL_ANNOUNCE, 1, NULL, 0), VIRTIO_NET_ERR);
}

TEST(offloads_at_run_time)
{
	u64 offloads = 0;

	start(VIRTIO_NET_F_CTRL_VQ | VIRTIO_NET_F_CTRL_GUEST_OFFLOADS | TSO);
	CHECK_EQ(wants, NET_TAKES_CSUM | NET_TAKES_TSO4);
	CHECK_EQ(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &offloads, 8), VIRTIO_NET_OK);
	CHECK_EQ(wants, 0);
	offloads = VIRTIO_NET_F_GUEST_TSO6; /* not negotiated */
	CHECK_EQ(command(VIRTIO_NET_CTRL_GUEST_OFFLOADS, 0, &offloads, 8), VIRTIO_NET_ERR);
}

TEST(control_rules)
{
	const struct driver_part no_ack = {COMMAND, 2, false};

	start(VIRTIO_NET_F_CTRL_VQ);
	CHECK_EQ(command(99, 0, NULL, 0), VIRTIO_NET_ERR);
	CHECK_EQ(command(VIRTIO_NET_CTRL_MQ, 0, "\1", 2), VIRTIO_NET_ERR);
	CHECK_EQ(command(VIRTIO_NET_CTRL_VLAN, 0, "\1", 2), VIRTIO_NET_ERR);
	driver_add(CONTROL, &no_ack, 1);
	driver_kick(CONTROL);
	CHECK(driver_broken());
	start(0); /* no control queue: nothing looks at it */
	driver_add(CONTROL, &no_ack, 1);
	driver_kick(CONTROL);
	CHECK(!driver_broken());
}

/* --- several pairs --- */

/* An IPv4/UDP frame between two hosts; `back`: the other direction. */
static void flow(u8 *frame, u8 host, bool back)
{
	memset(frame, 0, 60);
	memcpy(frame, own, 6);
	frame[12] = 8; /* IPv4 */
	frame[14] = 0x45;
	frame[23] = 17;
	frame[26 + (back ? 4 : 0)] = 10;
	frame[27 + (back ? 4 : 0)] = host;
	frame[30 - (back ? 4 : 0)] = 10;
	frame[35 + (back ? 2 : 0)] = 53;
	frame[37 - (back ? 2 : 0)] = host;
}

TEST(flows_are_steered)
{
	const struct driver_part part = {DRIVER_DATA, HEADER + 60, false};
	struct virtio_net_frame frame = {.pieces = 1, .piece = {{incoming, HEADER + 60}}};
	const u16 three = 3;
	const u16 nine = 9;
	u32 id, length;
	u32 control = 8;

	start_pairs(4, VIRTIO_NET_F_MQ | VIRTIO_NET_F_CTRL_VQ);
	CHECK_EQ(driver_read(DRIVER_CONFIG + 8, 2), 4);
	for (u32 i = 0; i < 4; i++)
		post(2 * i, 8, 1526);
	for (u32 i = 0; i < 2; i++) {
		const struct driver_part set[] = {{COMMAND, 4, false}, {ACK, 1, true}};

		driver_ram[COMMAND] = VIRTIO_NET_CTRL_MQ;
		driver_ram[COMMAND + 1] = 0;
		memcpy(driver_ram + COMMAND + 2, i ? &three : &nine, 2);
		driver_add(control, set, 2);
		driver_kick(control);
		CHECK_EQ(driver_ram[ACK], i ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
	}
	memset(driver_ram + DRIVER_DATA, 0, HEADER);
	flow(driver_ram + DRIVER_DATA + HEADER, 33, false);
	driver_add(5, &part, 1); /* the third pair */
	driver_kick(5);
	CHECK_EQ(sends, 1);
	memset(incoming, 0, HEADER);
	flow(incoming + HEADER, 33, true);
	CHECK_EQ(virtio_net_receive(&driver.m, &card, &frame), VIRTIO_NET_TAKEN);
	CHECK(driver_used(4, &id, &length));
	flow(incoming + HEADER, 34, true); /* another, unknown one */
	CHECK_EQ(virtio_net_receive(&driver.m, &card, &frame), VIRTIO_NET_TAKEN);
	CHECK(driver_used(0, &id, &length));
}

TEST(one_pair_without_mq)
{
	const struct driver_part part = {DRIVER_DATA, HEADER + 60, false};
	const struct driver_part set[] = {{COMMAND, 3, false}, {ACK, 1, true}};
	u32 id, length;

	start_pairs(4, CTRL);
	memset(driver_ram + DRIVER_DATA, 0, HEADER);
	driver_add(5, &part, 1);
	driver_kick(5);
	CHECK(!driver_used(5, &id, &length));
	driver_ram[COMMAND + 2] = 1;
	driver_add(2, set, 2); /* the control queue is the third one then */
	driver_kick(2);
	CHECK(driver_used(2, &id, &length));
}
