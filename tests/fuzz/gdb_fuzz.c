/*
 * Fuzzes the debugger's line: bytes from anybody to a machine of two vCPUs, which hold and go on as
 * they are told, and take a trap now and then. Breakpoints must be gone from its memory at the end.
 */
#include <stdio.h>

#include "guests/vmm/debug/debug.h"
#include "guests/vmm/debug/gdb.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/debug_line.h"

#define VCPUS     2
#define CODE_AREA 0x100000u /* filled with a pattern, which only M, X and the guest change */
#define MARK      0x0b      /* a byte that stands for something that the guest does */

void test_fail(const char *file, int line, const char *text, ...)
{
	fprintf(stderr, "%s:%d: %s\n", file, line, text);
	abort();
}

/* Threads come to what they were told to do. */
static void turn(struct machine *m)
{
	gdb_attend(m);
	for (u32 i = 0; i < VCPUS; i++) {
		struct vcpu *v = &m->vcpu[i];

		if (!(m->debug.held & BIT(i)) && v->debug.action != DEBUG_STAY) {
			debug_leave(v);
			__atomic_store_n(&v->debug.action, DEBUG_STAY, __ATOMIC_SEQ_CST);
		}
		if (debug_wanted(v) && !(m->debug.held & BIT(i)))
			debug_park(v);
	}
	gdb_attend(m);
}

static void guest_acts(struct machine *m, u8 what)
{
	struct vcpu *v = &m->vcpu[what & 1];

	if (m->debug.held & BIT(what & 1))
		return;
	v->run->exit.exception.vector = what & 2 ? 1 : 13;
	v->run->exit.exception.address = what & 4 ? DR6_BS : what >> 4;
	v->run->rip = CODE_AREA + (what >> 3);
	v->pause = false;
	host_exit(v, what & 8 ? (what & 2 ? EXIT_CPUID : EXIT_HLT) : EXIT_EXCEPTION,
		what & 8 ? 2 : 0);
}

/* A byte onto the line; `#` gets the checksum that is right, unless the input has one. */
static void send(struct machine *m, u8 byte, bool sum_follows)
{
	static u8 sum;
	char text[4] = {(char)byte};

	if (byte == '#' && !sum_follows)
		snprintf(text, sizeof(text), "#%02x", sum);
	sum = byte == '$' ? 0 : (u8)(sum + byte);
	if (ring_room(&line_session.to_client.ring, CONSOLE_RING_SIZE) < sizeof(text))
		turn(m);
	ring_write(&line_session.to_client.ring, CONSOLE_RING_SIZE, text,
		byte == '#' && !sum_follows ? 3 : 1);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static u8 drained[CONSOLE_RING_SIZE];
	struct machine *m = &host_machine;

	line_setup(VCPUS);
	m->vcpu[1].state->wait_startup = 0;
	m->vcpu[1].run->valid = GROUP_ALL_REG;
	memset(host_ram + CODE_AREA, 0x90, PAGE_SIZE);
	for (size_t i = 0; i < size && !m->stop; i++) {
		fuzz_operations++;
		if (data[i] == MARK && i + 1 < size)
			guest_acts(m, data[++i]);
		else
			send(m, data[i], i + 1 < size && data[i + 1] == '!');
		if (data[i] == '#' || data[i] == MARK || i % 64 == 0)
			turn(m);
		ring_read(
			&line_session.to_server.ring, CONSOLE_RING_SIZE, drained, sizeof(drained));
	}
	turn(m);
	debug_points_clear(m);
	for (u32 i = 0; i < DEBUG_SOFT_MAX; i++) {
		if (m->state->debug.soft[i].used)
			abort();
	}
	return 0;
}
