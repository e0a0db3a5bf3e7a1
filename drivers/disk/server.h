/*
 * Serves ranges of a disk to the clients of `block` sessions: what is common to all disk drivers
 * but makes no system call.
 *
 * A request is copied, checked against the client's own range, and given to the driver under a
 * *tag*, with the bus addresses of its data: the device reads and writes the session's memory
 * itself, or that of the client's guest where the description grants it. While all tags are in use,
 * requests wait in the sessions; each tag that becomes free goes to the next client that has
 * something to ask.
 *
 * A connection that ends (epoch.h) leaves requests under way; their answers go nowhere, and the
 * next connection is not answered before the device has finished them, as it may touch their data
 * until then.
 */
#pragma once

#include "drivers/protocols/block.h"

#define DISK_TAGS_MAX    64u
#define DISK_CLIENTS_MAX 32u
#define DISK_UNIT_FIRST  ~0u
#define DISK_TURN        16u /* requests of one client before the others have their turn */

/* What a driver says of its disk. */
struct disk_geometry {
	u32 unit;    /* before: which one the description wants, or DISK_UNIT_FIRST */
	u64 sectors; /* of 512 bytes, whole blocks */
	u32 block_size;
	u32 physical_size;
	u32 features; /* BLOCK_READ_ONLY, BLOCK_CAN_..., BLOCK_WHOLE_PAGES */
	u32 max_sectors;
	u32 max_pieces;
	u32 max_discard;
	u32 max_zeroes;
	u32 discard_block; /* sectors */
	u64 bus_top;       /* bus addresses from here on are not reached; 0: all are */
	u32 tags;          /* requests that may be under way, 1 to DISK_TAGS_MAX */
};

struct disk_piece {
	u64 bus;
	u32 length;
	u32 reserved;
};

/* A request that the driver can carry out as it stands. */
struct disk_request {
	u8 op; /* enum block_op */
	u8 flags;
	u16 pieces;
	u32 sectors;
	u64 sector; /* of the disk */
	struct disk_piece piece[BLOCK_PIECES];
};

/* A range of the disk. */
struct disk_volume {
	u64 first; /* sector */
	u64 sectors;
	bool read_only;
	const char *name; /* for the client's guest */
};

struct disk_client {
	struct block_end end;
	u64 bus;                   /* bus address of region 0 */
	struct block_memory guest; /* region 1; without parts: there is none */
	u64 first;                 /* sector of the disk that is its 0 */
	u32 flying;
	bool signal; /* set its event bit, and clear this */
	u64 damages; /* times that it broke its session */
};

struct disk_tag {
	bool busy;
	bool orphan; /* of a connection that has ended */
	u32 client;
	u32 id;
	u64 since; /* time of its submission */
	struct disk_request request;
};

struct disk_server {
	struct disk_geometry geometry;
	u32 clients;
	struct disk_client client[DISK_CLIENTS_MAX + 1]; /* the last is the driver itself */
	u32 next;                                        /* client whose turn it is */
	u32 busy;                                        /* tags in use */
	u64 done;                                        /* requests ever finished by the device */
	enum block_status own;                           /* of the driver's own last request */
	struct disk_tag tag[DISK_TAGS_MAX];
	/* Gives a request to the device. Called only while room() says so. */
	void (*submit)(u32 tag, const struct disk_request *r);
	bool (*room)(void);
};

/* True if the geometry can be: powers of two, sizes and limits in range. */
bool disk_geometry_ok(const struct disk_geometry *g);

/* Begins, without clients. The geometry is right. */
void disk_server_init(struct disk_server *s, const struct disk_geometry *g,
	void (*submit)(u32 tag, const struct disk_request *r), bool (*room)(void));

/*
 * Begins to serve `v`, whole blocks within the disk, in the session of `size` bytes at `memory`,
 * whose region 0 has the bus address `bus`. guest: the parts of the guest's RAM that the device may
 * reach, whole pages; NULL or without parts: none. False: there are DISK_CLIENTS_MAX.
 */
bool disk_server_add(struct disk_server *s, void *memory, u64 size, u64 bus,
	const struct block_memory *guest, const struct disk_volume *v);

/* Submits a request of the driver's own; no other is under way, nor until disk_server_done. Then
 * s->own is its status; BLOCK_IO too if the device was reset. */
void disk_server_own(struct disk_server *s, const struct disk_request *r, u64 now);

/* Follows the connections, and submits what the clients ask for. `now`: any monotonous time. True
 * if more waits that could be submitted at once. */
bool disk_server_round(struct disk_server *s, u64 now);

/* The device has carried out what `tag` stands for. False: nothing is under way with that tag. */
bool disk_server_done(struct disk_server *s, u32 tag, enum block_status status);

/* The device was reset, and nothing is under way in it: what its clients still wait for is
 * submitted again. */
void disk_server_again(struct disk_server *s, u64 now);

/* The time of the oldest submission; false: there is none. */
bool disk_server_oldest(const struct disk_server *s, u64 *since);
