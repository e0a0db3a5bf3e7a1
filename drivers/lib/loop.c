/* The main loop's end of the heartbeat: see loop.h. */
#include "drivers/lib/duty.h"
#include "drivers/lib/flood.h"
#include "drivers/lib/loop.h"
#include "drivers/protocols/epoch.h"
#include "drivers/protocols/pulse.h"
#include "drivers/protocols/root.h"

#define SETTLE       8u  /* part of a second in which clients connect */
#define BROKEN_TRIES 50u /* it is said once */

static const struct start_info *start;
static const struct loop_faults *own_faults;
static struct pulse *pulse;
static bool injectable;
static u32 injected;
static struct flood flood;
static cycles_t served; /* TSC since which it serves; 0: not yet */
static bool limited;
static struct duty duty;
static cycles_t woke; /* TSC at which the turn began */

void loop_open(const struct start_info *info, const struct loop_faults *faults)
{
	const struct start_resource *r;

	start = info;
	own_faults = faults;
	flood_init(&flood, info->tsc_hz);
	for (u32 i = 0; (r = start_find(info, START_SESSION, i)) != NULL; i++)
		flood_add(&flood, r);
	r = start_find(info, START_PULSE, 0);
	if (!r)
		return;
	pulse = (struct pulse *)r->address;
	injectable = r->value & PULSE_INJECT;
	pulse->can = faults && faults->wild_dma ? PULSE_CAN_DMA : 0;
	__atomic_store_n(&pulse->opened, 1, __ATOMIC_RELEASE);
}

/* True if a client is connected, or there are none of the kind that connects. */
static bool is_serving(void)
{
	const struct start_resource *r;
	bool clients = false;

	for (u32 i = 0; (r = start_find(start, START_SESSION, i)) != NULL; i++) {
		const struct epoch_words *w = (const struct epoch_words *)r->address;

		if (r->role != START_SERVER ||
			(strcmp(r->protocol, "block") != 0 && strcmp(r->protocol, "net") != 0))
			continue;
		clients = true;
		if ((u32)__atomic_load_n(&w->server, __ATOMIC_RELAXED) != 0)
			return true;
	}
	return !clients;
}

/* True if a fault was injected. */
static bool look(void)
{
	bool fault;
	u32 asked = __atomic_load_n(&pulse->asked, __ATOMIC_RELAXED);
	u32 inject = __atomic_load_n(&pulse->inject, __ATOMIC_RELAXED);

	if (unlikely(!served) && is_serving()) {
		served = tsc_now();
		__atomic_store_n(&pulse->served, served, __ATOMIC_RELAXED);
	}
	/* Not before all clients have had the time to connect: what they do not see is no fault. */
	fault = injectable && inject != injected && served &&
		tsc_now() - served >= start->tsc_hz / SETTLE;
	if (unlikely(fault)) {
		injected = inject;
		inject_fault(start, own_faults, inject & 0xff, inject >> 8);
	}
	if (unlikely(asked != pulse->answered))
		__atomic_store_n(&pulse->answered, asked, __ATOMIC_RELAXED);
	return fault;
}

static void flooded(cap_t session)
{
	static bool told;

	if (session != CAP_NULL)
		root_call(ROOT_FLOODED, session, 1);
	else if (!told)
		log_line("the device interrupts over and over with nothing done: it is looked at "
			 "every %u ms",
			FLOOD_MUTE_US / 1000);
	told |= session == CAP_NULL;
}

void loop_watch_device(const u64 *counter, const u64 *other)
{
	flood_add_device(&flood, ~0ull << START_BIT_OWN, counter, other);
}

void loop_limit(void)
{
	limited = true;
	woke = tsc_now();
}

static void rest(void)
{
	cycles_t burst = tsc_from_us(start->tsc_hz, DUTY_BURST_US);
	cycles_t until = duty_spend(&duty, woke, tsc_now(), burst);
	u64 bits;

	if (unlikely(until))
		sys_event_wait(0, until, &bits);
}

static u64 wait(cycles_t deadline)
{
	cycles_t now;

	if ((pulse && look()) || deadline == 0)
		return 0;
	do {
		u64 bits = 0;
		u64 muted = flood_muted(&flood, tsc_now());
		cycles_t until = flood.until < deadline ? flood.until : deadline;
		status_t s = sys_event_wait(~muted, until, &bits);

		now = tsc_now();
		if (s == STATUS_EVENT) {
			flood_look(&flood, bits, now, flooded);
			return bits;
		}
	} while (now < deadline);
	return 0;
}

u64 loop_wait(cycles_t deadline)
{
	u64 bits;

	if (!limited)
		return wait(deadline);
	rest();
	bits = wait(deadline);
	woke = tsc_now();
	return bits;
}

u64 loop_wait_us(const struct start_info *info, u64 us)
{
	return loop_wait(us ? tsc_now() + tsc_from_us(info->tsc_hz, us) : 0);
}

void loop_peer_broken(cap_t session)
{
	root_call(ROOT_BROKEN, session, BROKEN_TRIES);
}
