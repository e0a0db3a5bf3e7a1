/* The guest's I/O ports: which handler each belongs to. */
#pragma once

#include "kernel/abi/types.h"

struct machine;
struct vcpu;

/* size is 1, 2 or 4; a port may be the range's last one with a size that goes beyond it. */
struct port_range {
	u16 first;
	u16 count;
	u32 (*read)(struct machine *m, u16 port, unsigned size);
	void (*write)(struct machine *m, u16 port, unsigned size, u32 value);
};

#define PORT_RANGES 48
#define PORT_COUNT  0x10000u

struct port_map {
	struct port_range range[PORT_RANGES]; /* count 0: unused */
	u8 at[PORT_COUNT];                    /* index in range[] + 1; 0: nothing is there */
};

/* Adds a range; false: it overlaps another, is empty or too long, or the table is full. */
bool port_add(struct port_map *map, const struct port_range *range);

/* Removes the range that begins at `first`, if there is one. */
void port_remove(struct port_map *map, u16 first);

/* Access of 1, 2 or 4 bytes, on v's thread. Where nothing is, reads give ones and writes have no
 * effect. */
u32 port_read(struct vcpu *v, u16 port, unsigned size);
void port_write(struct vcpu *v, u16 port, unsigned size, u32 value);

/* EXIT_IO: IN, OUT, INS, OUTS. */
void port_exit(struct vcpu *v);
