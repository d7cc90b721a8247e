/* Keys as coturn stores them. */
#include "base/err.h"
#include "turn/userdb/database.h"

static int digit(uint8_t c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int userdb_key_parse(struct bytes hex, uint8_t key[USERDB_KEY])
{
  if (hex.len != 2 * USERDB_KEY)
    return -ERR_BAD;
  for (size_t i = 0; i < USERDB_KEY; i++) {
    const int high = digit(hex.at[2 * i]), low = digit(hex.at[2 * i + 1]);
    if (high < 0 || low < 0)
      return -ERR_BAD;
    key[i] = (uint8_t)(high << 4 | low);
  }
  return 0;
}
