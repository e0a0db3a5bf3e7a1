/* Split virtqueues: chains, malformed ones, used ring, notification suppression both ways. */
#include <stdlib.h>
#include "guests/vmm/virtio/virtqueue.h"
#include "tests/unit/test.h"

#define RAM     0x20000u
#define TABLE   0x1000u
#define AVAIL   0x2000u
#define USED    0x3000u
#define BUFFERS 0x8000u
#define OTHER   0x6000u /* indirect tables */
#define SIZE    8u

static u8 *ram;
static struct gmem g;
static struct virtqueue q;
static struct virtqueue_chain c;

static struct virtqueue_descriptor *descriptor(u32 index)
{
	return (struct virtqueue_descriptor *)(ram + TABLE) + index;
}

static u16 *avail(void)
{
	return (u16 *)(ram + AVAIL);
}

static u16 *used(void)
{
	return (u16 *)(ram + USED);
}

static void start(void)
{
	if (!ram)
		ram = aligned_alloc(PAGE_SIZE, RAM);
	memset(ram, 0, RAM);
	memset(&g, 0, sizeof(g));
	CHECK(gmem_add(&g, 0, RAM, ram));
	virtqueue_reset(&q, SIZE);
	q.descriptors = TABLE;
	q.driver = AVAIL;
	q.device = USED;
	q.enabled = 1;
	CHECK(virtqueue_areas_valid(&g, &q));
}

static void set(u32 index, u64 address, u32 length, u16 flags, u16 next)
{
	*descriptor(index) = (struct virtqueue_descriptor){address, length, flags, next};
}

static void offer(u16 head)
{
	avail()[2 + avail()[1] % SIZE] = head;
	avail()[1]++;
}

/* Whether the chain that begins at descriptor 0 is found broken. */
static bool broken(void)
{
	offer(0);
	return virtqueue_look(&g, &q, 0, &c) == VIRTQUEUE_BROKEN;
}

TEST(chain_is_read_and_written)
{
	u8 bytes[12] = {0};

	start();
	CHECK_EQ(virtqueue_look(&g, &q, 0, &c), VIRTQUEUE_EMPTY);
	memcpy(ram + BUFFERS, "abcdef", 6);
	memcpy(ram + BUFFERS + 0x100, "ghij", 4);
	set(3, BUFFERS, 6, VIRTQUEUE_NEXT, 5);
	set(5, BUFFERS + 0x100, 4, VIRTQUEUE_NEXT, 1);
	set(1, BUFFERS + 0x200, 3, VIRTQUEUE_WRITE | VIRTQUEUE_NEXT, 7);
	set(7, BUFFERS + 0x300, 5, VIRTQUEUE_WRITE, 0);
	offer(3);
	CHECK_EQ(virtqueue_look(&g, &q, 0, &c), VIRTQUEUE_CHAIN);
	CHECK_EQ(c.head, 3);
	CHECK_EQ(c.segments, 4);
	CHECK_EQ(c.readable, 2);
	CHECK_EQ(c.read_bytes, 10);
	CHECK_EQ(c.write_bytes, 8);
	CHECK(virtqueue_read(&c, 4, bytes, 5));
	CHECK(!memcmp(bytes, "efghi", 5));
	CHECK(!virtqueue_read(&c, 4, bytes, 7));
	CHECK(!virtqueue_read(&c, 11, bytes, 0));
	CHECK(virtqueue_write(&c, 1, "1234567", 7));
	CHECK(!memcmp(ram + BUFFERS + 0x201, "12", 2));
	CHECK(!memcmp(ram + BUFFERS + 0x300, "34567", 5));
	CHECK(!virtqueue_write(&c, 2, bytes, 7));
	CHECK(!virtqueue_write(&c, UINT32_MAX, bytes, 2));
}

TEST(used_entries_appear_with_the_index)
{
	start();
	set(2, BUFFERS, 4, VIRTQUEUE_WRITE, 0);
	offer(2);
	q.at.avail = 0;
	virtqueue_take(&q);
	CHECK_EQ(virtqueue_look(&g, &q, 0, &c), VIRTQUEUE_EMPTY);
	virtqueue_fill(&g, &q, 0, 2, 4);
	CHECK_EQ(used()[1], 0);
	virtqueue_advance(&g, &q, 0, 1);
	CHECK_EQ(used()[1], 1);
	CHECK_EQ(*(u32 *)(ram + USED + 4), 2);
	CHECK_EQ(*(u32 *)(ram + USED + 8), 4);
	used()[1] = 77; /* a process that takes over */
	virtqueue_publish(&g, &q);
	CHECK_EQ(used()[1], 1);
}

TEST(indices_wrap)
{
	start();
	q.at.avail = 0xffff;
	q.at.used = 0xffff;
	q.at.signalled = 0xffff;
	avail()[1] = 0xffff;
	set(0, BUFFERS, 4, 0, 0);
	avail()[2 + 7] = 0;
	avail()[1] = 0;
	CHECK_EQ(virtqueue_look(&g, &q, 0, &c), VIRTQUEUE_CHAIN);
	virtqueue_fill(&g, &q, 0, 0, 0);
	virtqueue_advance(&g, &q, 1, 1);
	CHECK_EQ(q.at.avail, 0);
	CHECK_EQ(used()[1], 0);
	CHECK(virtqueue_wants_interrupt(&g, &q));
	CHECK(!virtqueue_wants_interrupt(&g, &q));
}

TEST(areas_must_be_valid)
{
	start();
	q.descriptors = TABLE + 8;
	CHECK(!virtqueue_areas_valid(&g, &q));
	q.descriptors = RAM - 16;
	CHECK(!virtqueue_areas_valid(&g, &q));
	q.descriptors = ~0ull << 4;
	CHECK(!virtqueue_areas_valid(&g, &q));
	q.descriptors = RAM - SIZE * 16;
	CHECK(virtqueue_areas_valid(&g, &q));
	q.driver = AVAIL + 1;
	CHECK(!virtqueue_areas_valid(&g, &q));
	q.driver = RAM - SIZE * 16 - 6 - 2 * SIZE;
	CHECK(virtqueue_areas_valid(&g, &q)); /* touches, with used_event */
	q.driver += 2;
	CHECK(!virtqueue_areas_valid(&g, &q));
	q.driver = AVAIL;
	q.device = USED + 2;
	CHECK(!virtqueue_areas_valid(&g, &q));
	q.device = AVAIL + 20; /* over used_event */
	CHECK(!virtqueue_areas_valid(&g, &q));
	q.device = AVAIL + 24;
	CHECK(virtqueue_areas_valid(&g, &q));
	q.device = RAM - 6 - 8 * SIZE + 2;
	CHECK(!virtqueue_areas_valid(&g, &q));
}

TEST(index_may_not_jump)
{
	start();
	avail()[1] = SIZE;
	set(0, BUFFERS, 4, 0, 0);
	CHECK_EQ(virtqueue_look(&g, &q, 0, &c), VIRTQUEUE_CHAIN);
	avail()[1] = SIZE + 1;
	CHECK_EQ(virtqueue_look(&g, &q, 0, &c), VIRTQUEUE_BROKEN);
	avail()[1] = 0xffff; /* went back */
	CHECK_EQ(virtqueue_look(&g, &q, 0, &c), VIRTQUEUE_BROKEN);
}

TEST(heads_and_links_have_limits)
{
	start();
	avail()[2] = SIZE;
	avail()[1] = 1;
	CHECK_EQ(virtqueue_look(&g, &q, 0, &c), VIRTQUEUE_BROKEN);
	start();
	set(0, BUFFERS, 4, VIRTQUEUE_NEXT, SIZE);
	CHECK(broken());
	start();
	set(0, BUFFERS, 4, VIRTQUEUE_NEXT, 0xffff);
	CHECK(broken());
}

TEST(loops_end)
{
	start();
	set(0, BUFFERS, 4, VIRTQUEUE_NEXT, 0);
	CHECK(broken());
	start();
	set(0, BUFFERS, 4, VIRTQUEUE_NEXT, 1);
	set(1, BUFFERS, 4, VIRTQUEUE_NEXT, 0);
	CHECK(broken());
	CHECK(!virtqueue_chain_of(&g, &q, 0, &c));
}

TEST(a_chain_may_be_as_long_as_the_queue)
{
	start();
	for (u16 i = 0; i < SIZE; i++)
		set(i, BUFFERS, 4, i + 1u < SIZE ? VIRTQUEUE_NEXT : 0, i + 1);
	offer(0);
	CHECK_EQ(virtqueue_look(&g, &q, 0, &c), VIRTQUEUE_CHAIN);
	CHECK_EQ(c.segments, SIZE);
}

TEST(buffers_lie_in_ram)
{
	static const u64 wrong[] = {RAM, RAM - 3, ~0ull, ~0ull - 2, 1ull << 63};

	for (u32 i = 0; i < ARRAY_SIZE(wrong); i++) {
		start();
		set(0, wrong[i], 4, 0, 0);
		CHECK(broken());
	}
	start();
	set(0, BUFFERS, 0, 0, 0);
	CHECK(broken());
	start();
	set(0, 0, UINT32_MAX, 0, 0);
	CHECK(broken());
	start();
	set(0, RAM - 4, 4, 0, 0);
	CHECK(!broken());
}

TEST(readable_comes_first)
{
	start();
	set(0, BUFFERS, 4, VIRTQUEUE_WRITE | VIRTQUEUE_NEXT, 1);
	set(1, BUFFERS, 4, 0, 0);
	CHECK(broken());
}

TEST(indirect_tables)
{
	struct virtqueue_descriptor *t;

	start();
	t = (struct virtqueue_descriptor *)(ram + OTHER);
	t[0] = (struct virtqueue_descriptor){BUFFERS, 4, VIRTQUEUE_NEXT, 2};
	t[2] = (struct virtqueue_descriptor){BUFFERS, 8, VIRTQUEUE_WRITE, 0};
	set(0, BUFFERS, 2, VIRTQUEUE_NEXT, 1);
	set(1, OTHER, 48, VIRTQUEUE_INDIRECT | VIRTQUEUE_WRITE, 0); /* WRITE is ignored */
	CHECK(broken());                                            /* not negotiated */
	q.indirect = 1;
	CHECK_EQ(virtqueue_look(&g, &q, 0, &c), VIRTQUEUE_CHAIN);
	CHECK_EQ(c.read_bytes, 6);
	CHECK_EQ(c.write_bytes, 8);
	set(1, OTHER, 47, VIRTQUEUE_INDIRECT, 0);
	CHECK_EQ(virtqueue_look(&g, &q, 0, &c), VIRTQUEUE_BROKEN);
	set(1, OTHER, 0, VIRTQUEUE_INDIRECT, 0);
	CHECK_EQ(virtqueue_look(&g, &q, 0, &c), VIRTQUEUE_BROKEN);
	set(1, RAM - 16, 32, VIRTQUEUE_INDIRECT, 0);
	CHECK_EQ(virtqueue_look(&g, &q, 0, &c), VIRTQUEUE_BROKEN);
	set(1, OTHER, 48, VIRTQUEUE_INDIRECT | VIRTQUEUE_NEXT, 2);
	CHECK_EQ(virtqueue_look(&g, &q, 0, &c), VIRTQUEUE_BROKEN);
	set(1, OTHER, 32, VIRTQUEUE_INDIRECT, 0); /* the link leaves the table */
	CHECK_EQ(virtqueue_look(&g, &q, 0, &c), VIRTQUEUE_BROKEN);
	set(1, OTHER, 48, VIRTQUEUE_INDIRECT, 0);
	t[2].flags = VIRTQUEUE_INDIRECT; /* nested */
	t[2].length = 16;
	CHECK_EQ(virtqueue_look(&g, &q, 0, &c), VIRTQUEUE_BROKEN);
	t[2] = (struct virtqueue_descriptor){BUFFERS, 8, VIRTQUEUE_NEXT, 2}; /* a loop */
	CHECK_EQ(virtqueue_look(&g, &q, 0, &c), VIRTQUEUE_BROKEN);
	t[2] = (struct virtqueue_descriptor){BUFFERS, 8, 0, 0};
	set(1, OTHER + 1, 48, VIRTQUEUE_INDIRECT, 0); /* any alignment is read safely */
	virtqueue_look(&g, &q, 0, &c);
}

TEST(chains_ahead)
{
	start();
	set(0, BUFFERS, 4, 0, 0);
	set(1, BUFFERS, 5, 0, 0);
	offer(0);
	offer(1);
	CHECK_EQ(virtqueue_look(&g, &q, 1, &c), VIRTQUEUE_CHAIN);
	CHECK_EQ(c.read_bytes, 5);
	CHECK_EQ(virtqueue_look(&g, &q, 2, &c), VIRTQUEUE_EMPTY);
	virtqueue_fill(&g, &q, 0, 0, 1);
	virtqueue_fill(&g, &q, 1, 1, 2);
	virtqueue_advance(&g, &q, 2, 2);
	CHECK_EQ(used()[1], 2);
	CHECK_EQ(*(u32 *)(ram + USED + 16), 2);
}

TEST(interrupts_by_flag)
{
	start();
	virtqueue_advance(&g, &q, 0, 1);
	avail()[0] = VIRTQUEUE_NO_INTERRUPT;
	CHECK(!virtqueue_wants_interrupt(&g, &q));
	avail()[0] = 0;
	CHECK(!virtqueue_wants_interrupt(&g, &q)); /* nothing new */
	virtqueue_advance(&g, &q, 0, 1);
	CHECK(virtqueue_wants_interrupt(&g, &q));
}

TEST(interrupts_by_event_index)
{
	u16 *used_event;

	start();
	q.event_index = 1;
	used_event = avail() + 2 + SIZE;
	avail()[0] = VIRTQUEUE_NO_INTERRUPT; /* to be ignored */
	*used_event = 0;
	virtqueue_advance(&g, &q, 0, 1);
	CHECK(virtqueue_wants_interrupt(&g, &q)); /* the first */
	*used_event = 3;
	virtqueue_advance(&g, &q, 0, 1);
	CHECK(!virtqueue_wants_interrupt(&g, &q)); /* entry 1 */
	virtqueue_advance(&g, &q, 0, 1);
	CHECK(!virtqueue_wants_interrupt(&g, &q)); /* 2 */
	virtqueue_advance(&g, &q, 0, 3);
	CHECK(virtqueue_wants_interrupt(&g, &q)); /* 3 to 5 */
	virtqueue_advance(&g, &q, 0, 1);
	CHECK(!virtqueue_wants_interrupt(&g, &q));
	*used_event = (u16)(q.at.used - 1);
	CHECK(!virtqueue_wants_interrupt(&g, &q)); /* past: the driver has seen it */
}

TEST(notifications_by_event_index)
{
	u16 *avail_event;

	start();
	avail_event = used() + 2 + SIZE * 4;
	CHECK(!virtqueue_sleep(&g, &q, 0));
	CHECK_EQ(*avail_event, 0);
	q.event_index = 1;
	q.at.avail = 5;
	avail()[1] = 5;
	CHECK(!virtqueue_sleep(&g, &q, 0));
	CHECK_EQ(*avail_event, 5);
	avail()[1] = 6;
	CHECK(virtqueue_sleep(&g, &q, 0)); /* one came meanwhile */
	CHECK(!virtqueue_sleep(&g, &q, 1));
	CHECK_EQ(*avail_event, 6);
}
