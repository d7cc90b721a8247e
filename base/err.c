/* Names and sentences of the error numbers, from the one table in base/err.def. Called where an
 * error becomes text: logs, start-up messages, tests. */
#include "base/err.h"

static const struct {
  const char *name, *text;
} row[ERR_COUNT] = {
    [ERR_NONE] = {"NONE", "no error"},
#define ERR(n, t) [ERR_##n] = {#n, t},
#include "base/err.def"
#undef ERR
};

static int is_known(int err)
{
  return err <= 0 && err > -ERR_COUNT;
}

const char *err_name(int err)
{
  return is_known(err) ? row[-err].name : "UNKNOWN";
}

const char *err_text(int err)
{
  return is_known(err) ? row[-err].text : "unknown error";
}
