/* Cases: events, and capabilities to them. */
#include "drivers/test/test.h"

static void signal_wait(void)
{
	cap_t event = make_event(EVENT_BITS);
	u64 bits = 0;

	want_status(sys_event_signal(event, BIT(33)), OK);
	want_status(sys_event_signal(event, BIT(33)), OK);
	want_status(sys_event_wait(BIT(34), 0, &bits), TIMEOUT);
	want_status(sys_event_wait(EVENT_BITS, TIME_NEVER, &bits), EVENT);
	want(bits == BIT(33));
	want_status(sys_event_wait(EVENT_BITS, 0, &bits), TIMEOUT);
	want_status(sys_event_signal(event, EVENT_BITS), OK);
	want(wait_bits(BIT(34), 0) == BIT(34));
	want(wait_bits(EVENT_BITS, 0) == BIT(33));
}

static void signal_denied(void)
{
	cap_t event = make_event(BIT(33));

	want_status(sys_event_signal(event, BIT(34)), DENIED);
	want_status(sys_event_signal(event, BIT(33) | BIT(34)), DENIED);
	want(wait_bits(EVENT_BITS, 0) == 0);
	want_status(sys_event_signal(event, 0), OK);
	want_status(sys_event_signal(CAP_NULL, 0), BAD_CAP);
	want_status(sys_event_signal(CAP_MAX, 0), BAD_CAP);
	want_status(sys_event_signal(~0u, 0), BAD_CAP);
	want_status(sys_event_signal(START_CAP_DOMAIN, 0), BAD_KIND);
}

static void deadline(void)
{
	cycles_t from = tsc_now();
	cycles_t until = from + tsc_from_us(info->tsc_hz, 2000);
	u64 bits;

	want_status(sys_event_wait(BIT(35), until, &bits), TIMEOUT);
	want(tsc_now() >= until);
	want(tsc_now() - until < info->tsc_hz);
	want_status(sys_event_wait(BIT(35), from, &bits), TIMEOUT);
	want_status(sys_event_wait(0, 0, &bits), TIMEOUT);
}

static void create(void)
{
	struct msg_create_event *m = thread_message();
	cap_t slot = make_event(EVENT_BITS);

	*m = (struct msg_create_event){.thread = START_CAP_THREAD, .mask = 1};
	want_status(sys_obj_create(KIND_EVENT, START_CAP_DOMAIN, slot), EXISTS);
	*m = (struct msg_create_event){.thread = START_CAP_DOMAIN, .mask = 1};
	want_status(sys_obj_create(KIND_EVENT, START_CAP_DOMAIN, slot_next()), BAD_KIND);
	*m = (struct msg_create_event){.thread = 30000, .mask = 1};
	want_status(sys_obj_create(KIND_EVENT, START_CAP_DOMAIN, slot_next()), BAD_CAP);
	*m = (struct msg_create_event){.thread = START_CAP_THREAD, .mask = 1};
	want_status(sys_obj_create(KIND_EVENT, START_CAP_THREAD, slot_next()), BAD_KIND);
	want_status(sys_obj_create(KIND_EVENT, START_CAP_DOMAIN, CAP_MAX), BAD_CAP);
	want_status(sys_obj_create(KIND_EVENT, START_CAP_DOMAIN, CAP_NULL), BAD_CAP);
	want_status(sys_obj_create(KIND_NONE, START_CAP_DOMAIN, slot_next()), BAD_ARG);
	want_status(sys_obj_create(KIND_COUNT, START_CAP_DOMAIN, slot_next()), BAD_ARG);
	want_status(sys_obj_create(KIND_SYS, START_CAP_DOMAIN, slot_next()), BAD_ARG);
}

static void grant(void)
{
	cap_t event = make_event(EVENT_BITS);
	cap_t copy = slot_next();
	cap_t fixed = slot_next();

	want_status(sys_cap_grant(START_CAP_DOMAIN, copy, event, RIGHT_ALL, BIT(34)), OK);
	want_status(sys_event_signal(copy, BIT(34)), OK);
	want_status(sys_event_signal(copy, BIT(33)), DENIED);
	want_status(sys_cap_grant(START_CAP_DOMAIN, copy, event, RIGHT_ALL, BIT(34)), EXISTS);
	want_status(
		sys_cap_grant(START_CAP_DOMAIN, slot_next(), copy, RIGHT_ALL, EVENT_BITS), DENIED);
	want_status(sys_cap_grant(START_CAP_DOMAIN, fixed, event, 0, EVENT_BITS), OK);
	want_status(
		sys_cap_grant(START_CAP_DOMAIN, slot_next(), fixed, RIGHT_ALL, BIT(33)), DENIED);
	want_status(sys_cap_grant(START_CAP_DOMAIN, copy, CAP_NULL, 0, 0), OK);
	want_status(sys_event_signal(copy, BIT(34)), BAD_CAP);
	want_status(sys_cap_grant(START_CAP_DOMAIN, copy, 30000, RIGHT_ALL, 0), BAD_CAP);
	want_status(sys_cap_grant(START_CAP_DOMAIN, CAP_NULL, event, RIGHT_ALL, 0), BAD_CAP);
	want_status(sys_cap_grant(START_CAP_DOMAIN, CAP_MAX, event, RIGHT_ALL, 0), BAD_CAP);
	want_status(sys_cap_grant(START_CAP_THREAD, copy, event, RIGHT_ALL, 0), BAD_KIND);
	want_status(sys_obj_destroy(event), BAD_KIND);
	wait_bits(EVENT_BITS, 0);
}

const struct test_case event_cases[] = {
	{"event_signal_wait", signal_wait},
	{"event_denied", signal_denied},
	{"event_deadline", deadline},
	{"event_create", create},
	{"cap_grant", grant},
	{NULL, NULL},
};
