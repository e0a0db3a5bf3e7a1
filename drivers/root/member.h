/*
 * Members: what runs for each node of /domains. A member has a holder, a domain without threads
 * that lives as long as root and pays for what outlives the program (sessions, state,
 * configuration, and of a partition the VM, its vCPUs and RAM), and while it runs a process: the
 * domain with the program's threads.
 */
#pragma once

#include "drivers/lib/flood.h"
#include "drivers/protocols/bus.h"
#include "drivers/protocols/pulse.h"
#include "drivers/protocols/watch.h"
#include "drivers/root/description.h"
#include "drivers/root/health.h"
#include "drivers/root/machine.h"
#include "drivers/root/restart.h"

#define PROCESS_MEMS 15
#define GUEST_PARTS  24

enum member_state {
	MEMBER_IDLE = 0, /* never started */
	MEMBER_RUNNING = 1,
	MEMBER_STOPPED = 2, /* by the operator */
	MEMBER_OFF = 3,     /* the guest switched itself off, or the program ended with code 0 */
	MEMBER_FAILED = 4,  /* it died, or could not be started */
	MEMBER_WAITING = 5, /* a domain that died, or a guest that resets itself too often, until
			       restart_at */
};

struct process {
	cap_t domain; /* CAP_NULL: none */
	struct memory pool;
	u32 mems;
	struct memory mem[PROCESS_MEMS]; /* stack, data, heap, start page */
	u32 threads;
	cap_t thread[NODE_CPUS];
	u32 ports;
	cap_t port[NODE_CPUS]; /* root's service port, one for each CPU of the threads */
	u32 irqs;
	cap_t irq[NODE_DEVICES];
	u32 windows;
	cap_t window[NODE_DEVICES * BUS_BARS]; /* mems of its functions' registers */
	cap_t event;                           /* all bits of the first thread's event */
	struct pulse *pulse;                   /* NULL: it has none */
	u32 pulse_bit;

	/* used while it is being built */
	vaddr_t entry;
	vaddr_t next_address;
	u32 next_cap;
	u32 next_bit;
	u64 frames; /* bytes of its mems */
};

struct guest {
	cap_t vm;
	u32 vcpus;
	cap_t vcpu[NODE_CPUS];
	u32 parts; /* pieces of RAM */
	struct memory ram[GUEST_PARTS];
	gpa_t gpa[GUEST_PARTS];
};

/* The last death of a partition's VMM by its own doing. */
struct death {
	bool known;
	u32 vcpu;     /* whose thread died */
	u64 sequence; /* exits that its vCPU had returned */
};

/* What became of a domain's deaths, those that the operator asked for not counted. */
struct recovery {
	u32 deaths;
	u32 busy;         /* of those with requests under way */
	u64 requests;     /* that were under way */
	cycles_t noticed; /* TSC of the last one, until the fresh program serves; 0: it does */
	struct watch_kind time; /* from there until a client was connected again */
};

struct member {
	const struct domain_node *node;
	u32 index;
	enum member_state state;
	u32 starts;       /* times that a process was started; tells old calls from new ones */
	u32 session_bits; /* the first bits of its first thread's event, one for each session */
	u32 restarts;     /* since the member was last started from scratch */
	struct restart_history history;
	u32 blamed; /* `starts` of the life in which all peers said that it broke the protocol, and
		       its limit did not allow a restart */
	cycles_t restart_at; /* WAITING: TSC */
	struct health health;
	cycles_t health_at; /* TSC of the next question */
	u32 injections;
	struct recovery recovery;
	struct death death;

	cap_t holder;
	struct memory holder_pool;
	struct memory kept;   /* START_STATE */
	struct memory config; /* START_CONFIG */
	u64 config_size;

	cap_t dev[NODE_DEVICES];           /* of its PCI functions; CAP_NULL: none */
	cycles_t reset_done[NODE_DEVICES]; /* TSC at which their reset is over; 0: they have none */
	struct memory rom[NODE_DEVICES];   /* copies of their expansion ROMs, of a partition */
	struct guest guest;
	struct process process;
};

struct session_end {
	bool open;        /* the program runs and knows of the session */
	cap_t slot;       /* of its table: the peer's event */
	u32 bit;          /* of its first thread's event; the same for ever, as the peer knows it */
	cycles_t accuses; /* TSC at which it last said that the peer broke the protocol; 0: never */
};

struct session {
	const struct link *link;
	struct memory memory; /* charged to the client's holder */
	struct session_end client;
	struct session_end server;
};

extern struct description description;
extern struct member member[NODES_MAX];
extern u32 members;

/* --- members.c --- */

/* Makes members of the description's nodes, with their holders and sessions. Nothing runs yet. */
void members_init(void);

/* The member of that name, or NULL. */
struct member *member_find(const char *name);

/*
 * Starts a member from scratch: zeroed state and RAM. True if it runs then; else it is FAILED, and
 * the log says why. It must not be running.
 */
bool member_start(struct member *m);

/* Ends a member with all that its holder keeps for it, but not the holder and its sessions. */
void member_stop(struct member *m, enum member_state state);

/*
 * Ends a member's process, wherever it is, and starts a fresh one with the same state and sessions,
 * and of a partition with the same guest. False: it is FAILED.
 */
bool member_renew(struct member *m);

/* Ends a domain's process and stops its devices; state and sessions stay for member_renew, until
 * which it is WAITING. */
void member_suspend(struct member *m);

/* True for a driver that shows the consoles: of the serial port or of the screen. */
bool member_is_terminal(const struct member *m);

/* True for the console server and the drivers of its terminals, which carry the operator's prompt.
 */
bool member_is_way_in(const struct member *m);

/* True if the console server runs, or may yet. */
bool member_console_lives(void);

/* Logs "NAME: WHAT: status" and returns false, or returns true if `s` is OK. */
bool member_ok(const struct member *m, status_t s, const char *what);

/* Bytes of RAM of its guest, and all other bytes charged to its domains. */
u64 member_ram(const struct member *m);
u64 member_frames(const struct member *m);

/* --- process.c --- */

/* Makes the domain and its threads, loads the program; nothing runs yet. False: the log says why.
 */
bool process_make(struct member *m);

/* Writes the start page and lets the first thread run. */
bool process_run(struct member *m);

/* Destroys the process, wherever its making had got to. */
void process_end(struct member *m);

/* A mem charged to the process and mapped at `address`; *out may be NULL, `fill` is copied to its
 * beginning. */
bool process_memory(struct member *m, vaddr_t address, u64 size, u64 flags, const void *fill,
	u64 fill_size, const char *what);

/* --- resources.c: what the start page lists --- */

/* Fills in `info`; makes what is missing. */
bool resources_make(struct member *m, struct start_info *info);

/* --- loader.c --- */

/* Loads the program of the node into the process and sets process.entry. */
bool loader_load(struct member *m);

/* --- guest.c --- */

/* Makes a partition's VM, RAM and vCPUs; the process has its threads. */
bool guest_make(struct member *m);
void guest_end(struct member *m);

/* Exits that a vCPU returned, ever: the sequence number in its run page. */
u64 guest_exits(const struct member *m, u32 vcpu);

/* --- sessions.c --- */

/* Makes the memory of every session that the description asks for; the members' holders exist. */
void sessions_init(void);

/* Bytes of page tables that its process needs for its sessions, above what every process has. */
u64 sessions_tables(const struct member *m);

/* Bytes of the sessions that it is the client of, which its holder pays for. */
u64 sessions_bytes(const struct member *m);

/* Adds the member's ends to its start page. */
bool sessions_add(struct member *m, struct start_info *info);

/* After the member's first thread exists: fills its and its peers' slots, and tells the peers. */
void sessions_connect(struct member *m);

/* The member's process has ended. */
void sessions_disconnect(struct member *m);

/*
 * A partition's RAM is there, or is about to go. The drivers whose devices the description lets
 * reach it are stopped, their devices with them, and are WAITING to be started anew at once: with
 * what RAM there is then.
 */
void sessions_guest_changes(const struct member *m);

/* The member is not restarted: tells its clients, whose requests then fail. */
void sessions_give_up(const struct member *m);

/* Requests that clients have sent to it and that it has not answered. */
u32 sessions_under_way(const struct member *m);

/* True if it has a session whose indices it could spoil: any but the bus domain's. */
bool sessions_have_rings(const struct member *m);

/*
 * The end of `m` whose capability is `cap` says that its peer broke the protocol or, with `floods`,
 * sets its event bit without end; `m` NULL: root says it of the operator's console. Returns the
 * peer, or NULL: there is no such session, or it has ended.
 */
struct member *sessions_accuse(struct member *m, cap_t cap, bool floods);

/* Has root's own sessions watched; their `cap` is the index of the server's member. */
void sessions_watch(struct flood *f);

/* True if root or all running peers of `m` have accused it of late. */
bool sessions_agree(const struct member *m);

/* --- service.c --- */

/* What a port to root tells of who calls: which member, and in which of its lives. */
#define BADGE(m)            ((m)->index | (m)->starts << 8)
#define BADGE_MEMBER(badge) ((u32)(badge)&0xff)

static_assert(NODES_MAX <= 0x100);

/* Makes the first thread's queue; the first thread then calls service_loop(0 ...) and never
 * returns. */
status_t service_init(u32 bsp);
_Noreturn void service_first(void);

/* A port to the service thread on `cpu` (made if there is none yet) with `badge`, charged to
 * `payer`. */
status_t service_port(cap_t payer, u32 cpu, u32 badge, cap_t *slot);

/* Hands all queued records to supervise_record. */
void service_drain(void);

/* --- power.c --- */

/* Switches the machine off, or resets it, at once. Returns if it has no way. */
void machine_off(void);
void machine_reset(void);

/* --- supervise.c --- */

struct record;
void supervise_record(const struct record *r);

/* Looks after the members whose supervisor bits are set. */
void supervise(u64 bits);

/* The operator's console broke its session with root. */
void supervise_console(void);

/* A member sets the event bit of its session with root without end. */
void supervise_flood(cap_t index);

/* Ends a member's process as if it had died, for the reason that the log is told, and restarts it
 * within its limit. */
void supervise_end(struct member *m, const char *why);

/* Powers the machine off, or resets it, once what is queued for the console is shown. */
void power_off(void);
void power_reset(void);

/* The next time at which supervise_time wants to run, and that. */
cycles_t supervise_deadline(void);
void supervise_time(void);

/* --- health.c --- */

/* Makes the page that root and a domain's process share, and lists it. */
bool health_add(struct member *m, struct start_info *info);

/* Asks the programs whose time has come; ends one that does not answer. The next such time. */
void health_run(void);
cycles_t health_deadline(void);

/* A domain has died: notes when, and what was under way. Its process still exists. */
void health_died(struct member *m);

/* The operator's: deaths and recoveries; a fault, by its name. */
void health_show(struct member *m);
void health_inject(struct member *m, const char *fault);

/* --- seed.c --- */

/* 32 bytes that nobody can foretell, if the machine had entropy at boot. */
void seed_make(u64 seed[4]);

/* --- commands.c --- */
void command_run(char *line);
