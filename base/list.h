/* An intrusive doubly linked list with a head node; membership is x_attach / x_detach of the owner.
 */
#ifndef VIADUCT_BASE_LIST_H
#define VIADUCT_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
  struct list *next, *prev;
};

/* The struct that holds `member` at the address `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
  l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *l)
{
  return l->next == l;
}

static inline void list_push_back(struct list *head, struct list *node)
{
  node->prev = head->prev;
  node->next = head;
  head->prev->next = node;
  head->prev = node;
}

/* All of `from`, in order, behind what `head` holds; `from` is empty then. */
static inline void list_append(struct list *head, struct list *from)
{
  if (list_is_empty(from))
    return;
  from->next->prev = head->prev;
  head->prev->next = from->next;
  from->prev->next = head;
  head->prev = from->prev;
  list_init(from);
}

/* Leaves `node` empty, so that removing twice is harmless. */
static inline void list_remove(struct list *node)
{
  node->prev->next = node->next;
  node->next->prev = node->prev;
  list_init(node);
}

#endif
