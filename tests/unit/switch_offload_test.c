/*
 * Tests of checksums and segmentation in software: what comes out is right by a second, naive way
 * of summing, and holds the same bytes; headers that lie are refused.
 */
#include <stdlib.h>

#include "drivers/lib/lib.h"
#include "drivers/switch/offload.h"
#include "tests/unit/test.h"

#include "tests/unit/switch_frames.h"

#define LINK (NET_MTU + ETHERNET_HEADER)

static u8 space[NET_FRAME_MAX];

static struct frame make(bool ipv6, u32 payload)
{
	struct frame f = {.data = space};

	f.size = frames_tcp(&f.header, space, 1, 2, ipv6, payload);
	return f;
}

TEST(offload_finishes_checksums)
{
	for (u32 payload = 0; payload < 1400; payload += 1 + payload % 7) {
		for (int ipv6 = 0; ipv6 < 2; ipv6++) {
			struct frame f = make(ipv6, payload);

			CHECK(offload_check(&f, LINK));
			CHECK_EQ(offload_needs(&f), NET_TAKES_CSUM);
			offload_finish(&f);
			CHECK(frames_right(f.data, f.size, ipv6));
			CHECK_EQ(f.header.flags, 0);
			CHECK_EQ(offload_needs(&f), 0);
		}
	}
}

/* A sum of 0 is stored as all ones, as UDP wants it. */
TEST(offload_checksum_zero)
{
	struct frame f = make(false, 100);

	memset(f.data + 34, 0, f.size - 34);
	frames_put16(f.data + 34, 0xffff);
	f.header.csum_offset = 6;
	CHECK(offload_check(&f, LINK));
	offload_finish(&f);
	CHECK_EQ(frames_get16(f.data + 40), 0xffff);
}

static void check_segments(struct frame *f, bool ipv6, u32 payload)
{
	u32 transport = ipv6 ? 54 : 34;
	u32 count = offload_segments(f);
	u32 done = 0;

	for (u32 i = 0; i < count; i++) {
		u8 whole[2048];
		struct part p = offload_segment(f, i, whole);
		u32 sequence = 0xffffff00u + done;
		u8 flags = whole[transport + 13];

		memcpy(whole + f->headers, p.data, p.size);
		CHECK(f->headers + p.size <= LINK && p.size > 0);
		CHECK(frames_right(whole, f->headers + p.size, ipv6));
		CHECK(p.data == f->data + f->headers + done);
		CHECK_EQ(frames_get16(whole + transport + 4), sequence >> 16);
		CHECK_EQ(frames_get16(whole + transport + 6), sequence & 0xffff);
		CHECK_EQ(flags & 0x80, i == 0 ? 0x80 : 0);         /* CWR */
		CHECK_EQ(flags & 0x09, i + 1 == count ? 0x09 : 0); /* PSH FIN */
		CHECK_EQ(flags & 0x10, 0x10);
		if (!ipv6)
			CHECK_EQ(frames_get16(whole + 18), (0xfffe + i) & 0xffff);
		CHECK(memcmp(whole, f->data, 12) == 0);
		done += p.size;
	}
	CHECK_EQ(done, payload);
}

TEST(offload_segments_tcp)
{
	static const u32 payloads[] = {1461, 2920, 2921, 4097, 30001, 65000};

	for (u32 i = 0; i < ARRAY_SIZE(payloads); i++) {
		for (int ipv6 = 0; ipv6 < 2; ipv6++) {
			struct frame f = make(ipv6, payloads[i]);

			CHECK(offload_check(&f, LINK));
			CHECK_EQ(offload_needs(&f),
				NET_TAKES_CSUM | (ipv6 ? NET_TAKES_TSO6 : NET_TAKES_TSO4));
			CHECK_EQ(f.headers, ipv6 ? 74 : 54);
			check_segments(&f, ipv6, payloads[i]);
			f.header.gso_type |= NET_GSO_ECN;
			CHECK(offload_check(&f, LINK));
			CHECK(offload_needs(&f) & NET_TAKES_ECN);
		}
	}
}

/* A hop-by-hop header before TCP stays where it is. */
TEST(offload_extension_headers)
{
	struct frame f = make(true, 4000);
	u8 headers[OFFLOAD_HEADERS];
	struct part p;
	u32 sum;

	memmove(f.data + 62, f.data + 54, f.size - 54);
	memset(f.data + 54, 0, 8);
	f.data[54] = 6;
	f.data[20] = 0;
	f.size += 8;
	f.header.csum_start = 62;
	f.header.gso_size = 1400;
	CHECK(offload_check(&f, LINK));
	CHECK_EQ(f.headers, 82);
	p = offload_segment(&f, 0, headers);
	CHECK_EQ(frames_get16(headers + 18), 82 - 54 + p.size);
	sum = frames_sum(frames_pseudo(headers, true, 20 + p.size), headers + 62, 20);
	CHECK_EQ(frames_sum(sum, p.data, p.size), 0xffff);
	f.data[20] = 43; /* routing: its destination would be another */
	CHECK(!offload_check(&f, LINK));
	f.data[20] = 0;
	f.data[54] = 0;
	f.data[55] = 255; /* ends beyond the next header */
	CHECK(!offload_check(&f, LINK));
}

/* Each lie about a frame is refused. `at`: byte of the frame to change, 0: none. */
TEST(offload_refuses)
{
	static const struct {
		bool ipv6;
		u32 payload;
		struct net_header h; /* all 0: as it is */
		u32 at;
		u8 value;
	} lies[] = {
		{false, 100, {.flags = 2}, 0, 0},
		{false, 100, {.flags = 3, .csum_start = 34, .csum_offset = 16}, 0, 0},
		{false, 100, {.flags = 1, .csum_start = 13, .csum_offset = 16}, 0, 0},
		{false, 100, {.flags = 1, .csum_start = 34, .csum_offset = 119}, 0, 0},
		{false, 100, {.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff}, 0, 0},
		{false, 100, {.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 3}, 0,
			0},
		{false, 100, {.gso_type = NET_GSO_ECN}, 0, 0},
		{false, 1461, {.flags = 1, .csum_start = 34, .csum_offset = 16}, 0,
			0},                                             /* too large */
		{false, 4000, {.gso_type = 1, .gso_size = 1460}, 0, 0}, /* without checksum */
		{false, 4000, {1, 4, 0, 1460, 34, 16, 0}, 0, 0},        /* it is IPv4 */
		{true, 4000, {1, 1, 0, 1440, 54, 16, 0}, 0, 0},
		{false, 4000, {1, 1, 0, 1460, 33, 16, 0}, 0, 0},
		{false, 4000, {1, 1, 0, 1460, 34, 6, 0}, 0, 0},
		{false, 4000, {1, 1, 0, 1461, 34, 16, 0}, 0, 0}, /* segments too large */
		{false, 4000, {1, 1, 0, 0, 34, 16, 0}, 0, 0},
		{false, 4000, {1, 1, 0, 47, 34, 16, 0}, 0, 0},
		{false, 4000, {0}, 14, 0x65},      /* version */
		{false, 4000, {0}, 14, 0x44},      /* header too short */
		{false, 4000, {0}, 14, 0x46},      /* TCP is not where the checksum begins */
		{false, 4000, {0}, 23, 17},        /* UDP */
		{false, 4000, {0}, 20, 0x20},      /* a fragment */
		{false, 4000, {0}, 34 + 12, 0x40}, /* TCP header too short */
		{true, 4000, {0}, 14, 0x40}, {true, 4000, {0}, 20, 17},
		{true, 4000, {0}, 54 + 12, 0x40}, {false, 4000, {0}, 12, 0x81}, /* no IP */
	};

	for (u32 i = 0; i < ARRAY_SIZE(lies); i++) {
		struct frame f = make(lies[i].ipv6, lies[i].payload);
		static const struct net_header none;

		if (memcmp(&lies[i].h, &none, sizeof(none)) != 0)
			f.header = lies[i].h;
		if (lies[i].at != 0)
			f.data[lies[i].at] = lies[i].value;
		if (offload_check(&f, LINK))
			test_fail(__FILE__, __LINE__, "lie %u is believed", i);
	}
}

/* What is passed on holds nothing that the sender made up. */
TEST(offload_cleans_headers)
{
	struct frame f = make(false, 100);

	f.header = (struct net_header){.header_length = 7,
		.gso_size = 9,
		.csum_start = 5,
		.csum_offset = 6,
		.num_buffers = 3};
	CHECK(offload_check(&f, LINK));
	CHECK(memcmp(&f.header, &(struct net_header){0}, sizeof(f.header)) == 0);
	f = make(false, 4000);
	f.header.header_length = 9999;
	CHECK(offload_check(&f, LINK));
	CHECK_EQ(f.header.header_length, 54);
}

/* In blocks of just their size, so that the sanitizer sees what is read or written beyond. */
TEST(offload_random)
{
	for (int i = 0; i < 100000; i++) {
		struct frame f = make(random() % 2, (u32)random() % 3000);
		u32 size = f.size;
		u8 *copy;

		if (random() % 4 == 0)
			size = ETHERNET_HEADER + (u32)random() % (size - ETHERNET_HEADER + 1);
		copy = malloc(size);
		memcpy(copy, f.data, size);
		f.data = copy;
		f.size = size;
		for (int k = 0; k < random() % 4; k++)
			copy[random() % (size < 80 ? size : 80)] = (u8)random();
		if (random() % 4 == 0)
			((u8 *)&f.header)[random() % 10] = (u8)random();
		if (offload_check(&f, LINK)) {
			u8 headers[OFFLOAD_HEADERS];

			for (u32 n = 0; f.header.gso_type && n < offload_segments(&f); n++)
				CHECK(offload_segment(&f, n, headers).size > 0);
			if (!f.header.gso_type && f.header.flags)
				offload_finish(&f);
		}
		free(copy);
	}
}
