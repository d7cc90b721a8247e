/* Stands before OpenSSL's RAND_bytes in turnutils_uclient (LD_PRELOAD), and says from which channel
 * numbers it draws. It draws from 0x4000-0x7FFF, as RFC 5766 had it. RFC 8656 section 12.2: "The
 * channel number is in the range 0x4000 through 0x4FFF (inclusive)", so that without this three
 * ChannelBinds out of four fail.
 */
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* The number is 0x4000 plus a random long, modulo 0x4000: bits 12 and 13 decide. */
#define DECIDING_BITS 0x3000

int RAND_bytes(unsigned char *bytes, int len)
{
  const char *wish = getenv("INTEROP_CHANNELS");
  long number;

  if (getrandom(bytes, (size_t)len, 0) != len)
    return 0;
  if (len != (int)sizeof number || !wish)
    return 1;
  memcpy(&number, bytes, sizeof number);
  if (!strcmp(wish, "rfc8656"))
    number &= ~(long)DECIDING_BITS;
  else
    number |= DECIDING_BITS;
  memcpy(bytes, &number, sizeof number);
  return 1;
}
