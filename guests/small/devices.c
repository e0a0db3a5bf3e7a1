/*
 * A guest that treats its virtio devices as no driver should: random values in all their registers,
 * queues anywhere, descriptors that lead nowhere, in circles or out of memory, indices of the past,
 * doorbells without end. Between that, and at the end, each device must do for a driver that resets
 * it what it did before. PASS or FAIL for each. Sections are of VIRTIO 1.2.
 */
#include "small.h"

#define PCI_BAR1      0x14u
#define VIRTIO_VENDOR 0x1af4u
#define VIRTIO_DISK   0x1042u

/* 4.1.4.3: struct virtio_pci_common_cfg, which this machine has at the beginning of BAR 0 */
#define COMMON_FEATURE_SELECT 0x08u
#define COMMON_FEATURE        0x0cu
#define COMMON_NUM_QUEUES     0x12u
#define COMMON_STATUS         0x14u
#define COMMON_QUEUE_SELECT   0x16u
#define COMMON_QUEUE_SIZE     0x18u
#define COMMON_QUEUE_ENABLE   0x1cu
#define COMMON_QUEUE_DESC     0x20u
#define COMMON_QUEUE_DRIVER   0x28u
#define COMMON_QUEUE_DEVICE   0x30u
#define BAR0_SIZE             0x2000u
#define NOTIFY_STEP           2u
#define STATUS_DRIVER         0x3u /* ACKNOWLEDGE, DRIVER */
#define STATUS_FEATURES_OK    0xbu
#define STATUS_DRIVER_OK      0xfu
#define FEATURE_VERSION_1     BIT(0) /* of the second word */
#define DESC_NEXT             BIT(0)
#define DESC_WRITE            BIT(1)

#define SIZE        64u /* entries of a queue */
#define QUEUES      4u
#define SCRATCH     0x400000u /* 4 MiB that devices may read and write */
#define SCRATCH_END 0x800000u
#define RAM_END     0x1000000u /* 16 MiB */
#define ROUNDS      48u
#define POKES       24u
#define BELLS       16u
#define PATIENCE    0x1000000u /* looks at a request */
#define SECTOR      512u

struct descriptor {
	u64 address;
	u32 length;
	u16 flags;
	u16 next;
};

/* One queue in memory; 2.7 */
struct rings {
	struct descriptor descriptor[SIZE];
	struct {
		u16 flags, index, entry[SIZE], event;
	} available __attribute__((aligned(4096)));
	struct {
		u16 flags, index;
		struct {
			u32 id, length;
		} entry[SIZE];
		u16 event;
	} used __attribute__((aligned(4096)));
};

struct request { /* 5.2.6 */
	u32 type, reserved;
	u64 sector;
	u8 data[SECTOR];
	u8 status;
};

struct device {
	u32 address; /* of its configuration space: PCI_SLOT */
	u16 id;
	u64 memory;
	u16 ports;
};

static struct rings rings[QUEUES] __attribute__((aligned(4096)));
static volatile struct request request __attribute__((aligned(4096)));
static u64 state = 0x9e3779b97f4a7c15ull;

/* xorshift64 (Marsaglia): the same sequence at each run. */
static u64 random_next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state >> 8;
}

static void poke(const struct device *d, u32 offset, u32 size, u64 value)
{
	if (size == 1)
		*(volatile u8 *)(d->memory + offset) = (u8)value;
	else if (size == 2)
		*(volatile u16 *)(d->memory + offset) = (u16)value;
	else
		*(volatile u32 *)(d->memory + offset) = (u32)value;
}

static void poke64(const struct device *d, u32 offset, u64 value)
{
	poke(d, offset, 4, value);
	poke(d, offset + 4, 4, value >> 32);
}

static u8 status(const struct device *d)
{
	return *(volatile u8 *)(d->memory + COMMON_STATUS);
}

static bool find(u32 slot, struct device *d)
{
	u32 address = PCI_SLOT(slot);
	u32 id = pci_read(address);

	*d = (struct device){.address = address, .id = (u16)(id >> 16)};
	if ((id & 0xffff) != VIRTIO_VENDOR)
		return false;
	pci_write(address + PCI_COMMAND, PCI_WORKS);
	d->memory = pci_read(address + PCI_BAR0) & ~0xfu;
	d->ports = (u16)(pci_read(address + PCI_BAR1) & ~0x3u);
	return true;
}

/* Resets it and goes up to FEATURES_OK; a device takes `features` below, or only VERSION_1. */
static bool begin(const struct device *d, u64 features)
{
	poke(d, COMMON_STATUS, 1, 0);
	if (status(d) != 0)
		return false;
	poke(d, COMMON_STATUS, 1, STATUS_DRIVER);
	poke(d, COMMON_FEATURE_SELECT, 4, 0);
	poke(d, COMMON_FEATURE, 4, features);
	poke(d, COMMON_FEATURE_SELECT, 4, 1);
	poke(d, COMMON_FEATURE, 4, features >> 32 | FEATURE_VERSION_1);
	poke(d, COMMON_STATUS, 1, STATUS_FEATURES_OK);
	return status(d) == STATUS_FEATURES_OK;
}

static void queue(const struct device *d, u32 n, u32 size, u64 desc, u64 driver, u64 device)
{
	poke(d, COMMON_QUEUE_SELECT, 2, n);
	poke(d, COMMON_QUEUE_SIZE, 2, size);
	poke64(d, COMMON_QUEUE_DESC, desc);
	poke64(d, COMMON_QUEUE_DRIVER, driver);
	poke64(d, COMMON_QUEUE_DEVICE, device);
	poke(d, COMMON_QUEUE_ENABLE, 2, 1);
}

static void queue_well(const struct device *d, u32 n)
{
	const struct rings *r = &rings[n];

	queue(d, n, SIZE, (u64)r->descriptor, (u64)&r->available, (u64)&r->used);
}

/* An address that a device may be given: in the scratch memory, at and beyond the end of RAM, where
 * adding a length wraps. Never where this guest itself is. */
static u64 random_address(void)
{
	u64 r = random_next();

	switch (r % 8) {
	case 0:
		return RAM_END - (r >> 3 & 0xfff);
	case 1:
		return RAM_END + (r >> 3 & 0xffffffff);
	case 2:
		return ~0ull - (r >> 3 & 0xffff);
	case 3:
		return r << 8 | BIT(63);
	default:
		return SCRATCH + (r >> 3) % (SCRATCH_END - SCRATCH);
	}
}

static void random_rings(struct rings *r)
{
	for (u32 i = 0; i < SIZE; i++) {
		u64 x = random_next();

		r->descriptor[i] = (struct descriptor){.address = random_address(),
			.length = x & 1 ? (u32)(x >> 1 & 0xfff) : (u32)(x >> 1),
			.flags = (u16)(x >> 40 & 7),
			.next = (u16)(x >> 44 & 1 ? x >> 45 % SIZE : x >> 45)};
		r->available.entry[i] = (u16)(x >> 32 & 1 ? x >> 33 & (SIZE - 1) : x >> 33);
	}
	r->available.flags = (u16)random_next();
	r->available.event = (u16)random_next();
}

static void misuse(const struct device *d)
{
	begin(d, random_next() << 8 ^ random_next());
	for (u32 n = 0; n < QUEUES; n++) {
		random_rings(&rings[n]);
		if (random_next() % 4)
			queue_well(d, n);
		else
			queue(d, n, (u32)random_next(), random_address(), random_address(),
				random_address());
	}
	poke(d, COMMON_STATUS, 1, STATUS_DRIVER_OK);
	for (u32 i = 0; i < BELLS; i++) {
		u32 n = random_next() % QUEUES;

		/* forth, and back to the past */
		rings[n].available.index += (u16)(random_next() % (2 * SIZE) - SIZE / 2);
		out16((u16)(d->ports + n * NOTIFY_STEP), (u16)n);
	}
	for (u32 i = 0; i < POKES; i++) {
		u32 size = 1u << random_next() % 3;

		poke(d, (u32)(random_next() % (BAR0_SIZE - size)), size, random_next());
		out16((u16)(d->ports + random_next() % (16 * NOTIFY_STEP)), (u16)random_next());
	}
}

/* A driver that does it right reads the first sector. */
static bool reads(const struct device *d)
{
	struct rings *r = &rings[0];
	volatile u16 *used = &r->used.index;

	if (!begin(d, 0))
		return false;
	request.type = 0;
	request.sector = 0;
	request.status = 0xff;
	for (u32 i = 0; i < 3; i++)
		r->descriptor[i].next = (u16)(i + 1);
	r->descriptor[0] = (struct descriptor){(u64)&request, 16, DESC_NEXT, 1};
	r->descriptor[1] =
		(struct descriptor){(u64)request.data, SECTOR, DESC_NEXT | DESC_WRITE, 2};
	r->descriptor[2] = (struct descriptor){(u64)&request.status, 1, DESC_WRITE, 0};
	r->available.flags = 0;
	r->available.entry[0] = 0;
	r->available.index = 1;
	r->used.index = 0;
	queue_well(d, 0);
	poke(d, COMMON_STATUS, 1, STATUS_DRIVER_OK);
	out16(d->ports, 0);
	for (u32 i = 0; i < PATIENCE && *used == 0; i++)
		__asm__ volatile("pause");
	return *used == 1 && request.status == 0;
}

static bool works(const struct device *d)
{
	return d->id == VIRTIO_DISK ? reads(d) : begin(d, 0);
}

static void verdict(const struct device *d, bool good)
{
	put_verdict(good);
	put_text("device ");
	put_hex(d->id);
	put_text("\n");
}

void small_main(const char *cmdline)
{
	(void)cmdline;
	for (u32 slot = 0; slot < PCI_SLOTS; slot++) {
		struct device d;
		bool good;

		if (!find(slot, &d))
			continue;
		good = works(&d);
		for (u32 round = 1; good && round <= ROUNDS; round++) {
			misuse(&d);
			if (round % 8 == 0)
				good = works(&d);
		}
		verdict(&d, good);
	}
	put_sum("devices");
}
