/*
 * Drives a device model from a fuzzer's input: accesses of the guest, time, what comes from
 * outside, resets, and a fresh VMM that goes on with a copy of the state. What must always hold:
 * - the state keeps its header, and is all that the model remembers;
 * - a read answers no more bits than were asked for;
 * - a timer that has fired is armed for later or not at all, so that time goes on.
 */
#pragma once

#include <string.h>
#include "tests/fuzz/fuzz.h"
#include "tests/unit/fake_machine.h"

/* Eight bytes of the input. */
struct fuzz_op {
	u8 kind;
	u8 where;
	u8 size;
	u8 shift;
	u32 value;
};
static_assert(sizeof(struct fuzz_op) == 8);

struct fuzz_device {
	size_t size;        /* of all that is kept */
	size_t header_size; /* of the struct that begins it, which its header tells */
	u32 magic;
	u16 version;
	s8 timer; /* enum machine_timer; -1: none */
	void (*init)(void *state);
	void (*reset)(struct machine *m, void *state);
	u32 (*read)(struct machine *m, void *state, u8 where, unsigned size);
	void (*write)(struct machine *m, void *state, u8 where, unsigned size, u32 value);
	void (*fire)(struct machine *m, void *state);                            /* or NULL */
	void (*outside)(struct machine *m, void *state, const struct fuzz_op *); /* or NULL */
	void (*check)(struct machine *m, void *state);                           /* or NULL */
};

#define FUZZ_OPS       512u
#define FUZZ_FIRINGS   512u
#define FUZZ_DELAY_MAX 34u /* powers of two of nanoseconds: 17 s */

static void fuzz_fire(const struct fuzz_device *d, struct machine *m, void *state)
{
	d->fire(m, state);
	require(m->armed[d->timer] > m->now);
}

/* Time passes; each firing comes when it is due, or, `late`, all of them at the end. */
static void fuzz_pass(
	const struct fuzz_device *d, struct machine *m, void *state, u64 ns, bool late)
{
	u64 end = m->now + ns;

	for (u32 i = 0; i < FUZZ_FIRINGS && d->timer >= 0; i++) {
		u64 due = m->armed[d->timer];

		if (due > end)
			break;
		if (late)
			m->now = end;
		else if (due > m->now)
			m->now = due;
		m->armed[d->timer] = MACHINE_NEVER;
		fuzz_fire(d, m, state);
	}
	m->now = end;
	if (d->timer >= 0 && fake_due(m, (enum machine_timer)d->timer))
		fuzz_fire(d, m, state);
}

/* A copy answers as the original does, and is left in the same state. */
static void *fuzz_move(const struct fuzz_device *d, struct machine *m, void *state, u8 where)
{
	static struct machine twin;
	void *copy = malloc(d->size);
	u32 first, second;

	memcpy(copy, state, d->size);
	twin = *m;
	first = d->read(m, state, where, 1);
	second = d->read(&twin, copy, where, 1);
	require(first == second);
	require(!memcmp(copy, state, d->size));
	free(state);
	return copy;
}

static void *fuzz_step(
	const struct fuzz_device *d, struct machine *m, void *state, const struct fuzz_op *op)
{
	unsigned size = 1u << op->size % 3;

	fuzz_operations++;
	switch (op->kind % 8) {
	case 0:
	case 1:
	case 2:
		d->write(m, state, op->where, size, op->value & device_mask(size));
		break;
	case 3:
	case 4:
		require(!(d->read(m, state, op->where, size) & ~device_mask(size)));
		break;
	case 5:
		fuzz_pass(d, m, state, (op->value & 0xff) * BIT(op->shift % FUZZ_DELAY_MAX) / 16,
			op->size & 4);
		break;
	case 6:
		if (d->outside)
			d->outside(m, state, op);
		break;
	case 7:
		if (op->value % 16 == 0)
			d->reset(m, state);
		else
			state = fuzz_move(d, m, state, op->where);
		break;
	}
	return state;
}

static int fuzz_device(const struct fuzz_device *d, const u8 *data, size_t size)
{
	static struct machine m;
	void *state = calloc(1, d->size);

	fake_init(&m);
	d->init(state);
	d->reset(&m, state); /* lines as the model takes them to be */
	for (u32 i = 0; i < FUZZ_OPS && size >= sizeof(struct fuzz_op); i++) {
		struct fuzz_op op;

		memcpy(&op, data, sizeof(op));
		data += sizeof(op);
		size -= sizeof(op);
		state = fuzz_step(d, &m, state, &op);
		require(device_header_is(state, d->magic, d->version, d->header_size));
		if (d->check)
			d->check(&m, state);
	}
	free(state);
	return 0;
}
