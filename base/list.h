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

/* Leaves `node` empty, so that removing twice is harmless. */
static inline void list_remove(struct list *node)
{
  node->prev->next = node->next;
  node->next->prev = node->prev;
  list_init(node);
}

#endif
