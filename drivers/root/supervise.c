/* Supervision: what becomes of a member that dies, ends, or whose guest ends. */
#include "drivers/lib/duty.h"
#include "drivers/root/member.h"
#include "drivers/root/operator.h"
#include "drivers/root/queue.h"
#include "drivers/root/report.h"

#define POWER_OFF_SETTLE_US 300000ull /* after all text is in the console's hands */
#define POWER_OFF_LOOK_US   20000ull
#define POWER_OFF_LIMIT_US  3000000ull /* if the console does not take it */
#define BLAME_LOOK_US       1000000ull
#define RESETS_BURST_US     4000000ull /* DUTY_SHARE times what they may take of root at once */

static cycles_t power_off_since; /* 0: not asked for */
static bool reset_instead;
static cycles_t drained_since; /* 0: text waits */
static struct duty resets;     /* time that root has spent on guests' resets */

/* Asks the restart limit; a member beyond it ends. */
static bool allowed(struct member *m)
{
	const struct domain_node *n = m->node;

	if (restart_allowed(&m->history, n->restart_times, n->restart_seconds, seconds_now()))
		return true;
	log_line("%s is not restarted: %u restarts in %u seconds is its limit; \"start %s\" "
		 "tries again",
		n->name, n->restart_times, n->restart_seconds, n->name);
	member_stop(m, MEMBER_FAILED);
	return false;
}

/* Restarts a domain, if it may be, with its state: at once, or after its pause. */
static void domain_again(struct member *m)
{
	const struct domain_node *n = m->node;
	u32 delay;

	health_died(m);
	if (!allowed(m))
		return;
	delay = restart_delay(&m->history, n->restart_delay_ms, n->restart_seconds, seconds_now());
	if (delay == 0) {
		log_line("%s is restarted (%u)", n->name, m->restarts + 1);
		member_renew(m);
		return;
	}
	member_suspend(m);
	m->restart_at = tsc_now() + tsc_from_us(boot->tsc_hz, delay * 1000ull);
	log_line("%s is restarted (%u) in %u ms", n->name, m->restarts + 1, delay);
}

/* Starts a member again, if it may be: a domain with its state, a partition from scratch. */
static void again(struct member *m)
{
	u32 restarts = m->restarts + 1;

	if (m->node->class == NODE_DOMAIN) {
		domain_again(m);
		return;
	}
	if (!allowed(m))
		return;
	log_line("%s is restarted (%u)", m->node->name, restarts);
	member_stop(m, MEMBER_STOPPED);
	member_start(m);
	m->restarts = restarts;
}

void supervise_end(struct member *m, const char *why)
{
	log_line("%s %s", m->node->name, why);
	for (u32 i = 0; i < m->process.threads; i++)
		sys_thread_ctl(m->process.thread[i], THREAD_CTL_STOP, 0, 0, 0);
	again(m);
}

/* All its peers blame it: it is restarted now, or when that leaves one restart for a death of its
 * own. Until then a byte session that it broke carries nothing, and nobody says so again. */
static void blamed(struct member *m)
{
	const struct domain_node *n = m->node;
	u32 times = n->restart_times > 1 ? n->restart_times - 1 : n->restart_times;

	if (restart_possible(&m->history, times, n->restart_seconds, seconds_now())) {
		supervise_end(m, "broke the protocol with all its peers");
	} else if (times && m->blamed != m->starts) {
		m->blamed = m->starts;
		log_line("%s broke the protocol with all its peers: it is restarted when its limit "
			 "allows it",
			n->name);
	}
}

static bool blame_waits(const struct member *m)
{
	return m->state == MEMBER_RUNNING && m->blamed == m->starts;
}

/*
 * A member says that its peer `m` broke their session's protocol. Either end can write every word
 * of a session, so its word alone proves nothing; see drivers/README.md. What the peers agree on
 * restarts `m`, but never makes it fail for good: one restart is left for a death of its own.
 */
static void accused(struct member *m)
{
	if (m->node->class == NODE_DOMAIN && m->state == MEMBER_RUNNING && sessions_agree(m))
		blamed(m);
}

void supervise_console(void)
{
	struct member *m = sessions_accuse(NULL, CAP_NULL, false);

	if (m && m->state == MEMBER_RUNNING)
		supervise_end(m, "broke its session with root");
}

void supervise_flood(cap_t index)
{
	struct member *m = &member[index];

	if (m->state == MEMBER_RUNNING)
		supervise_end(m, "floods its session with root with events");
}

/*
 * The VMM's thread of a vCPU died: a fresh VMM takes the guest over, unless this is the second
 * death over the same exit, as a third would follow. Restarts that the operator asks for do not
 * count.
 */
static void vmm_died(struct member *m, u32 vcpu)
{
	const struct domain_node *n = m->node;
	struct death death = {true, vcpu, guest_exits(m, vcpu)};
	u32 restarts = m->restarts + 1;

	if (m->death.known && m->death.vcpu == death.vcpu && m->death.sequence == death.sequence) {
		log_line("%s: its VMM died twice over exit %lu of vcpu %u: the partition is "
			 "stopped; \"start %s\" begins anew",
			n->name, death.sequence, vcpu, n->name);
		if (n->on_exit_restart)
			again(m);
		else
			member_stop(m, MEMBER_FAILED);
		return;
	}
	m->death = death;
	if (!allowed(m))
		return;
	log_line("%s: its VMM died over exit %lu of vcpu %u and is restarted (%u)", n->name,
		death.sequence, vcpu, restarts);
	if (!member_renew(m))
		log_line("%s: its VMM could not be restarted", n->name);
}

static void died(struct member *m, const struct msg_thread *t, u32 thread)
{
	char lines[REPORT_LINES][REPORT_LINE];
	u32 n = report_make(t, lines);
	bool ended = t->fault == FAULT_EXIT && t->error == 0;
	const char *name = m->node->name;

	if (m->process.threads > 1)
		log_line("%s (thread %u) %s", name, thread, lines[0]);
	else
		log_line("%s %s", name, lines[0]);
	for (u32 i = 1; i < n; i++)
		log_line("%s: %s", name, lines[i]);
	if (t->fault == FAULT_EXCEPTION && t->vector == VECTOR_PAGE_FAULT &&
		start_stack_used_up(thread, t->address))
		log_line("%s: the stack of that thread is used up", name);
	if (m->node->class == NODE_PARTITION) {
		vmm_died(m, thread);
	} else if (ended) {
		member_stop(m, MEMBER_OFF);
	} else {
		again(m);
	}
}

static void look_after(struct member *m)
{
	for (u32 i = 0; i < m->process.threads; i++) {
		struct msg_thread t;

		if (sys_thread_ctl(m->process.thread[i], THREAD_CTL_GET, 0, 0, 0) != STATUS_OK)
			continue; /* it runs */
		memcpy(&t, message, sizeof(t));
		if (t.fault == FAULT_NONE)
			continue; /* the program has not started it yet */
		died(m, &t, i);
		return;
	}
}

void supervise(u64 bits)
{
	for (u32 i = 0; i < members; i++) {
		u32 bit = ROOT_BIT_SUPERVISE + i % ROOT_SUPERVISE_BITS;

		if (bits & BIT(bit) && member[i].state == MEMBER_RUNNING)
			look_after(&member[i]);
	}
}

/* A guest switched itself off: when it was the last one, the machine follows. */
static void last_off(void)
{
	for (u32 i = 0; i < members; i++) {
		const struct member *m = &member[i];

		if (m->node->class != NODE_PARTITION)
			continue;
		if (m->state == MEMBER_RUNNING || m->state == MEMBER_WAITING)
			return;
		if (m->state == MEMBER_FAILED) {
			log_line("the machine stays on, because %s failed; \"poweroff\" at the "
				 "prompt "
				 "ends it",
				m->node->name);
			return;
		}
	}
	log_line("the last guest has switched itself off: the machine is powered off");
	power_off();
}

/*
 * A guest that resets itself gets fresh memory, which root clears above everything else on its CPU.
 * Those that do so without end take a part of that CPU together, and wait for the rest of the time.
 */
static void reset(struct member *m)
{
	const char *name = m->node->name;
	cycles_t from = tsc_now();
	cycles_t burst = tsc_from_us(boot->tsc_hz, RESETS_BURST_US);
	cycles_t until = duty_spend(&resets, from, from, burst);

	member_stop(m, MEMBER_STOPPED);
	if (until) {
		duty_spend(&resets, from, tsc_now(), burst);
		m->state = MEMBER_WAITING;
		m->restart_at = until;
		log_line("%s: its guest reset itself: started anew in %lu ms", name,
			(until - from) / (boot->tsc_hz / 1000));
		return;
	}
	log_line("%s: its guest reset itself: started anew", name);
	member_start(m);
	duty_spend(&resets, from, tsc_now(), burst);
}

static void stopped(struct member *m, u64 reason)
{
	const char *name = m->node->name;

	switch (reason) {
	case ROOT_STOP_POWEROFF:
		log_line("%s: its guest switched itself off", name);
		if (m->node->on_exit_restart) {
			again(m);
			return;
		}
		member_stop(m, MEMBER_OFF);
		last_off();
		break;
	case ROOT_STOP_RESET:
		reset(m);
		break;
	default:
		log_line("%s: its VMM gave the guest up", name);
		if (m->node->on_exit_restart) {
			again(m);
			return;
		}
		member_stop(m, MEMBER_FAILED);
	}
}

void supervise_record(const struct record *r)
{
	u32 index = BADGE_MEMBER(r->badge);
	struct member *m = &member[index];

	/* A call of a process that is gone in the meantime concerns nobody. */
	if (index >= members || m->state != MEMBER_RUNNING || r->badge != BADGE(m))
		return;
	if (r->op == ROOT_LOG) {
		log_program(m->node->name, r->text, r->size);
	} else if (r->op == ROOT_BROKEN || r->op == ROOT_FLOODED) {
		m = sessions_accuse(m, (cap_t)r->value, r->op == ROOT_FLOODED);
		if (m)
			accused(m);
	} else if (m->node->class == NODE_PARTITION) {
		stopped(m, r->value);
	}
}

void power_off(void)
{
	if (!power_off_since)
		power_off_since = tsc_now();
}

void power_reset(void)
{
	reset_instead = true;
	power_off();
}

cycles_t supervise_deadline(void)
{
	cycles_t look = tsc_now() + tsc_from_us(boot->tsc_hz, BLAME_LOOK_US);
	cycles_t next = health_deadline();

	for (u32 i = 0; i < members; i++) {
		if (member[i].state == MEMBER_WAITING && member[i].restart_at < next)
			next = member[i].restart_at;
		if (blame_waits(&member[i]) && look < next)
			next = look;
	}
	if (power_off_since && tsc_now() + tsc_from_us(boot->tsc_hz, POWER_OFF_LOOK_US) < next)
		next = tsc_now() + tsc_from_us(boot->tsc_hz, POWER_OFF_LOOK_US);
	return next;
}

static void power_off_time(void)
{
	cycles_t now = tsc_now();

	if (!power_off_since)
		return;
	if (!operator_is_drained())
		drained_since = 0;
	else if (!drained_since)
		drained_since = now;
	if (now - power_off_since < tsc_from_us(boot->tsc_hz, POWER_OFF_LIMIT_US) &&
		(!drained_since ||
			now - drained_since < tsc_from_us(boot->tsc_hz, POWER_OFF_SETTLE_US)))
		return;
	power_off_since = 0;
	if (reset_instead)
		machine_reset();
	else
		machine_off();
	log_line("the machine cannot be %s: no way is known: %s by hand",
		reset_instead ? "reset" : "powered off",
		reset_instead ? "reset it" : "switch it off");
	reset_instead = false;
}

/* The time has come for a domain that died, or a partition whose guest resets itself too often. */
static void go_on(struct member *m)
{
	cycles_t from = tsc_now();

	if (m->node->class == NODE_DOMAIN) {
		member_renew(m);
		return;
	}
	member_start(m);
	duty_spend(&resets, from, tsc_now(), 0);
}

void supervise_time(void)
{
	for (u32 i = 0; i < members; i++) {
		if (member[i].state == MEMBER_WAITING && member[i].restart_at <= tsc_now())
			go_on(&member[i]);
		if (blame_waits(&member[i]))
			blamed(&member[i]);
	}
	health_run();
	power_off_time();
}
