/*
 * A machine with one made-up remapping unit, which a thread plays: it takes commands as the manuals
 * say, and translates with caches that forget only what they are told to.
 */
#pragma once

#include <pthread.h>
#include "kernel/iommu.h"
#include "kernel/kernel.h"
#include "mm/pool.h"
#include "tests/unit/test.h"

#define UNIT_CACHED 64
#define NO_ACCESS   (~0ull)

extern u8 unit_registers[IOMMU_SIZE];
extern struct boot_info unit_info;

/* What the unit keeps: a translation of a page, under its requester and domain. */
struct unit_entry {
	u32 requester;
	u32 domain;
	u64 page;
	u64 to;
	bool write;
	bool valid;
};
extern struct unit_entry unit_cache[UNIT_CACHED];

/* Begins anew with the boot information of one unit of that type at segment 0. */
void unit_begin(u32 type);

/* Starts the thread, which calls `step` again and again; and ends it. */
void unit_run(void (*step)(void));
void unit_end(void);

/* A register. */
u64 unit_get(u32 reg);
void unit_set(u32 reg, u64 value);
u32 unit_get32(u32 reg);
void unit_set32(u32 reg, u32 value);

void unit_forget_domain(u32 domain);
void unit_forget_all(void);

/* The cached translation of an access, or NULL; unit_keep adds one. */
struct unit_entry *unit_find(u32 requester, u64 address);
void unit_keep(u32 requester, u32 domain, u64 address, u64 to, bool write);

/* A source, ready, whose DMA is allowed; its page table is *t. */
void source_open(struct iommu_source *s, struct ptable *t, u32 requester, u32 domain);

/* Configuration space of AMD-Vi's own function, and the message that it was given. */
extern u8 unit_config[256];
extern u32 unit_message_address, unit_message_data;
