/*
 * Synchronous calls within a CPU (see kernel/abi/syscall.h), lending the caller's scheduling
 * context.
 */
#include "kernel/kernel.h"
#include "kernel/vcpu.h"

#define WORDS(rax) ((u32)((rax) >> 8 & IPC_MAX_WORDS))
/* calls that wait for one another, looked through for a cycle and to lend priority */
#define MAX_CHAIN 64

static inline void copy_words(struct thread *to, const struct thread *from, u32 words)
{
	const u64 *s = (const u64 *)from->message;
	u64 *d = (u64 *)to->message;

	for (u32 i = 0; i < words; i++)
		d[i] = s[i];
}

static inline void set_words(struct thread *t, u64 w0, u64 w1, u64 w2, u64 w3)
{
	t->regs.gpr[RSI] = w0;
	t->regs.gpr[RDX] = w1;
	t->regs.gpr[R8] = w2;
	t->regs.gpr[R9] = w3;
}

/* `server` goes on, on the context of `client`, which waits for its reply. */
static inline void lend(struct thread *server, struct thread *client)
{
	server->client = client;
	server->sc = client->sc;
	server->sc->active = server;
	server->state = THREAD_READY;
	client->state = THREAD_CALLING;
	client->server = server;
}

/* Gives `client` its context back, which goes on with it. */
static inline void unlend(struct thread *server, struct thread *client)
{
	client->sc->active = client;
	client->state = THREAD_READY;
	client->server = NULL;
	server->client = NULL;
	server->sc = server;
}

/* The server is busy: waits in its queue by priority, and lends the chain of servers its own. */
static status_t queue_call(struct thread *t, struct thread *server, u64 badge, u32 words)
{
	struct thread *s = server;
	struct list *at = &server->callers;
	u8 priority = t->sc->effective;

	for (unsigned i = 0; i < MAX_CHAIN && s; i++) {
		if (s == t)
			return STATUS_DEADLOCK;
		s = s->state == THREAD_CALLING || s->state == THREAD_QUEUED ? s->server : NULL;
	}
	if (s)
		return STATUS_DEADLOCK;
	list_for_each(l, &server->callers)
	{
		if (container_of(l, struct thread, caller_link)->sc->effective < priority) {
			at = l;
			break;
		}
	}
	list_add(at, &t->caller_link);
	t->server = server;
	t->call_badge = badge;
	t->call_words = words;
	t->resume = RESUME_SYSRET;
	thread_block(t, THREAD_QUEUED);
	for (s = server; s;
		s = s->state == THREAD_CALLING || s->state == THREAD_QUEUED ? s->server : NULL)
		if (s->sc->effective < priority)
			sched_boost(s->sc, priority);
	return STATUS_OK;
}

/* Takes the first queued caller's call. */
static void take_queued(struct thread *server)
{
	struct thread *client = container_of(server->callers.next, struct thread, caller_link);

	list_remove(&client->caller_link);
	timer_cancel(&server->timeout);
	lend(server, client);
	copy_words(server, client, client->call_words);
	server->regs.gpr[RAX] = STATUS_OK | (u64)client->call_words << 8;
	server->regs.gpr[RDI] = client->call_badge;
	set_words(server, client->regs.gpr[RSI], client->regs.gpr[RDX], client->regs.gpr[R8],
		client->regs.gpr[R9]);
	sched_enqueue(cpu_self(), server->sc);
}

/* What is not a call of an idle server on this CPU; apart, so that the fast path needs no stack. */
static __attribute__((noinline)) void call_slow(u64 cap, u64 w0, u64 w1, u64 unused, u64 w2, u64 w3)
{
	struct thread *t = cpu_self()->current;
	struct thread *server;
	struct port *port;
	struct cap slot;
	status_t s;

	(void)unused;
	s = cap_lookup(t->domain, cap, KIND_PORT, RIGHT_CALL, &slot);
	if (s != STATUS_OK)
		goto fail;
	port = container_of(slot.obj, struct port, obj);
	server = port->server;
	s = STATUS_GONE;
	if (!port->to_server.obj)
		goto fail;
	s = STATUS_BAD_CPU;
	if (server->cpu != t->cpu)
		goto fail;
	/* Its domain dies, and the server was stopped already: nobody would ever take a queued
	 * call. */
	s = STATUS_GONE;
	if (server->state == THREAD_DEAD)
		goto fail;
	set_words(t, w0, w1, w2, w3);
	s = queue_call(t, server, port->badge, WORDS(t->regs.gpr[RAX]));
	if (s == STATUS_OK) {
		if (server->state == THREAD_WAIT_CALL)
			take_queued(server);
		return;
	}
fail:
	t->regs.gpr[RAX] = s;
}

void sys_ipc_call(u64 cap, u64 w0, u64 w1, u64 unused, u64 w2, u64 w3)
{
	struct cpu *c = cpu_self();
	struct thread *t = c->current;
	struct slot *slot;
	struct kobj *o = cap_find(t->domain->slots, cap, KIND_PORT, RIGHT_CALL, &slot);
	struct thread *server;
	struct port *port;

	if (unlikely(!o))
		return call_slow(cap, w0, w1, unused, w2, w3);
	port = container_of(o, struct port, obj);
	server = port->server;
	/* Ports and threads die on their own CPU, so only that one may look further; message words
	 * are the slow path's. */
	if (unlikely(!port->to_server.obj || server->cpu != c->index ||
		     server->state != THREAD_WAIT_CALL || server->timeout.queued ||
		     (t->regs.gpr[RAX] & 0xff00)))
		return call_slow(cap, w0, w1, unused, w2, w3);
	lend(server, t);
	server->regs.gpr[RAX] = STATUS_OK;
	server->regs.gpr[RDI] = port->badge;
	set_words(server, w0, w1, w2, w3);
	thread_switch(c, server);
}

/* The priority that context `sc` is due: its own, or that of the most urgent caller of a thread
 * that runs on it. */
static u8 due_priority(const struct thread *sc)
{
	u8 priority = sc->priority;

	for (const struct thread *s = sc;; s = s->server) {
		if (!list_empty(&s->callers)) {
			u8 first = container_of(s->callers.next, struct thread, caller_link)
					   ->sc->effective;

			priority = first > priority ? first : priority;
		}
		if (s == sc->active)
			return priority;
	}
}

/* The same, where more may have come in between. */
static void unlend_late(struct thread *server, struct thread *client)
{
	unlend(server, client);
	if (unlikely(client->sc->effective != client->sc->priority))
		sched_boost(client->sc, due_priority(client->sc));
	if (unlikely(client->stop_pending))
		thread_stop_pending(client);
}

/* Everything but a reply to a caller with nothing else to do. */
static __attribute__((noinline)) void reply_slow(
	u64 mask, u64 w0, u64 w1, u64 deadline, u64 w2, u64 w3)
{
	struct cpu *c = cpu_self();
	struct thread *t = c->current;
	struct thread *client = t->client;
	u64 bits;

	if (client) {
		u32 words = WORDS(t->regs.gpr[RAX]);

		client->regs.gpr[RAX] = STATUS_OK;
		client->regs.gpr[RDI] = words;
		set_words(client, w0, w1, w2, w3);
		copy_words(client, t, words);
		unlend_late(t, client);
		c->resched = 1;
	} else if (!t->ports && !mask && deadline == TIME_NEVER) {
		t->regs.gpr[RAX] = STATUS_BAD_STATE;
		return;
	}
	/* What callers lent to its own context while it was busy; theirs serves them from now on.
	 */
	if (unlikely(t->effective != t->priority))
		sched_boost(t, t->priority);
	/*
	 * The thread is on its own context now: events first, then queued calls, then the wait. The
	 * mask is published before the bits are read; event_set does it the other way round.
	 */
	t->wait_mask = mask;
	t->state = THREAD_WAIT_CALL;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	bits = t->event & mask;
	if (bits) {
		__atomic_and_fetch(&t->event, ~bits, __ATOMIC_SEQ_CST);
		t->regs.gpr[RAX] = STATUS_EVENT;
		t->regs.gpr[RDI] = bits;
		sched_boost(t, due_priority(t));
		thread_ready(t);
	} else if (!list_empty(&t->callers)) {
		sched_dequeue(cpu_self(), t);
		take_queued(t);
	} else if (deadline <= rdtsc()) {
		t->regs.gpr[RAX] = STATUS_TIMEOUT;
		thread_ready(t);
	} else {
		timer_arm(&t->timeout, deadline);
		sched_dequeue(cpu_self(), t);
	}
	c->resched = 1;
}

void sys_ipc_reply_wait(u64 mask, u64 w0, u64 w1, u64 deadline, u64 w2, u64 w3)
{
	struct cpu *c = cpu_self();
	struct thread *t = c->current;
	struct thread *client = t->client;

	if (unlikely(!client || deadline != TIME_NEVER || !list_empty(&t->callers) ||
		     (t->regs.gpr[RAX] & 0xff00) || client->stop_pending ||
		     client->sc->effective != client->sc->priority))
		return reply_slow(mask, w0, w1, deadline, w2, w3);
	/* As in reply_slow: published before the bits are read. */
	__atomic_store_n(&t->wait_mask, mask, __ATOMIC_SEQ_CST);
	if (unlikely(t->event & mask))
		return reply_slow(mask, w0, w1, deadline, w2, w3);
	client->regs.gpr[RAX] = STATUS_OK;
	client->regs.gpr[RDI] = 0;
	set_words(client, w0, w1, w2, w3);
	unlend(t, client);
	t->state = THREAD_WAIT_CALL;
	thread_switch(c, client);
}

/* `t` dies: whoever calls it gets GONE, and whom it calls goes on with a context of its own. */
void ipc_abort(struct thread *t)
{
	/*
	 * Whom it calls goes on, and the chain from there, on that server's own context; first,
	 * while the context says who runs.
	 */
	if (t->state == THREAD_CALLING) {
		struct thread *server = t->server;
		struct thread *old = t->sc;

		sched_dequeue(cpu_self(), old);
		server->client = NULL;
		server->active = old->active;
		old->active = t;
		for (struct thread *s = server; s;
			s = s->state == THREAD_CALLING ? s->server : NULL)
			s->sc = server;
		sched_boost(server, due_priority(server));
		if (server->active->state == THREAD_READY)
			sched_enqueue(cpu_self(), server);
	}
	if (t->client) {
		struct thread *client = t->client;

		client->regs.gpr[RAX] = STATUS_GONE;
		sched_dequeue(cpu_self(), client->sc);
		unlend_late(t, client);
		if (client->state == THREAD_READY)
			sched_enqueue(cpu_self(), client->sc);
	}
	while (!list_empty(&t->callers)) {
		struct thread *client = container_of(t->callers.next, struct thread, caller_link);

		list_remove(&client->caller_link);
		client->server = NULL;
		client->regs.gpr[RAX] = STATUS_GONE;
		thread_ready(client);
		thread_stop_pending(client);
	}
	if (t->state == THREAD_QUEUED)
		list_remove(&t->caller_link);
	t->server = NULL;
}
