/* Pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986): insertion in constant time, removal of
 * the least amortised log n. */
#include "kernel/timer.h"

static struct timer *meld(struct timer *a, struct timer *b)
{
	if (!a)
		return b;
	if (!b)
		return a;
	if (b->deadline < a->deadline) {
		struct timer *t = a;

		a = b;
		b = t;
	}
	b->prev = a;
	b->next = a->child;
	if (a->child)
		a->child->prev = b;
	a->child = b;
	return a;
}

/* Melds a list of siblings in two passes. */
static struct timer *meld_siblings(struct timer *first)
{
	struct timer *pairs = NULL;
	struct timer *root = NULL;

	while (first) {
		struct timer *a = first;
		struct timer *b = a->next;

		first = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
	}
	while (pairs) {
		struct timer *a = pairs;

		pairs = a->next;
		a->next = NULL;
		root = meld(root, a);
	}
	return root;
}

void timer_insert(struct timer_heap *h, struct timer *t)
{
	t->child = t->next = t->prev = NULL;
	t->queued = true;
	h->root = meld(h->root, t);
}

void timer_remove(struct timer_heap *h, struct timer *t)
{
	struct timer *below = meld_siblings(t->child);

	if (h->root == t) {
		h->root = below;
	} else {
		if (t->prev->child == t)
			t->prev->child = t->next;
		else
			t->prev->next = t->next;
		if (t->next)
			t->next->prev = t->prev;
		h->root = meld(h->root, below);
	}
	t->child = t->next = t->prev = NULL;
	t->queued = false;
}
