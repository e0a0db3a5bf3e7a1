/* Pools of frames and small objects; see pool.h. */
#include "mm/pool.h"

#define CLASS_MIN 64u

void *memset(void *to, int byte, size_t size);

struct free_item {
	struct free_item *next;
};

struct fresh_range { /* at the start of a range that was never used */
	struct fresh_range *next;
	u64 bytes;
};

#ifdef HOST_TEST
u64 window_offset;
#endif

void pool_add(struct pool *p, paddr_t base, u64 size)
{
	struct fresh_range *range = window_va(base);

	spin_lock(&p->lock);
	range->next = p->fresh_list;
	range->bytes = size;
	p->fresh_list = range;
	p->free_frames += size >> PAGE_SHIFT;
	p->total_frames += size >> PAGE_SHIFT;
	spin_unlock(&p->lock);
}

/* Takes a frame, not zeroed, or NULL. Used frames go first: they may still be in a cache. */
static void *frame_take(struct pool *p)
{
	struct free_item *used = p->frame_list;
	struct fresh_range *range = p->fresh_list;
	void *frame = used;

	if (used) {
		p->frame_list = used->next;
	} else {
		if (p->fresh == p->fresh_end) {
			if (!range)
				return NULL;
			p->fresh = window_pa(range);
			p->fresh_end = p->fresh + range->bytes;
			p->fresh_list = range->next;
		}
		frame = window_va(p->fresh);
		p->fresh += PAGE_SIZE;
	}
	p->free_frames--;
	return frame;
}

static void list_push(void **list, void *object)
{
	struct free_item *item = object;

	item->next = *list;
	*list = item;
}

/* Returns the size class of `size`; POOL_CLASSES stands for a whole frame. */
static unsigned class_of(size_t size)
{
	unsigned class = 0;

	while (class < POOL_CLASSES && (CLASS_MIN << class) < size)
		class ++;
	return class;
}

/* Takes an object of `class`, not zeroed, and cuts a frame into such objects if there is none. */
static void *object_take(struct pool *p, unsigned class)
{
	size_t size = CLASS_MIN << class;
	struct free_item *item;

	if (!p->class_list[class]) {
		char *frame = frame_take(p);

		if (!frame)
			return NULL;
		for (size_t offset = PAGE_SIZE; offset; offset -= size)
			list_push(&p->class_list[class], frame + offset - size);
	}
	item = p->class_list[class];
	p->class_list[class] = item->next;
	return item;
}

void *pool_frame_alloc(struct pool *p)
{
	void *frame;

	spin_lock(&p->lock);
	frame = frame_take(p);
	spin_unlock(&p->lock);
	return frame ? memset(frame, 0, PAGE_SIZE) : NULL;
}

void pool_frame_free(struct pool *p, void *frame)
{
	if (!frame)
		return;
	spin_lock(&p->lock);
	list_push(&p->frame_list, frame);
	p->free_frames++;
	spin_unlock(&p->lock);
}

void *pool_alloc(struct pool *p, size_t size)
{
	unsigned class = class_of(size);
	void *object;

	if (size == 0 || size > PAGE_SIZE)
		return NULL;
	if (class == POOL_CLASSES)
		return pool_frame_alloc(p);
	spin_lock(&p->lock);
	object = object_take(p, class);
	spin_unlock(&p->lock);
	return object ? memset(object, 0, CLASS_MIN << class) : NULL;
}

void pool_free(struct pool *p, void *object, size_t size)
{
	unsigned class = class_of(size);

	if (class == POOL_CLASSES) {
		pool_frame_free(p, object);
	} else if (object) {
		spin_lock(&p->lock);
		list_push(&p->class_list[class], object);
		spin_unlock(&p->lock);
	}
}
