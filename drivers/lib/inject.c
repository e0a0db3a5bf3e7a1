/*
 * Faults that the operator injects, to try what becomes of everybody else. The program does them
 * itself, with what it was given: that is what a faulty or hostile one could do.
 */
#include "drivers/lib/loop.h"
#include "drivers/protocols/block.h"
#include "drivers/protocols/console.h"
#include "drivers/protocols/net.h"
#include "drivers/protocols/pulse.h"

#define MULTIPLIER 0x9e3779b97f4a7c15ull

/* One more number of a sequence that `*state` stands for. */
static u32 nonsense(u64 *state)
{
	*state = *state * MULTIPLIER + 1;
	return (u32)(*state >> 32);
}

/*
 * Places that no program may write: its code and its start page, gaps between what it has, the
 * kernel's stub and half, other programs' usual places, addresses that are none. Each faults, so
 * one in each life of a program.
 */
static void wild_write(const struct start_info *info, u32 number)
{
	static const u64 fixed[] = {0, 8, ABI_STUB, START_INFO, START_STACK_TOP,
		START_STACK_TOP - START_STACK_SIZE - 8, START_IMAGE, START_GUEST_RAM, ABI_USER_END,
		0x0000800000000000, 0xffff800000000000, 0xffffffff80000000, 0xfffffffffffff000};
	u32 places = ARRAY_SIZE(fixed) + info->resources;
	u32 place = number % places;
	const struct start_resource *r;
	u64 address;

	if (place < ARRAY_SIZE(fixed)) {
		address = fixed[place];
	} else {
		r = &info->resource[place - ARRAY_SIZE(fixed)];
		address = r->address ? ALIGN_UP(r->address + r->size, PAGE_SIZE) : number;
	}
	log_line("writes to %#lx, as it was told", address);
	*(volatile u64 *)address = number;
	/* Nothing has stopped it: that is told, and ends as an error of its own. */
	log_line("the write to %#lx went through", address);
	program_exit(1);
}

/* How a program spoils the words of a session that are its own to write. */
struct spoiler {
	u64 state;
	bool stale; /* an index of the past, of which the peer could take all entries for new; else
		       nonsense */
};

static void spoil(struct spoiler *s, u32 *index, u32 size)
{
	u32 wrong = nonsense(&s->state);

	if (s->stale)
		wrong = __atomic_load_n(index, __ATOMIC_RELAXED) - size - 1 - wrong % size;
	__atomic_store_n(index, wrong, __ATOMIC_RELEASE);
}

/* The words of a server of `block`. A head that is too far, or answers to what was never asked. */
static void bad_block(struct block_session *s, struct spoiler *p)
{
	for (u32 i = 0; i < BLOCK_QUEUE && !p->stale; i++)
		s->completion[i] =
			(struct block_completion){nonsense(&p->state), nonsense(&p->state)};
	spoil(p, &s->requests.tail, BLOCK_QUEUE);
	spoil(p, &s->completions.head, BLOCK_QUEUE);
}

static void bad_net(struct net_session *s, bool server, struct spoiler *p)
{
	for (u32 i = 0; server && i < NET_QUEUE && !p->stale; i++)
		s->received[i] = (struct net_received){nonsense(&p->state), nonsense(&p->state)};
	spoil(p, server ? &s->transmit_queue.tail : &s->transmit_queue.head, NET_QUEUE);
	spoil(p, server ? &s->received_queue.head : &s->received_queue.tail, NET_QUEUE);
}

static void bad_bytes(struct console_session *s, bool server, struct spoiler *p)
{
	struct ring *in = server ? &s->to_server.ring : &s->to_client.ring;
	struct ring *out = server ? &s->to_client.ring : &s->to_server.ring;

	spoil(p, &in->tail, CONSOLE_RING_SIZE);
	spoil(p, &out->head, CONSOLE_RING_SIZE);
}

/* The peers are told to look, and get the time to do so: this program's next honest step would hide
 * some of it. */
static void bad_rings(const struct start_info *info, u32 number, bool stale)
{
	const struct start_resource *r;
	struct spoiler p = {.state = number, .stale = stale};
	u64 bits;

	for (u32 i = 0; (r = start_find(info, START_SESSION, i)) != NULL; i++) {
		bool server = r->role == START_SERVER;

		if (strcmp(r->protocol, "block") == 0 && server)
			bad_block((struct block_session *)r->address, &p);
		else if (strcmp(r->protocol, "net") == 0)
			bad_net((struct net_session *)r->address, server, &p);
		else if (strcmp(r->protocol, "console") == 0 || strcmp(r->protocol, "serial") == 0)
			bad_bytes((struct console_session *)r->address, server, &p);
		else
			continue;
		sys_event_signal(r->cap, r->value);
	}
	sys_event_wait(0, tsc_now() + info->tsc_hz, &bits);
}

void inject_fault(
	const struct start_info *info, const struct loop_faults *faults, u32 fault, u32 number)
{
	switch (fault) {
	case PULSE_HANG:
		for (;;)
			asm volatile("pause");
	case PULSE_WILD_WRITE:
		wild_write(info, number);
		break;
	case PULSE_BAD_RING:
	case PULSE_STALE_RING:
		bad_rings(info, number, fault == PULSE_STALE_RING);
		break;
	case PULSE_WILD_DMA:
		if (faults && faults->wild_dma)
			faults->wild_dma(number);
		break;
	default:
		break;
	}
}
