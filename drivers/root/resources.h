/* Adding entries to a start page. */
#pragma once

#include "drivers/root/member.h"

/* A new, zeroed entry; NULL, with a log line, if the page is full. */
struct start_resource *resource_add(
	struct member *m, struct start_info *info, enum start_kind kind);

/* Gives the process a copy of root's capability `source` in its next slot, which r->cap then names.
 */
bool resource_grant(struct member *m, struct start_resource *r, cap_t source, u64 rights, u64 mask);

/* Maps `size` bytes of a mem, whose physical address is `base`, at the process's next address. */
bool resource_map(
	struct member *m, struct start_resource *r, cap_t mem, paddr_t base, u64 size, u64 flags);

/* Makes an irq of the process's. */
bool resource_irq(struct member *m, struct start_info *info, struct interrupt from, u32 phandle);

/* The next bit of the first thread's event; bits are shared when there are too many. */
u32 resource_bit(struct member *m);
