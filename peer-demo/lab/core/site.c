/* What a site is, read from one word. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "peer-demo/lab/core/lab.h"

static const char *const nats[LAB_NAT_COUNT] = {
    [LAB_NONE] = "none",
    [LAB_FULL_CONE] = "full-cone",
    [LAB_ADDRESS_RESTRICTED] = "address-restricted",
    [LAB_PORT_RESTRICTED] = "port-restricted",
    [LAB_SYMMETRIC] = "symmetric",
};

static bool is_word(struct bytes word, const char *text)
{
  return bytes_equal(word, bytes_of(text));
}

static int bad(struct bytes word, const char *mend, char error[LAB_ERROR_SIZE])
{
  snprintf(error, LAB_ERROR_SIZE, "'%.*s' %s", word.len > 64 ? 64 : (int)word.len,
           (const char *)word.at, mend);
  return -ERR_BAD;
}

static int read_nat(struct bytes word, struct lab_site *out, char error[LAB_ERROR_SIZE])
{
  for (int i = 0; i < LAB_NAT_COUNT; i++) {
    if (is_word(word, nats[i])) {
      out->nat = (enum lab_nat)i;
      return 0;
    }
  }
  return bad(word,
             "is no kind of NAT; there are none, full-cone, address-restricted, port-restricted "
             "and symmetric",
             error);
}

/* `rest` becomes what stands behind "name=". */
static bool has_name(struct bytes word, const char *name, struct bytes *rest)
{
  size_t len = strlen(name);
  if (word.len <= len || memcmp(word.at, name, len) != 0 || word.at[len] != '=')
    return false;
  *rest = (struct bytes){word.at + len + 1, word.len - len - 1};
  return true;
}

static int read_number(struct bytes word, struct lab_site *out, char error[LAB_ERROR_SIZE])
{
  struct bytes digits;
  uint64_t value;
  if (has_name(word, "loss", &digits)) {
    if (parse_uint(digits, 100, &value) != 0)
      return bad(word, "must be a percentage from 0 to 100", error);
    out->loss_percent = (unsigned)value;
    return 0;
  }
  if (has_name(word, "lifetime", &digits)) {
    if (parse_uint(digits, 86400, &value) != 0 || value == 0)
      return bad(word, "must be from 1 to 86400 seconds", error);
    out->lifetime_s = (unsigned)value;
    return 0;
  }
  return bad(word,
             "is nothing that a site can have; there are carrier, hairpin, no-udp, only-443, v6, "
             "dual, loss=PERCENT and lifetime=SECONDS",
             error);
}

static int read_word(struct bytes word, struct lab_site *out, char error[LAB_ERROR_SIZE])
{
  if (is_word(word, "carrier"))
    out->carrier = true;
  else if (is_word(word, "hairpin"))
    out->hairpin = true;
  else if (is_word(word, "no-udp"))
    out->block = LAB_NO_UDP;
  else if (is_word(word, "only-443"))
    out->block = LAB_ONLY_443;
  else if (is_word(word, "v6"))
    out->families = LAB_V6;
  else if (is_word(word, "dual"))
    out->families = LAB_DUAL;
  else
    return read_number(word, out, error);
  return 0;
}

static struct bytes cut(struct bytes *text)
{
  const uint8_t *plus = text->len > 0 ? memchr(text->at, '+', text->len) : NULL;
  struct bytes word = {text->at, plus ? (size_t)(plus - text->at) : text->len};
  size_t used = word.len + (plus ? 1 : 0);
  *text = (struct bytes){text->at + used, text->len - used};
  return word;
}

int lab_site_parse(struct bytes text, struct lab_site *out, char error[LAB_ERROR_SIZE])
{
  struct lab_site site = {.lifetime_s = LAB_LIFETIME_S};
  const struct bytes whole = text;
  int err = read_nat(cut(&text), &site, error);
  while (err == 0 && text.len > 0)
    err = read_word(cut(&text), &site, error);
  if (err == 0 && whole.at[whole.len - 1] == '+')
    err = bad(whole, "ends with a '+': name what follows it, or leave it out", error);
  /* A hairpinned packet is looked up by the port that its receiver has inside, which the symmetric
   * kind changes; and such NATs rarely hairpin. */
  if (err == 0 && site.hairpin && (site.nat == LAB_NONE || site.nat == LAB_SYMMETRIC))
    err = bad(whole, "hairpins, which needs a NAT that maps independently of the endpoint", error);
  if (err == 0 && site.carrier && (site.nat == LAB_NONE || site.families == LAB_V6))
    err = bad(whole, "has a carrier's NAT, which needs a NAT of the site's own and IPv4", error);
  if (err == 0)
    *out = site;
  return err;
}

const char *lab_nat_name(enum lab_nat nat)
{
  return nats[nat];
}

struct lab_behaviour lab_expected(const struct lab_site *site)
{
  static const enum behaviour filters[LAB_NAT_COUNT] = {
      [LAB_NONE] = BEHAVIOUR_ENDPOINT_INDEPENDENT,
      [LAB_FULL_CONE] = BEHAVIOUR_ENDPOINT_INDEPENDENT,
      [LAB_ADDRESS_RESTRICTED] = BEHAVIOUR_ADDRESS_DEPENDENT,
      [LAB_PORT_RESTRICTED] = BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT,
      [LAB_SYMMETRIC] = BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT};
  struct lab_behaviour b = {.answers = site->block == LAB_OPEN && site->loss_percent < 100};
  if (!b.answers)
    return b;
  if (site->families == LAB_V6) {
    b.mapping = BEHAVIOUR_NONE;
    b.filtering = site->nat == LAB_NONE ? BEHAVIOUR_ENDPOINT_INDEPENDENT
                                        : BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
    return b;
  }
  b.filtering = site->carrier ? BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT : filters[site->nat];
  if (site->nat == LAB_SYMMETRIC)
    b.mapping = BEHAVIOUR_ADDRESS_AND_PORT_DEPENDENT;
  else
    b.mapping = site->nat == LAB_NONE ? BEHAVIOUR_NONE : BEHAVIOUR_ENDPOINT_INDEPENDENT;
  /* Behind a carrier the public address is the carrier's, which does not hairpin. */
  b.hairpins = site->hairpin && !site->carrier;
  return b;
}

bool lab_has_part(const struct lab_site *site, enum lab_part part)
{
  return part != LAB_CARRIER || site->carrier;
}

const char *lab_part_name(size_t site, enum lab_part part, char out[LAB_WORD_SIZE])
{
  static const char *const suffix[LAB_PART_COUNT] = {
      [LAB_HOST] = "", [LAB_ROUTER] = "-nat", [LAB_CARRIER] = "-cgn"};
  snprintf(out, LAB_WORD_SIZE, "%c%s", (char)('a' + site), suffix[part]);
  return out;
}
