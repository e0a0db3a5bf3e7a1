/* Port dispatch. */
#include "portio.h"
#include "emulate.h"

static u32 port_end(const struct port_range *r)
{
	return (u32)r->first + r->count;
}

/* Fills the table of low ports. */
static void index_ranges(struct port_map *map)
{
	memset(map->low, 0, sizeof(map->low));
	map->high = map->ranges;
	for (u32 i = map->ranges; i-- > 0;) {
		const struct port_range *r = &map->range[i];

		for (u32 port = r->first; port < port_end(r) && port < PORT_LOW; port++)
			map->low[port] = (u8)(i + 1);
		if (port_end(r) > PORT_LOW)
			map->high = i;
	}
}

bool port_add(struct port_map *map, const struct port_range *range)
{
	u32 at = 0;

	if (map->ranges == PORT_RANGES || !range->count || port_end(range) > 0x10000)
		return false;
	while (at < map->ranges && map->range[at].first < range->first)
		at++;
	if (at < map->ranges && port_end(range) > map->range[at].first)
		return false;
	if (at > 0 && port_end(&map->range[at - 1]) > range->first)
		return false;
	for (u32 i = map->ranges; i > at; i--)
		map->range[i] = map->range[i - 1];
	map->range[at] = *range;
	map->ranges++;
	index_ranges(map);
	return true;
}

void port_remove(struct port_map *map, u16 first)
{
	u32 at = 0;

	while (at < map->ranges && map->range[at].first != first)
		at++;
	if (at == map->ranges)
		return;
	map->ranges--;
	for (u32 i = at; i < map->ranges; i++)
		map->range[i] = map->range[i + 1];
	index_ranges(map);
}

static const struct port_range *port_find(const struct port_map *map, u16 port)
{
	u32 low = map->high;
	u32 high = map->ranges;

	if (port < PORT_LOW)
		return map->low[port] ? &map->range[map->low[port] - 1] : NULL;
	while (low < high) {
		u32 middle = (low + high) / 2;
		const struct port_range *r = &map->range[middle];

		if (port < r->first)
			high = middle;
		else if (port >= port_end(r))
			low = middle + 1;
		else
			return r;
	}
	return NULL;
}

u32 port_read(struct machine *m, u16 port, unsigned size)
{
	const struct port_range *r = port_find(&m->ports, port);

	return r ? r->read(m, port, size) & device_mask(size) : device_mask(size);
}

void port_write(struct machine *m, u16 port, unsigned size, u32 value)
{
	const struct port_range *r = port_find(&m->ports, port);

	if (r)
		r->write(m, port, size, value & device_mask(size));
}

void port_exit(struct vcpu *v)
{
	struct run_page *run = v->run;
	u16 port = run->exit.io.port;
	u8 size = run->exit.io.size;
	u8 flags = run->exit.io.flags;
	u64 mask;

	if (flags & EXIT_IO_STRING) {
		emulate_string_io(v);
		return;
	}
	if (size != 1 && size != 2 && size != 4) {
		vcpu_fail(v, "an I/O exit of an impossible size");
		return;
	}
	if (flags & EXIT_IO_IN) {
		/* 32 bits clear the upper half, the others leave the rest */
		mask = size == 4 ? ~0ull : device_mask(size);
		run->gpr[RAX] = (run->gpr[RAX] & ~mask) | port_read(v->machine, port, size);
	} else {
		port_write(v->machine, port, size, (u32)run->gpr[RAX]);
	}
	vcpu_skip(v);
}
