/* Port dispatch. */
#include "portio.h"
#include "guests/vmm/cpu/emulate.h"
#include "lock.h"

bool port_add(struct port_map *map, const struct port_range *range)
{
	u32 slot = 0;

	while (slot < PORT_RANGES && map->range[slot].count)
		slot++;
	if (slot == PORT_RANGES || !range->count || range->count > PORT_COUNT - range->first)
		return false;
	for (u32 port = range->first; port < (u32)range->first + range->count; port++)
		if (map->at[port])
			return false;
	map->range[slot] = *range;
	memset(&map->at[range->first], (int)slot + 1, range->count);
	return true;
}

void port_remove(struct port_map *map, u16 first)
{
	u8 slot = map->at[first];
	struct port_range *r;

	if (!slot || map->range[slot - 1].first != first)
		return;
	r = &map->range[slot - 1];
	memset(&map->at[first], 0, r->count);
	r->count = 0;
}

static inline const struct port_range *port_find(const struct port_map *map, u16 port)
{
	return map->at[port] ? &map->range[map->at[port] - 1] : NULL;
}

static inline u32 read_locked(struct vcpu *v, u16 port, unsigned size, u32 mask)
{
	const struct port_range *r;
	u32 value;

	machine_lock(v);
	r = port_find(&v->machine->ports, port);
	value = r ? r->read(v->machine, port, size) & mask : mask;
	return value;
}

u32 port_read(struct vcpu *v, u16 port, unsigned size)
{
	return read_locked(v, port, size, device_mask(size));
}

void port_write(struct vcpu *v, u16 port, unsigned size, u32 value)
{
	const struct port_range *r;

	machine_lock(v);
	r = port_find(&v->machine->ports, port);
	if (r)
		r->write(v->machine, port, size, value & device_mask(size));
}

void port_exit(struct vcpu *v)
{
	struct run_page *run = v->run;
	u8 size = run->exit.io.size;
	u8 flags = run->exit.io.flags;
	u16 port = run->exit.io.port;

	if (unlikely(flags & EXIT_IO_STRING)) {
		emulate_string_io(v);
		return;
	}
	if (unlikely(size != 1 && size != 2 && size != 4)) {
		vcpu_fail(v, "an I/O exit of an impossible size");
		return;
	}
	if (flags & EXIT_IO_IN) {
		u32 mask = device_mask(size);
		/* 32 bits clear the upper half, the others leave the rest */
		u64 kept = size == 4 ? 0 : run->gpr[RAX] & ~(u64)mask;

		vcpu_answer(v, kept | read_locked(v, port, size, mask));
	} else {
		port_write(v, port, size, (u32)run->gpr[RAX]);
		vcpu_skip(v);
	}
}
