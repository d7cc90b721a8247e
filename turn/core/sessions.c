/* What an operator does with sessions. server.c asks for it, through the workers. */
#include "turn/core/internal.h"

void turn_drain(struct turn *t)
{
  t->draining = true;
}
