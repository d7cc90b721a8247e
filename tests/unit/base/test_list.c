/* base/list.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"

struct item {
  int before;
  struct list link;
  int number;
};

static void assert_order(const struct list *head, const char *want)
{
  const struct list *l = head->next;
  for (; *want; want++, l = l->next) {
    assert_ptr_not_equal(l, head);
    assert_ptr_equal(l->next->prev, l);
    assert_int_equal(CONTAINER_OF(l, struct item, link)->number, *want - '0');
  }
  assert_ptr_equal(l, head);
}

static void order_and_removal(void **state)
{
  (void)state;
  struct list head;
  struct item item[4];
  list_init(&head);
  assert_true(list_is_empty(&head));
  for (int i = 0; i < 4; i++) {
    item[i].number = i;
    list_push_back(&head, &item[i].link);
  }
  assert_false(list_is_empty(&head));
  assert_order(&head, "0123");
  list_remove(&item[1].link);
  list_remove(&item[1].link); /* twice is harmless */
  assert_order(&head, "023");
  list_remove(&item[0].link);
  list_remove(&item[3].link);
  assert_order(&head, "2");
  list_push_back(&head, &item[0].link);
  assert_order(&head, "20");
  list_remove(&item[2].link);
  list_remove(&item[0].link);
  assert_true(list_is_empty(&head));
}

static void one_list_behind_another(void **state)
{
  (void)state;
  struct list head, more;
  struct item item[4];
  list_init(&head);
  list_init(&more);
  list_append(&head, &more);
  assert_true(list_is_empty(&head));
  for (int i = 0; i < 4; i++) {
    item[i].number = i;
    list_push_back(i < 2 ? &more : &head, &item[i].link);
  }
  list_append(&head, &more);
  assert_order(&head, "2301");
  assert_true(list_is_empty(&more));
  list_append(&more, &head);
  assert_order(&more, "2301");
  assert_true(list_is_empty(&head));
  list_remove(&item[2].link);
  list_remove(&item[1].link);
  assert_order(&more, "30");
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(order_and_removal),
                                     cmocka_unit_test(one_list_behind_another)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
