/* Circular doubly linked lists, embedded in what they link. */
#pragma once

#include "kernel/abi/types.h"

struct list {
	struct list *next;
	struct list *prev;
};

#define container_of(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))
#define list_for_each(pos, head)                                                                   \
	for (struct list *pos = (head)->next; pos != (head); pos = pos->next)
#define list_for_each_safe(pos, tmp, head)                                                         \
	for (struct list *pos = (head)->next, *tmp = pos->next; pos != (head);                     \
		pos = tmp, tmp = pos->next)

static inline void list_init(struct list *l)
{
	l->next = l;
	l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): no list is used before list_init */
	return l->next == l;
}

/* Inserts `n` before `at`: at the end when `at` is the head. */
static inline void list_add(struct list *at, struct list *n)
{
	n->next = at;
	n->prev = at->prev;
	at->prev->next = n;
	at->prev = n;
}

/* Removes `n` and leaves it empty, so that removing twice is harmless. */
static inline void list_remove(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}
